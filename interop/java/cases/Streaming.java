import com.google.gson.JsonObject;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Live events, idle times, offset updates, places, filters and subsets. */
final class Streaming {
    public static void main(String[] arguments) {
        Stand stand = new Stand(arguments[0]);

        stand.check("live events arrive", () -> {
            try (Feed feed = feed(stand, "{\"start\":\"LATEST\"}").opened()) {
                Stand.same(stand.publish("OPEN", "CLOSE", "SEND"), feed.take(3));
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

        stand.check("filters with devices, notifications and predicates", () -> {
            long before = stand.publish("OPEN").get(0);
            List<Long> offsets = stand.publish("OPEN", "CLOSE");
            String filters = "[{\"types\":[\"CLOSE\"],\"latency\":600000},"
                    + "{\"devices\":[{\"android_channel\":\"a\"}]},{\"notifications\":[{\"group_id\":\"g\"}]},"
                    + "{\"predicates\":[{\"key\":\"type\",\"value\":{\"equals\":\"SEND\"}}]}]";
            try (Feed feed = feed(stand, "{\"resume_offset\":\"" + before + "\",\"filters\":" + filters + "}")) {
                Stand.same(offsets.subList(1, 2), feed.take(1));
            }
            return null;
        });

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
        System.exit(0);
    }

    private static Feed feed(Stand stand, String query) {
        return new Feed(stand.url, Stand.KEY, query);
    }
}
