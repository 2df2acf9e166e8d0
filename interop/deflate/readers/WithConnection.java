import java.io.ByteArrayOutputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.zip.GZIPInputStream;

/** Reads with HttpURLConnection and GZIPInputStream. */
final class WithConnection {
    public static void main(String[] arguments) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(arguments[0]).openConnection();
        connection.setRequestProperty("Authorization", "Bearer " + arguments[1]);
        connection.setRequestProperty("Accept-Encoding", "gzip");
        GZIPInputStream plain = new GZIPInputStream(connection.getInputStream());
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
