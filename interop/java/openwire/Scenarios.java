import java.util.ArrayList;
import java.util.List;

/** What ActiveMQ's Java clients are used for, each in a connection and on destinations of its own. */
final class Scenarios {
    private Scenarios() {}

    record Case(String name, Broker.Body body) {}

    static List<Case> all() {
        List<Case> all = new ArrayList<>();
        all.addAll(Messages.CASES);
        all.addAll(Queues.CASES);
        all.addAll(Consuming.CASES);
        all.addAll(Acknowledging.CASES);
        all.addAll(Topics.CASES);
        all.addAll(Transactions.CASES);
        all.addAll(Scheduled.CASES);
        all.addAll(Refusals.CASES);
        all.addAll(Advisories.CASES);
        all.addAll(Failover.CASES);
        all.addAll(Distributed.CASES);
        if (Stomp.isThere()) {
            all.addAll(Crossing.CASES);
            all.addAll(Sharing.CASES);
        }
        if (Stomp.isThere() && Http.isThere()) {
            all.addAll(Published.CASES);
        }
        if (Secured.isThere()) {
            all.addAll(Secured.CASES);
        }
        // The customer and its feed are the demonstration's, which is ours to kill as well.
        if (Server.isOurs()) {
            all.addAll(Feed.CASES);
            all.addAll(Forbidden.CASES);
            all.addAll(Failover.KILLS);
            all.addAll(Distributed.KILLS);
            all.addAll(Scheduled.KILLS);
            all.addAll(Soak.KILLS);
            all.addAll(SoakTransacted.KILLS);
        }
        return all;
    }

    public static void main(String[] arguments) {
        run(arguments, all());
    }

    /** Runs the cases, or those whose names hold one of the arguments behind the first. */
    static void run(String[] arguments, List<Case> cases) {
        Broker broker = new Broker(arguments[0]);
        List<String> chosen = List.of(arguments).subList(1, arguments.length);
        for (Case one : cases) {
            if (chosen.isEmpty() || chosen.stream().anyMatch(one.name()::contains)) {
                broker.check(one.name(), one.body());
            }
        }
        System.exit(0);
    }
}
