import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;

/** A way to the broker that can be cut: every connection through it breaks at once, both ends. */
final class Wire implements AutoCloseable {
    private final ServerSocket entrance = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    private final URI broker;
    private final List<Socket> open = new ArrayList<>();
    private int cuts;

    Wire(String url) throws IOException {
        broker = URI.create(url);
        run(this::accept);
    }

    String url() {
        return "tcp://127.0.0.1:" + entrance.getLocalPort();
    }

    synchronized void cut() throws IOException {
        cuts++;
        for (Socket socket : open) {
            socket.close();
        }
        open.clear();
    }

    private void accept() throws IOException {
        while (true) {
            Socket client = entrance.accept();
            Socket server = new Socket(broker.getHost(), broker.getPort());
            synchronized (this) {
                open.add(client);
                open.add(server);
            }
            run(() -> copy(client, server));
            run(() -> copy(server, client));
        }
    }

    private static void copy(Socket from, Socket to) throws IOException {
        try (InputStream in = from.getInputStream(); OutputStream out = to.getOutputStream()) {
            in.transferTo(out);
        }
    }

    private interface Work {
        void run() throws IOException;
    }

    private static void run(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException end) {
                // The wire was cut, or is no longer needed.
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public void close() throws IOException {
        entrance.close();
        cut();
    }
}
