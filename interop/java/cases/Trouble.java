import java.util.ArrayList;
import java.util.List;

/** Restarts, refusals, pinning and TLS. */
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
            return refused(new Feed(stand.url, stranger[0], stranger[1], "{}", "*/*"), 404);
        });
        stand.check("error 406 for another version", () -> {
            String accept = "application/vnd.urbanairship+x-ndjson; version=9;";
            return refused(new Feed(stand.url, Stand.KEY, Stand.KEY, "{}", accept), 406);
        });

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

        stand.check("TLS with a private authority", () -> {
            try (Feed feed = new Feed(System.getenv("OUTFLOW_TLS_URL"), Stand.KEY, "{}").opened()) {
                Stand.same(1, feed.connects);
            }
            return null;
        });
        System.exit(0);
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
