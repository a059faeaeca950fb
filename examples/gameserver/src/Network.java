import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.function.Supplier;

/**
 * The TCP port. The protocol is lines of UTF-8 text, each answered by one line
 * of JSON; a connection may carry any number of them.
 *
 * <pre>
 * status     {"players":1,"uptime":12.345,"saves":6,"pid":4242}
 *            uptime in seconds, saves of the world over all runs
 * join NAME  {"joined":"NAME"}: the connection now belongs to this player, who
 *            leaves when it closes; every other line is chat and is not answered
 * </pre>
 *
 * Anything else is answered by {@code {"error":"..."}}.
 */
final class Network {
    static final int MAX_PLAYERS = 20;

    private final ServerSocket listener;
    private final Supplier<String> status;
    private final Set<String> players = new ConcurrentSkipListSet<>();

    /** Binds the port (0 means any free one); status makes the answer to "status". */
    Network(int port, Supplier<String> status) throws IOException {
        this.listener = new ServerSocket(port);
        this.status = status;
    }

    int port() {
        return listener.getLocalPort();
    }

    Set<String> players() {
        return players;
    }

    /** Serves connections until the process ends. */
    void start() {
        startThread("Network listener", this::listen);
    }

    private void listen() {
        try {
            while (true) {
                Socket socket = listener.accept();
                startThread("Network " + socket.getRemoteSocketAddress(), () -> serve(socket));
            }
        } catch (IOException e) {
            Log.error("No more connections are accepted: " + e.getMessage());
        }
    }

    private void serve(Socket socket) {
        String player = null;
        try (socket;
                BufferedReader in = new BufferedReader(
                        new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
                PrintWriter out = new PrintWriter(socket.getOutputStream(), true, StandardCharsets.UTF_8)) {
            String line;
            while ((line = in.readLine()) != null) {
                if (line.equals("status")) {
                    out.println(status.get());
                } else if (player != null) {
                    Log.info("<" + player + "> " + line);
                } else if (line.startsWith("join ")) {
                    String name = line.substring("join ".length());
                    if (join(name)) {
                        player = name;
                        out.println("{\"joined\":\"" + name + "\"}");
                    } else {
                        out.println("{\"error\":\"invalid name, already online, or server full\"}");
                    }
                } else {
                    out.println("{\"error\":\"unknown request\"}");
                }
            }
        } catch (IOException e) {
            Log.info("Lost connection: " + e.getMessage());
        }
        if (player != null) {
            players.remove(player);
            Log.info(player + " left the game");
        }
    }

    private boolean join(String name) {
        boolean joined = name.matches("[A-Za-z0-9_]{1,16}") && players.size() < MAX_PLAYERS && players.add(name);
        if (joined) {
            Log.info(name + " joined the game");
        }
        return joined;
    }

    /** Starts a thread that does not keep the server from ending. */
    static void startThread(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setDaemon(true);
        thread.start();
    }
}
