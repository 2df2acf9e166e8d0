import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.UUID;

/**
 * The server under test as the Java drivers see it: publish, restart, provision, report.
 *
 * <p>Each driver is called with the server's address and prints one JSON line per case.
 */
final class Stand {
    static final String KEY = "sample_connection";
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    final String url;

    Stand(String url) {
        this.url = url;
    }

    interface Body {
        String run() throws Exception;
    }

    /** Runs a case and reports it: ok if it returns, failed if it throws. */
    void check(String name, Body body) {
        JsonObject outcome = new JsonObject();
        outcome.addProperty("case", name);
        try {
            String detail = body.run();
            outcome.addProperty("ok", true);
            outcome.addProperty("detail", detail == null ? "" : detail);
        } catch (Throwable fault) {
            outcome.addProperty("ok", false);
            outcome.addProperty("detail", fault.toString());
        }
        System.out.println(new Gson().toJson(outcome));
    }

    static void same(Object expected, Object got) {
        if (!Objects.equals(expected, got)) {
            throw new AssertionError("expected " + expected + ", got " + got);
        }
    }

    static JsonObject event(String type) {
        JsonObject event = new JsonObject();
        event.addProperty("id", UUID.randomUUID().toString());
        event.addProperty("type", type);
        return event;
    }

    /** Publishes and returns the offsets. */
    List<Long> publish(String... types) throws Exception {
        List<JsonObject> events = new ArrayList<>();
        for (String type : types) {
            events.add(event(type));
        }
        return publish(events);
    }

    /** Publishes and returns the offsets. */
    List<Long> publish(List<JsonObject> all) throws Exception {
        JsonArray events = new JsonArray();
        all.forEach(events::add);
        List<Long> offsets = new ArrayList<>();
        String path = "/v1/projects/" + KEY + "/streams/events/events";
        for (var placed : post(path, events.toString()).getAsJsonArray("events")) {
            offsets.add(placed.getAsJsonObject().get("offset").getAsLong());
        }
        return offsets;
    }

    /** A token of a new integration with these settings. */
    String token(String settings) throws Exception {
        String path = "/v1/projects/" + KEY + "/integrations";
        JsonObject wanted = JsonParser.parseString(settings).getAsJsonObject();
        wanted.addProperty("id", "interop-" + UUID.randomUUID());
        String id = post(path, wanted.toString()).get("id").getAsString();
        return post(path + "/" + id + "/tokens", "{\"name\":\"interop\"}").get("secret").getAsString();
    }

    /** A token of a project whose data is gone, and the project's key. */
    String[] stranger() throws Exception {
        String key = "gone-" + UUID.randomUUID();
        post("/v1/projects", "{\"id\":\"" + key + "\"}");
        post("/v1/projects/" + key + "/integrations", "{\"id\":\"one\"}");
        String token = post("/v1/projects/" + key + "/integrations/one/tokens", "{\"name\":\"interop\"}").get("secret").getAsString();
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + "/v1/projects/" + key + "/streams/events"))
                .header("Authorization", "Bearer " + System.getenv("OUTFLOW_OPERATOR_TOKEN"))
                .DELETE()
                .build();
        same(204, HTTP.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
        return new String[] {key, token};
    }

    private JsonObject post(String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url + path))
                .header("Authorization", "Bearer " + System.getenv("OUTFLOW_OPERATOR_TOKEN"))
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        HttpResponse<String> answer = HTTP.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() / 100 != 2) {
            throw new AssertionError(path + ": " + answer.statusCode() + " " + answer.body());
        }
        return JsonParser.parseString(answer.body()).getAsJsonObject();
    }

    /** Has the server restarted, killed, drained or started, and waits until it is done. */
    static void order(String word) throws Exception {
        String[] control = System.getenv("OUTFLOW_CONTROL").split(":");
        try (Socket socket = new Socket(control[0], Integer.parseInt(control[1]))) {
            socket.getOutputStream().write((word + "\n").getBytes());
            same("ok", new BufferedReader(new InputStreamReader(socket.getInputStream())).readLine());
        }
    }
}
