import java.util.ArrayList;
import java.util.List;

/**
 * A client that a driver kills: takes every place that a token has, prints how many there were, and
 * keeps them.
 */
final class Holder {
    public static void main(String[] arguments) throws Exception {
        List<Feed> open = new ArrayList<>();
        while (open.size() < 8) {
            Feed feed = new Feed(arguments[0], arguments[1], "{}").opened();
            if (feed.connects == 0) {
                break;
            }
            open.add(feed);
        }
        System.out.println(open.size());
        Thread.sleep(120_000);
    }
}
