import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.zip.GZIPInputStream;

/** Reads with java.net.http.HttpClient and GZIPInputStream. */
final class WithHttpClient {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Authorization", "Bearer " + arguments[1])
                .header("Accept-Encoding", "gzip")
                .build();
        HttpResponse<InputStream> answer = client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException("status " + answer.statusCode());
        }
        GZIPInputStream plain = new GZIPInputStream(answer.body());
        // No InputStreamReader: it fills its buffer, because an inflater always says it has more.
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        byte[] bytes = new byte[8192];
        for (int count = plain.read(bytes); count >= 0; count = plain.read(bytes)) {
            for (int at = 0; at < count; at++) {
                if (bytes[at] != '\n') {
                    line.write(bytes[at]);
                } else if (line.size() > 0) {
                    System.out.println(Long.parseLong(line.toString("UTF-8").split("\"offset\":\"")[1].substring(0, 16)));
                    line.reset();
                }
            }
        }
    }
}
