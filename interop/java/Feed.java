import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.netty.handler.codec.http.HttpHeaders;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import javax.net.ssl.SSLSession;
import org.asynchttpclient.AsyncHandler;
import org.asynchttpclient.AsyncHttpClient;
import org.asynchttpclient.BoundRequestBuilder;
import org.asynchttpclient.DefaultAsyncHttpClientConfig;
import org.asynchttpclient.Dsl;
import org.asynchttpclient.HttpResponseBodyPart;
import org.asynchttpclient.HttpResponseStatus;

/**
 * A reader that stands in for Airship's Java client: the HTTP stack, the settings and the manners of
 * {@code com.urbanairship:connect-client} 5.5.0, whose own jar is not on Maven Central: async-http-client with a read timeout of
 * five seconds and no retries of its own; no Content-Type and no Accept-Encoding in the request;
 * decoding by Content-Encoding; lines cut at {@code \n} only; every line has an offset; after any
 * end it connects again from the last offset and drops a first event with that offset; cookies of
 * a 307 are sent along, and its Location is not looked at. Beyond the client it takes any query and
 * any header, for what others send through the same stack.
 */
final class Feed implements AutoCloseable {
    /** An answer that is no stream, as the client shows it to its user. */
    static final class Refused extends Exception {
        final int status;
        final String body;

        Refused(int status, String body) {
            super(status + ": " + body);
            this.status = status;
            this.body = body;
        }
    }

    private final String url;
    private final String token;
    private final JsonObject query;
    private final AsyncHttpClient http;
    private final BlockingQueue<JsonObject> events = new LinkedBlockingQueue<>();
    private final Thread reader;
    private volatile Refused refused;
    private volatile boolean closed;
    private volatile String lastOffset;
    private String cookie;
    private final String key;
    /** In place of the client's own, or beside them. */
    private final Map<String, String> headers;
    /** Held while the user of the feed takes nothing. */
    private final ReentrantLock hold = new ReentrantLock();
    /** How often a stream was opened. */
    volatile int connects;
    /** How the last stream was compressed; null if it was not. */
    volatile String encoding;
    /** Which TLS it came through; null if none. */
    volatile String secured;

    Feed(String url, String token, String query) {
        this(url + "/api/events/", Stand.KEY, token, query, Map.of());
    }

    /** At an address that is taken as it is, as the client takes its own. */
    Feed(String endpoint, String key, String token, String query, Map<String, String> headers) {
        this.url = endpoint;
        this.key = key;
        this.token = token;
        this.headers = headers;
        this.query = JsonParser.parseString(query).getAsJsonObject();
        this.http = Dsl.asyncHttpClient(new DefaultAsyncHttpClientConfig.Builder()
                .setConnectTimeout(10_000)
                .setReadTimeout(5_000)
                .setRequestTimeout(-1)
                .setMaxRequestRetry(0)
                .setKeepAlive(false)
                // Decoded as ever, but the header stays to be looked at.
                .setKeepEncodingHeader(true)
                .setUserAgent("UA Java Connect Client"));
        this.reader = new Thread(this::run);
        reader.setDaemon(true);
        reader.start();
    }

    /** The next event that is no OFFSET_UPDATE unless asked for; null if none comes in time. */
    JsonObject next(long seconds) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (System.nanoTime() < end) {
            JsonObject event = events.poll(100, TimeUnit.MILLISECONDS);
            if (event != null) {
                return event;
            }
            if (refused != null) {
                throw refused;
            }
        }
        return null;
    }

    /** The offsets of the next events. */
    List<Long> take(int count) throws Exception {
        List<Long> offsets = new ArrayList<>();
        while (offsets.size() < count) {
            JsonObject event = next(30);
            if (event == null) {
                throw new AssertionError(offsets.size() + " of " + count + " events");
            }
            offsets.add(event.get("offset").getAsLong());
        }
        return offsets;
    }

    /** Waits until the first stream is open. */
    Feed opened() throws Exception {
        for (int round = 0; connects == 0 && refused == null && round < 200; round++) {
            Thread.sleep(100);
        }
        return this;
    }

    /** Keeps the thread that reads the socket from going on, as a user does whose handler takes long. */
    void pause(boolean on) {
        if (on) {
            hold.lock();
        } else {
            hold.unlock();
        }
    }

    /** How many events have come and were not taken. */
    int waiting() {
        return events.size();
    }

    private void run() {
        while (!closed && refused == null) {
            try {
                http.executeRequest(request(), new Lines()).get();
            } catch (Exception broken) {
                // A broken stream or a refused connection: connect again from the last offset.
                pause(500);
            }
        }
    }

    private org.asynchttpclient.Request request() {
        JsonObject body = query.deepCopy();
        if (lastOffset != null) {
            body.remove("start");
            body.addProperty("resume_offset", lastOffset);
        }
        BoundRequestBuilder request = http.preparePost(url)
                .addHeader("Accept", "application/vnd.urbanairship+x-ndjson; version=3;")
                .addHeader("Authorization", "Bearer " + token)
                .addHeader("X-UA-Appkey", key)
                .setBody(body.toString().getBytes(StandardCharsets.UTF_8));
        if (cookie != null) {
            request.addHeader("Cookie", cookie);
        }
        headers.forEach(request::setHeader);
        return request.build();
    }

    private static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException ended) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() throws Exception {
        closed = true;
        http.close();
    }

    /** One answer, read line by line as it comes. */
    private final class Lines implements AsyncHandler<Void> {
        private byte[] rest = new byte[0];
        private int status;
        private boolean first = true;

        @Override
        public void onTlsHandshakeSuccess(SSLSession session) {
            secured = session.getProtocol();
        }

        @Override
        public State onStatusReceived(HttpResponseStatus received) {
            status = received.getStatusCode();
            return State.CONTINUE;
        }

        @Override
        public State onHeadersReceived(HttpHeaders headers) {
            if (status == 307) {
                List<String> cookies = headers.getAll("Set-Cookie");
                cookie = cookies.get(cookies.size() - 1).split(";")[0];
            } else if (status == 200) {
                encoding = headers.get("Content-Encoding");
                connects++;
            }
            return State.CONTINUE;
        }

        @Override
        public State onBodyPartReceived(HttpResponseBodyPart part) {
            hold.lock();
            hold.unlock();
            byte[] bytes = part.getBodyPartBytes();
            byte[] all = Arrays.copyOf(rest, rest.length + bytes.length);
            System.arraycopy(bytes, 0, all, rest.length, bytes.length);
            int from = 0;
            for (int at = 0; at < all.length && status == 200; at++) {
                if (all[at] == '\n') {
                    line(new String(all, from, at - from, StandardCharsets.UTF_8));
                    from = at + 1;
                }
            }
            rest = Arrays.copyOfRange(all, from, all.length);
            return closed ? State.ABORT : State.CONTINUE;
        }

        private void line(String line) {
            if (line.isEmpty()) {
                return;
            }
            JsonObject event = JsonParser.parseString(line).getAsJsonObject();
            String offset = event.get("offset").getAsString();
            boolean repeated = first && offset.equals(lastOffset);
            first = false;
            lastOffset = offset;
            if (!repeated) {
                events.add(event);
            }
        }

        @Override
        public void onThrowable(Throwable broken) {
            // The future carries it to the loop that connects again.
        }

        @Override
        public Void onCompleted() {
            if (status != 200 && status != 307) {
                refused = new Refused(status, new String(rest, StandardCharsets.UTF_8));
            }
            return null;
        }
    }
}
