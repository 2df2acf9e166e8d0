import java.io.BufferedReader;
import java.io.InputStreamReader;
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
        BufferedReader lines = new BufferedReader(new InputStreamReader(plain, "UTF-8"));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            if (!line.isEmpty()) {
                System.out.println(Long.parseLong(line.split("\"offset\":\"")[1].substring(0, 16)));
            }
        }
    }
}
