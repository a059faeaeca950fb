import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.LocalTime;
import java.time.format.DateTimeFormatter;

/** The log on standard output: {@code [12:34:56] [Server thread/INFO]: text}. */
final class Log {
    private static final DateTimeFormatter CLOCK = DateTimeFormatter.ofPattern("HH:mm:ss");

    /** UTF-8 whatever the locale, because a daemon is often started without one. */
    private static final PrintStream OUT =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    private Log() {}

    static void info(String text) {
        print("INFO", text);
    }

    static void error(String text) {
        print("ERROR", text);
    }

    private static void print(String level, String text) {
        String time = LocalTime.now().format(CLOCK);
        OUT.println("[" + time + "] [" + Thread.currentThread().getName() + "/" + level + "]: " + text);
    }
}
