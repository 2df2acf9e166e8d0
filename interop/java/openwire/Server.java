import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.Socket;

/** The server behind the broker, where the run lets us stop and start it: one word each way. */
final class Server {
    private Server() {}

    private static final String CONTROL = System.getenv("OUTFLOW_CONTROL");

    /** Whether it can be told. */
    static boolean isOurs() {
        return CONTROL != null;
    }

    /** Ends it with SIGKILL and starts it again on the same data; its ports stay. */
    static void kill() throws Exception {
        order("kill");
    }

    /** Ends it with SIGTERM and starts it again. */
    static void restart() throws Exception {
        order("restart");
    }

    private static void order(String word) throws Exception {
        int colon = CONTROL.lastIndexOf(':');
        int port = Integer.parseInt(CONTROL.substring(colon + 1));
        try (Socket socket = new Socket(CONTROL.substring(0, colon), port)) {
            new PrintStream(socket.getOutputStream(), true).println(word);
            BufferedReader answers = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            Broker.same("ok", answers.readLine());
        }
    }
}
