import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A STOMP 1.2 connection by hand, beside the Java client's: frames as they are, nothing made up. */
final class Stomp implements AutoCloseable {
    private static final String ADDRESS = System.getenv("OUTFLOW_STOMP");

    record Frame(String command, Map<String, String> headers, byte[] body) {
        String get(String name) {
            return headers.get(name);
        }

        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    private final Socket socket;
    private final BlockingQueue<Frame> messages = new LinkedBlockingQueue<>();
    private final BlockingQueue<Frame> others = new LinkedBlockingQueue<>();

    static boolean isThere() {
        return ADDRESS != null;
    }

    Stomp(Broker broker) throws Exception {
        int colon = ADDRESS.lastIndexOf(':');
        socket = new Socket(ADDRESS.substring(0, colon), Integer.parseInt(ADDRESS.substring(colon + 1)));
        Thread reader = new Thread(this::read);
        reader.setDaemon(true);
        reader.start();
        write("CONNECT", null, "accept-version", "1.2", "host", "x", "login", broker.user, "passcode", broker.password);
        Broker.same("CONNECTED", other().command());
    }

    /** Sends a frame; headers are names and values in turn. The body has a length only if they say so. */
    void write(String command, byte[] body, String... headers) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        StringBuilder head = new StringBuilder(command).append('\n');
        for (int at = 0; at < headers.length; at += 2) {
            boolean plain = command.equals("CONNECT");
            head.append(plain ? headers[at] : escape(headers[at])).append(':');
            head.append(plain ? headers[at + 1] : escape(headers[at + 1])).append('\n');
        }
        out.write(head.append('\n').toString().getBytes(StandardCharsets.UTF_8));
        out.write(body == null ? new byte[0] : body);
        out.write(0);
        socket.getOutputStream().write(out.toByteArray());
    }

    /** The same, and waits until it is done. */
    void done(String command, byte[] body, String... headers) throws Exception {
        String receipt = UUID.randomUUID().toString();
        String[] all = java.util.Arrays.copyOf(headers, headers.length + 2);
        all[headers.length] = "receipt";
        all[headers.length + 1] = receipt;
        write(command, body, all);
        Frame answer = other();
        if (!answer.command().equals("RECEIPT") || !receipt.equals(answer.get("receipt-id"))) {
            throw new AssertionError(command + ": " + answer.command() + " " + answer.headers());
        }
    }

    /** A text without a length, so that it is one for JMS as well. */
    void send(String destination, String text, String... headers) throws Exception {
        String[] all = new String[headers.length + 2];
        all[0] = "destination";
        all[1] = destination;
        System.arraycopy(headers, 0, all, 2, headers.length);
        done("SEND", text.getBytes(StandardCharsets.UTF_8), all);
    }

    void subscribe(String destination, String ack, String... headers) throws Exception {
        String[] all = new String[headers.length + 6];
        String[] own = {"id", "s", "destination", destination, "ack", ack};
        System.arraycopy(own, 0, all, 0, own.length);
        System.arraycopy(headers, 0, all, own.length, headers.length);
        done("SUBSCRIBE", null, all);
    }

    /** The next message. */
    Frame next() throws Exception {
        Frame message = messages.poll(Broker.SOON, TimeUnit.MILLISECONDS);
        if (message == null) {
            throw new AssertionError("no message came; beside them " + others);
        }
        return message;
    }

    /** Nothing comes. */
    void none() throws Exception {
        Frame message = messages.poll(Broker.NOTHING, TimeUnit.MILLISECONDS);
        Broker.same(null, message == null ? null : message.text());
    }

    /** A receipt or an error. */
    private Frame other() throws Exception {
        Frame frame = others.poll(Broker.SOON, TimeUnit.MILLISECONDS);
        if (frame == null) {
            throw new AssertionError("no answer came");
        }
        return frame;
    }

    private void read() {
        try (InputStream in = new BufferedInputStream(socket.getInputStream())) {
            while (true) {
                Frame frame = frame(in);
                (frame.command().equals("MESSAGE") ? messages : others).add(frame);
            }
        } catch (IOException end) {
            // Closed from either side; who waits for a frame waits in vain, and says so.
        }
    }

    private static Frame frame(InputStream in) throws IOException {
        String command = line(in);
        while (command.isEmpty()) {
            command = line(in);
        }
        Map<String, String> headers = new LinkedHashMap<>();
        for (String line = line(in); !line.isEmpty(); line = line(in)) {
            int colon = line.indexOf(':');
            headers.putIfAbsent(unescape(line.substring(0, colon)), unescape(line.substring(colon + 1)));
        }
        String length = headers.get("content-length");
        byte[] body = length == null ? until(in, 0) : in.readNBytes(Integer.parseInt(length));
        if (length != null && in.read() != 0) {
            throw new IOException("a body that is not as long as it says");
        }
        return new Frame(command, headers, body);
    }

    private static String line(InputStream in) throws IOException {
        return new String(until(in, '\n'), StandardCharsets.UTF_8);
    }

    private static byte[] until(InputStream in, int end) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (int one = in.read(); one != end; one = in.read()) {
            if (one < 0) {
                throw new EOFException();
            }
            out.write(one);
        }
        return out.toByteArray();
    }

    private static String escape(String text) {
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace(":", "\\c");
    }

    private static String unescape(String text) {
        StringBuilder out = new StringBuilder();
        for (int at = 0; at < text.length(); at++) {
            char one = text.charAt(at);
            if (one == '\\' && at + 1 < text.length()) {
                at++;
                char next = text.charAt(at);
                out.append(next == 'n' ? '\n' : next == 'r' ? '\r' : next == 'c' ? ':' : next);
            } else {
                out.append(one);
            }
        }
        return out.toString();
    }

    /** Goes without a word, as a killed process does. */
    @Override
    public void close() throws IOException {
        socket.close();
    }
}
