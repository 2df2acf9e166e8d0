import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;

/** The server's other door: events as JSON over HTTP, and as `outflow tail` prints them. */
final class Http {
    private static final String URL = System.getenv("OUTFLOW_URL");
    private static final HttpClient CLIENT =
            HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    private final Broker broker;

    Http(Broker broker) {
        this.broker = broker;
    }

    static boolean isThere() {
        return URL != null;
    }

    private HttpRequest.Builder events(String stream, String query) {
        String path = "/v1/projects/" + broker.user + "/streams/" + stream + "/events" + query;
        return HttpRequest.newBuilder(URI.create(URL + path)).header("Authorization", "Bearer " + broker.password);
    }

    /** Publishes events, one object or several. */
    void publish(String stream, String events) throws Exception {
        HttpRequest request = events(stream, "").POST(BodyPublishers.ofString(events)).build();
        HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new AssertionError(answer.statusCode() + " " + answer.body());
        }
    }

    /** The lines of all events of a stream. */
    List<String> read(String stream) throws Exception {
        HttpRequest request = events(stream, "?start=earliest&follow=false").build();
        HttpResponse<String> answer = CLIENT.send(request, BodyHandlers.ofString());
        Broker.same(200, answer.statusCode());
        return lines(answer.body());
    }

    /** The same, by the command that people read with. */
    List<String> tail(String stream) throws Exception {
        ProcessBuilder command = new ProcessBuilder(
                System.getenv("OUTFLOW_BINARY"), "tail", stream, "--from", "earliest", "--no-follow", "--format", "line",
                "--server", URL, "--project", broker.user);
        command.environment().put("OUTFLOW_TOKEN", broker.password);
        Process process = command.redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String printed = new String(process.getInputStream().readAllBytes(), "UTF-8");
        Broker.same(0, process.waitFor());
        return lines(printed);
    }

    private static List<String> lines(String text) {
        List<String> lines = new ArrayList<>(List.of(text.split("\n")));
        lines.removeIf(String::isBlank);
        return lines;
    }
}
