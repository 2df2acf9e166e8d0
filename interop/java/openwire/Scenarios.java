import java.util.List;

/** What ActiveMQ's Java clients are used for, each in a connection and on destinations of its own. */
final class Scenarios {
    private Scenarios() {}

    record Case(String name, Broker.Body body) {}

    static final List<List<Case>> ALL =
            List.of(Messages.CASES, Queues.CASES, Topics.CASES, Transactions.CASES, Refusals.CASES);

    public static void main(String[] arguments) {
        Broker broker = new Broker(arguments[0]);
        List<String> chosen = List.of(arguments).subList(1, arguments.length);
        for (List<Case> cases : ALL) {
            for (Case one : cases) {
                if (chosen.isEmpty() || chosen.stream().anyMatch(one.name()::contains)) {
                    broker.check(one.name(), one.body());
                }
            }
        }
        System.exit(0);
    }
}
