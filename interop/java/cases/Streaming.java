import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.UUID;

/** Live events, idle times, offset updates, places, filters and subsets. */
final class Streaming {
    public static void main(String[] arguments) {
        Stand stand = new Stand(arguments[0]);

        stand.check("live events arrive, in gzip that nobody asked for", () -> {
            try (Feed feed = feed(stand, "{\"start\":\"LATEST\"}").opened()) {
                Stand.same(stand.publish("OPEN", "CLOSE", "SEND"), feed.take(3));
                Stand.same("gzip", feed.encoding);
            }
            return null;
        });

        stand.check("live events arrive as they are where identity is asked for", () -> {
            try (Feed feed = feed(stand, "{\"start\":\"LATEST\"}", Map.of("Accept-Encoding", "identity")).opened()) {
                Stand.same(stand.publish("OPEN", "CLOSE", "SEND"), feed.take(3));
                Stand.same(null, feed.encoding);
            }
            return null;
        });

        // Every other case has none: the client sends no Content-Type.
        stand.check("any Content-Type will do", () -> {
            for (String type : List.of("application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8")) {
                List<Long> offsets = stand.publish("OPEN", "CLOSE");
                String query = "{\"resume_offset\":\"" + offsets.get(0) + "\"}";
                try (Feed feed = feed(stand, query, Map.of("Content-Type", type))) {
                    Stand.same(offsets.subList(1, 2), feed.take(1));
                }
            }
            return null;
        });

        stand.check("thirty idle seconds do not trip the read timeout of five", () -> {
            try (Feed feed = feed(stand, "{}").opened()) {
                Thread.sleep(30_000);
                Stand.same(stand.publish("OPEN"), feed.take(1));
                Stand.same(1, feed.connects);
            }
            return null;
        });

        stand.check("offset updates come while idle and never run ahead", () -> {
            long last = stand.publish("OPEN").get(0);
            try (Feed feed = feed(stand, "{\"start\":\"LATEST\",\"enable_offset_updates\":true}")) {
                JsonObject update = feed.next(10);
                Stand.same("OFFSET_UPDATE", update.get("type").getAsString());
                Stand.same(last, update.get("offset").getAsLong());
                Stand.same(5, update.size());
            }
            return null;
        });

        stand.check("filtered events move the offset updates on", () -> {
            String query = "{\"start\":\"LATEST\",\"enable_offset_updates\":true,\"filters\":[{\"types\":[\"CLOSE\"]}]}";
            try (Feed feed = feed(stand, query).opened()) {
                long last = stand.publish("OPEN", "OPEN").get(1);
                for (int round = 0; round < 5; round++) {
                    JsonObject update = feed.next(10);
                    Stand.same("OFFSET_UPDATE", update.get("type").getAsString());
                    if (update.get("offset").getAsLong() == last) {
                        return null;
                    }
                }
                throw new AssertionError("no update reached " + last);
            }
        });

        stand.check("resume by string and by number", () -> {
            List<Long> offsets = stand.publish("OPEN", "CLOSE", "SEND");
            for (String place : List.of("\"" + offsets.get(0) + "\"", "" + offsets.get(0))) {
                try (Feed feed = feed(stand, "{\"resume_offset\":" + place + "}")) {
                    Stand.same(offsets.subList(1, 3), feed.take(2));
                }
            }
            return null;
        });

        stand.check("start and resume together resume", () -> {
            List<Long> offsets = stand.publish("OPEN", "CLOSE", "SEND");
            for (String start : List.of("LATEST", "EARLIEST")) {
                String query = "{\"start\":\"" + start + "\",\"resume_offset\":\"" + offsets.get(0) + "\"}";
                try (Feed feed = feed(stand, query)) {
                    Stand.same(offsets.subList(1, 3), feed.take(2));
                }
            }
            return null;
        });

        filters(stand);

        stand.check("partitions are disjoint and complete", () -> {
            long before = stand.publish("OPEN").get(0);
            List<Long> offsets = stand.publish(Collections.nCopies(100, "OPEN").toArray(new String[0]));
            List<Long> found = new ArrayList<>();
            for (int selection = 0; selection < 2; selection++) {
                String subset = "{\"type\":\"PARTITION\",\"count\":2,\"selection\":" + selection + "}";
                try (Feed feed = feed(stand, "{\"resume_offset\":\"" + before + "\",\"subset\":" + subset + "}")) {
                    for (JsonObject event = feed.next(10); event != null; event = feed.next(2)) {
                        found.add(event.get("offset").getAsLong());
                    }
                }
            }
            Collections.sort(found);
            Stand.same(offsets, found);
            return null;
        });
        stand.check("a slow reader loses nothing and holds nobody up", () -> {
            try (Feed feed = feed(stand, "{\"start\":\"LATEST\"}").opened()) {
                feed.pause(true);
                String big = "x".repeat(2000);
                List<Long> offsets = new ArrayList<>();
                for (int round = 0; round < 20; round++) {
                    List<JsonObject> events = new ArrayList<>();
                    while (events.size() < 500) {
                        JsonObject event = Stand.event("CUSTOM");
                        event.addProperty("body", big);
                        events.add(event);
                    }
                    offsets.addAll(stand.publish(events));
                }
                Thread.sleep(2_000);
                Stand.same(true, feed.waiting() < offsets.size());
                feed.pause(false);
                Stand.same(offsets, feed.take(offsets.size()));
            }
            return null;
        });
        System.exit(0);
    }

    /** Every shape of filters of the table that the drivers of all clients share. */
    private static void filters(Stand stand) {
        try {
            String text = Files.readString(Path.of("../filters.json"));
            for (String name : List.of("channel", "contact", "named", "push", "group", "other")) {
                text = text.replace("{" + name + "}", UUID.randomUUID().toString());
            }
            text = text.replace("{hour_ago}", Instant.now().minusSeconds(3600).truncatedTo(ChronoUnit.MILLIS).toString());
            JsonObject table = JsonParser.parseString(text).getAsJsonObject();
            long before = stand.publish("OPEN").get(0);
            List<String> names = new ArrayList<>();
            List<JsonObject> events = new ArrayList<>();
            for (var one : table.getAsJsonObject("events").entrySet()) {
                JsonObject event = one.getValue().getAsJsonObject();
                event.addProperty("id", UUID.randomUUID().toString());
                names.add(one.getKey());
                events.add(event);
            }
            List<Long> offsets = stand.publish(events);
            for (var shape : table.getAsJsonArray("shapes")) {
                JsonObject one = shape.getAsJsonObject();
                stand.check("filter: " + one.get("name").getAsString(), () -> {
                    picks(stand, before, offsets, names, one);
                    return null;
                });
            }
        } catch (Exception fault) {
            stand.check("filters", () -> {
                throw fault;
            });
        }
    }

    private static void picks(Stand stand, long before, List<Long> offsets, List<String> names, JsonObject shape)
            throws Exception {
        Set<String> expected = new TreeSet<>();
        shape.getAsJsonArray("picks").forEach(name -> expected.add(name.getAsString()));
        Set<String> found = new TreeSet<>();
        String query = "{\"resume_offset\":\"" + before + "\",\"enable_offset_updates\":true,\"filters\":" + shape.get("filters") + "}";
        try (Feed feed = feed(stand, query)) {
            long considered = before;
            // All were looked at once the last event or an update behind it has come.
            while (considered < offsets.get(offsets.size() - 1)) {
                JsonObject event = feed.next(10);
                if (event == null) {
                    throw new AssertionError("nothing behind " + considered);
                }
                considered = event.get("offset").getAsLong();
                if (!event.get("type").getAsString().equals("OFFSET_UPDATE")) {
                    found.add(names.get(offsets.indexOf(considered)));
                }
            }
        }
        Stand.same(expected, found);
    }

    private static Feed feed(Stand stand, String query) {
        return feed(stand, query, Map.of());
    }

    private static Feed feed(Stand stand, String query, Map<String, String> headers) {
        return new Feed(stand.url + "/api/events/", Stand.KEY, Stand.KEY, query, headers);
    }
}
