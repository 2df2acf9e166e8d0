import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.asynchttpclient.config.AsyncHttpClientConfigHelper;

/** Restarts, refusals, dead clients, pinning and TLS. */
final class Trouble {
    public static void main(String[] arguments) {
        Stand stand = new Stand(arguments[0]);

        for (String word : List.of("restart", "kill")) {
            stand.check("a " + word + " is survived without loss", () -> {
                try (Feed feed = new Feed(stand.url, Stand.KEY, "{\"start\":\"LATEST\"}").opened()) {
                    List<Long> offsets = new ArrayList<>(stand.publish("OPEN", "CLOSE"));
                    List<Long> found = new ArrayList<>(feed.take(2));
                    Stand.order(word);
                    offsets.addAll(stand.publish("SEND", "OPEN"));
                    found.addAll(feed.take(2));
                    Stand.same(offsets, found);
                }
                return null;
            });
        }

        stand.check("error 400", () -> refused(stand, Stand.KEY, "{\"filters\":[]}", 400));
        stand.check("error 401", () -> refused(stand, "wrong", "{}", 401));
        stand.check("error 402", () -> {
            String token = stand.token("{\"max_connections\":1}");
            List<Feed> open = new ArrayList<>();
            try {
                while (open.size() < 4) {
                    open.add(new Feed(stand.url, token, "{}").opened());
                }
                return refused(stand, token, "{}", 402);
            } finally {
                for (Feed feed : open) {
                    feed.close();
                }
            }
        });
        stand.check("error 403", () -> {
            String body = refused(stand, stand.token("{\"event_types\":[\"OPEN\"]}"), "{\"filters\":[{\"types\":[\"SEND\"]}]}", 403);
            Stand.same(true, body.contains("not entitled SEND"));
            return null;
        });

        stand.check("error 404 for a project without its data", () -> {
            String[] stranger = stand.stranger();
            return refused(new Feed(stand.url + "/api/events/", stranger[0], stranger[1], "{}", Map.of()), 404);
        });
        stand.check("error 406 for another version", () -> {
            Map<String, String> accept = Map.of("Accept", "application/vnd.urbanairship+x-ndjson; version=9;");
            return refused(new Feed(stand.url + "/api/events/", Stand.KEY, Stand.KEY, "{}", accept), 406);
        });
        stand.check("error 401 at the compliance door, which takes no Bearer",
                () -> refused(new Feed(stand.url + "/api/events/general/", Stand.KEY, Stand.KEY, "{}", Map.of()), 401));

        stand.check("a killed client frees its places within thirty seconds", () -> killed(stand));

        stand.check("a pinning balancer is followed", () -> {
            Process proxy = new ProcessBuilder("python3", "../balancer/balancer.py", stand.url, "pin").start();
            try {
                String url = proxy.inputReader().readLine();
                try (Feed feed = new Feed(url, Stand.KEY, "{\"start\":\"LATEST\"}").opened()) {
                    Stand.same(stand.publish("OPEN"), feed.take(1));
                }
            } finally {
                proxy.destroyForcibly();
            }
            return null;
        });

        stand.check("TLS 1.2 with a private authority, the newest that the stack enables", () -> secured("TLSv1.2"));
        stand.check("TLS 1.3 with a private authority, where the stack is told to", () -> {
            // What a user of the client gives the JVM with -D.
            System.setProperty("org.asynchttpclient.enabledProtocols", "TLSv1.3");
            AsyncHttpClientConfigHelper.reloadProperties();
            return secured("TLSv1.3");
        });
        System.exit(0);
    }

    private static String secured(String version) throws Exception {
        try (Feed feed = new Feed(System.getenv("OUTFLOW_TLS_URL"), Stand.KEY, "{}").opened()) {
            Stand.same(1, feed.connects);
            Stand.same(version, feed.secured);
        }
        return null;
    }

    /** A client in a process of its own takes all places and is killed; another has them soon after. */
    private static String killed(Stand stand) throws Exception {
        String token = stand.token("{\"max_connections\":3}");
        Process holder = new ProcessBuilder(ProcessHandle.current().info().command().orElse("java"),
                "-cp", System.getProperty("java.class.path"), "-Dio.netty.machineId=01:02:03:04:05:06", "Holder", stand.url, token)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        int held;
        try {
            held = Integer.parseInt(holder.inputReader().readLine());
            refused(stand, token, "{}", 402);
        } finally {
            holder.destroyForcibly().waitFor();
        }
        long begun = System.nanoTime();
        List<Feed> open = new ArrayList<>();
        try {
            while (open.size() < held) {
                Feed feed = new Feed(stand.url, token, "{}").opened();
                if (feed.connects > 0) {
                    open.add(feed);
                    continue;
                }
                feed.close();
                if (System.nanoTime() - begun > TimeUnit.SECONDS.toNanos(30)) {
                    throw new AssertionError(open.size() + " of " + held + " places are free after 30 s");
                }
                Thread.sleep(500);
            }
        } finally {
            for (Feed feed : open) {
                feed.close();
            }
        }
        return held + " places in " + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begun) + " ms";
    }

    private static String refused(Stand stand, String token, String query, int status) throws Exception {
        return refused(new Feed(stand.url, token, query), status);
    }

    private static String refused(Feed refusing, int status) throws Exception {
        try (Feed feed = refusing) {
            Object event = feed.next(10);
            throw new AssertionError("it was let in: " + event);
        } catch (Feed.Refused refused) {
            Stand.same(status, refused.status);
            Stand.same(true, refused.body.startsWith("{"));
            return refused.body;
        }
    }
}
