import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.BindException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * A small server that behaves towards whoever runs it like the Minecraft
 * servers people run: {@code java -jar server.jar nogui} in the server's
 * directory. There is no game in it. README.md lists what it imitates.
 */
public final class GameServer {
    private static final long AUTOSAVE_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final int PREPARE_STEPS = 5;
    private static final int PREPARE_STEP_MILLIS = 250;

    private final long started = System.nanoTime();
    private final BlockingQueue<String> commands = new LinkedBlockingQueue<>();
    private final World world;
    private final Network network;
    private final String readyDescriptor;

    /** The only argument, nogui, is what one gives to real servers; this one never has a window. */
    public static void main(String[] args) throws InterruptedException {
        Thread.currentThread().setName("Server thread");
        try {
            Properties settings = loadOrCreate("server.properties", "Server properties",
                    "server-port", "25565",
                    "spin-on-eof", "false",
                    "ready-fd", "");
            Properties eula = loadOrCreate("eula.txt",
                    "By changing the setting below to TRUE you are indicating your agreement to the EULA.",
                    "eula", "false");
            if (!Boolean.parseBoolean(eula.getProperty("eula"))) {
                Log.info("You need to agree to the EULA in order to run the server."
                        + " Go to eula.txt for more info.");
                return;
            }
            new GameServer(settings).run();
        } catch (BindException e) {
            Log.error("**** FAILED TO BIND TO PORT!");
            Log.error("The exact error was: " + e);
            Log.error("Perhaps a server is already running on that port?");
            System.exit(1);
        } catch (IOException | IllegalArgumentException e) {
            Log.error("Failed to start the server: " + e.getMessage());
            System.exit(1);
        }
    }

    /** Reads a properties file of the working directory; a missing one is written with its defaults first. */
    private static Properties loadOrCreate(String name, String comment, String... defaults) throws IOException {
        Path file = Path.of(name);
        Properties properties = new Properties();
        for (int i = 0; i < defaults.length; i += 2) {
            properties.setProperty(defaults[i], defaults[i + 1]);
        }
        if (Files.exists(file)) {
            try (InputStream in = Files.newInputStream(file)) {
                properties.load(in);
            }
        } else {
            try (OutputStream out = Files.newOutputStream(file)) {
                properties.store(out, comment);
            }
        }
        return properties;
    }

    private GameServer(Properties settings) throws IOException {
        world = new World(Path.of("world"));
        network = new Network(Integer.parseInt(settings.getProperty("server-port").trim()), this::status);
        boolean spinOnEof = Boolean.parseBoolean(settings.getProperty("spin-on-eof").trim());
        readyDescriptor = settings.getProperty("ready-fd").trim();
        Network.startThread("Server console handler", () -> readConsole(spinOnEof));
    }

    /** Prepares the world, then runs commands and saves the world until the process ends. */
    private void run() throws InterruptedException {
        Runtime.getRuntime().addShutdownHook(new Thread(this::shutDown, "Server Shutdown Thread"));
        network.start();
        Log.info("Starting server on *:" + network.port());
        for (int step = 0; step < PREPARE_STEPS; step++) {
            Log.info("Preparing spawn area: " + 100 * step / PREPARE_STEPS + "%");
            Thread.sleep(PREPARE_STEP_MILLIS);
        }
        Log.info(String.format(Locale.ROOT, "Done (%.3fs)! For help, type \"help\"", uptime()));

        announce();

        long nextSave = System.nanoTime() + AUTOSAVE_NANOS;
        while (true) {
            String command = commands.poll(nextSave - System.nanoTime(), TimeUnit.NANOSECONDS);
            if (command != null) {
                execute(command.strip());
            }
            if (System.nanoTime() - nextSave >= 0) {
                save("Autosave");
                nextSave = System.nanoTime() + AUTOSAVE_NANOS;
            }
        }
    }

    /**
     * Tells whoever has started the server that it is up, if that is waited
     * for: by READY=1 to NOTIFY_SOCKET, see sd_notify(3), for which a Java
     * program needs help, or by a newline on the descriptor ready-fd, as s6
     * has it. A server that cannot tell goes on.
     */
    private void announce() throws InterruptedException {
        try {
            if (System.getenv("NOTIFY_SOCKET") != null) {
                int status = new ProcessBuilder("systemd-notify", "--ready").inheritIO().start().waitFor();
                if (status != 0) {
                    throw new IOException("systemd-notify: exit status " + status);
                }
            }
            if (!readyDescriptor.isEmpty()) {
                Path descriptor = Path.of("/proc/self/fd", readyDescriptor);
                try (OutputStream out = Files.newOutputStream(descriptor, StandardOpenOption.WRITE)) {
                    out.write('\n');
                }
            }
        } catch (IOException e) {
            Log.error("That the server is up cannot be told: " + e.getMessage());
        }
    }

    private void execute(String command) {
        String[] words = command.split("\\s+", 2);
        switch (words[0]) {
            case "" -> { }
            case "help" -> Log.info("Commands: help, list, save-all, say TEXT, stop");
            case "list" -> Log.info(String.format("There are %d of a max of %d players online: %s",
                    network.players().size(), Network.MAX_PLAYERS, String.join(", ", network.players())));
            case "save-all" -> save("Saved the game");
            case "say" -> Log.info("[Server] " + (words.length > 1 ? words[1] : ""));
            case "stop" -> System.exit(0);
            default -> Log.info("Unknown command: " + words[0] + ". Type \"help\" for help.");
        }
    }

    /** Saves the world; one that cannot be saved (a full disk) is no reason to end the game. */
    private void save(String message) {
        try {
            world.save();
            Log.info(message);
        } catch (IOException e) {
            Log.error("The world could not be saved: " + e);
        }
    }

    /** The shutdown hook: runs on the stop command, SIGTERM, SIGINT and SIGHUP. */
    private void shutDown() {
        Log.info("Stopping the server");
        Log.info("Saving worlds");
        try {
            world.close();
            Log.info("All dimensions are saved");
        } catch (IOException e) {
            Log.error("The world could not be saved: " + e);
        }
    }

    /**
     * Queues the lines of standard input as commands. At its end the server has
     * no console any more, and runs on without one. Many real servers ask again
     * and again instead, and use up one processor doing so; spinOnEof shows it.
     */
    private void readConsole(boolean spinOnEof) {
        BufferedReader console = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try {
            String line;
            while ((line = console.readLine()) != null || spinOnEof) {
                if (line != null) {
                    commands.add(line);
                }
            }
        } catch (IOException e) {
            Log.error("The console cannot be read: " + e.getMessage());
        }
    }

    private String status() {
        return String.format(Locale.ROOT, "{\"players\":%d,\"uptime\":%.3f,\"saves\":%d,\"pid\":%d}",
                network.players().size(), uptime(), world.saves(), ProcessHandle.current().pid());
    }

    private double uptime() {
        return (System.nanoTime() - started) / 1e9;
    }
}
