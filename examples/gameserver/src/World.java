import java.io.IOException;
import java.io.InputStream;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Properties;

/**
 * The world on disk: {@code session.lock}, held for as long as the server
 * lives, and {@code level.dat}, which is replaced as a whole at every save. All
 * it holds is how often it was saved, over all the runs of the server.
 */
final class World {
    private final Path directory;
    private final FileChannel sessionLock;
    private long saves;
    private boolean closed;

    /** Locks and loads the world, which is created if there is none. */
    World(Path directory) throws IOException {
        this.directory = Files.createDirectories(directory);
        this.sessionLock = lock(directory.resolve("session.lock"));
        Path level = directory.resolve("level.dat");
        if (Files.exists(level)) {
            Properties data = new Properties();
            try (InputStream in = Files.newInputStream(level)) {
                data.load(in);
            }
            saves = Long.parseLong(data.getProperty("saves"));
        }
    }

    private static FileChannel lock(Path file) throws IOException {
        FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        if (channel.tryLock() == null) {
            channel.close();
            throw new IOException(file.toAbsolutePath()
                    + ": already locked (possibly by other Minecraft instance?)");
        }
        return channel;
    }

    synchronized long saves() {
        return saves;
    }

    /** Writes level.dat: at any instant the file is the old world or the new one. */
    synchronized void save() throws IOException {
        if (closed) {
            return;
        }
        Properties data = new Properties();
        data.setProperty("saves", Long.toString(saves + 1));
        StringWriter text = new StringWriter();
        data.store(text, null);

        Path fresh = directory.resolve("level.dat_new");
        try (FileChannel file = FileChannel.open(fresh, StandardOpenOption.CREATE,
                StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING)) {
            file.write(ByteBuffer.wrap(text.toString().getBytes(StandardCharsets.UTF_8)));
            file.force(true);
        }
        Files.move(fresh, directory.resolve("level.dat"), StandardCopyOption.ATOMIC_MOVE);
        saves++;
    }

    /** Saves for the last time. The lock is kept until the process ends. */
    synchronized void close() throws IOException {
        save();
        closed = true;
    }
}
