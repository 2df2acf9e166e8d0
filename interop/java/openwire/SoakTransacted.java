import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TransactionRolledBackException;
import org.apache.activemq.ActiveMQConnection;

/**
 * Transactions and sends that nobody waits for, over `failover:`, while the server is killed again and again.
 *
 * <p>A producer commits three transactions of four and rolls the fourth back; each sends to two queues at once. From
 * the one a consumer takes and acknowledges. The other nobody touches until the end: there each transaction is whole
 * and once, or not at all. Where a kill comes between a commit and its answer the client says that it does not know, and
 * either may be.
 */
final class SoakTransacted {
    private SoakTransacted() {}

    static final List<Scenarios.Case> KILLS = List.of(
            new Scenarios.Case("what was committed through kills is whole and there once", SoakTransacted::transactions),
            new Scenarios.Case("sends that nobody waits for are stored once and in order through kills", SoakTransacted::sends));

    /** Messages of one transaction. */
    private static final int WHOLE = 5;

    /** What became of the producer's transactions, by their numbers, and the texts of those committed. */
    private static final class Fates {
        final Set<Integer> committed = ConcurrentHashMap.newKeySet();
        final Set<Integer> rolledBack = ConcurrentHashMap.newKeySet();
        final Set<Integer> inDoubt = ConcurrentHashMap.newKeySet();
        final Set<String> texts = ConcurrentHashMap.newKeySet();

        @Override
        public String toString() {
            return committed.size() + " committed, " + rolledBack.size() + " rolled back, " + inDoubt.size() + " in doubt";
        }
    }

    private static void transactions(Broker broker) throws Exception {
        String name = Broker.name("soak");
        AtomicBoolean over = new AtomicBoolean();
        AtomicBoolean allSent = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Fates sent = new Fates();
        Set<String> taken = ConcurrentHashMap.newKeySet();
        try (Held<ActiveMQConnection> producers = Held.of(Failover.connect(broker, broker.url, "&jms.useAsyncSend=true"));
                Held<ActiveMQConnection> consumers = Held.of(Failover.connect(broker, broker.url))) {
            producers.it.start();
            consumers.it.start();
            Thread producer = Soak.guarded(failure, () -> produce(producers.it, name, over, sent));
            Thread consumer = Soak.guarded(failure, () -> Soak.consume(consumers.it, name, allSent, sent.texts, taken));
            Soak.kills(failure);
            over.set(true);
            producer.join(60_000);
            allSent.set(true);
            consumer.join(60_000);
            Broker.note(sent + ", " + taken.size() + " messages taken");
            Soak.done(failure, producer, consumer);
        }
        Broker.same(true, sent.committed.size() > Soak.ROUNDS);
        List<String> stored = Failover.drain(broker, name + ".untouched");
        Set<String> once = new HashSet<>(stored);
        Broker.same(once.size(), stored.size());
        for (int number : sent.committed) {
            Broker.same(WHOLE, there(once, number));
        }
        for (int number : sent.rolledBack) {
            Broker.same(0, there(once, number));
        }
        for (int number : sent.inDoubt) {
            Broker.same(true, there(once, number) % WHOLE == 0);
        }
        // All of what was committed was taken, and nothing that is not there.
        Broker.same(true, taken.containsAll(sent.texts));
        Broker.same(true, once.containsAll(taken));
    }

    private static int there(Set<String> stored, int transaction) {
        int count = 0;
        for (int part = 0; part < WHOLE; part++) {
            count += stored.contains(transaction + "." + part) ? 1 : 0;
        }
        return count;
    }

    private static void produce(ActiveMQConnection connection, String name, AtomicBoolean over, Fates fates)
            throws Exception {
        Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
        MessageProducer producer = session.createProducer(session.createQueue(name + "," + name + ".untouched"));
        for (int number = 0; !over.get(); number++) {
            try {
                for (int part = 0; part < WHOLE; part++) {
                    producer.send(session.createTextMessage(number + "." + part));
                }
                if (number % 4 == 3) {
                    fates.rolledBack.add(number);
                    session.rollback();
                } else {
                    session.commit();
                    for (int part = 0; part < WHOLE; part++) {
                        fates.texts.add(number + "." + part);
                    }
                    fates.committed.add(number);
                }
            } catch (TransactionRolledBackException unknown) {
                if (!fates.rolledBack.contains(number)) {
                    fates.inDoubt.add(number);
                }
            }
        }
    }

    /** What the client keeps of them it sends again after a kill, whether it had arrived or not. */
    private static void sends(Broker broker) throws Exception {
        String name = Broker.name("soak");
        AtomicBoolean over = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        String options = "&trackMessages=true&maxCacheSize=262144&jms.useAsyncSend=true";
        try (Held<ActiveMQConnection> held = Held.of(Failover.connect(broker, broker.url, options))) {
            held.it.start();
            Thread producer = Soak.guarded(failure, () -> {
                Session session = Broker.auto(held.it);
                MessageProducer sender = session.createProducer(session.createQueue(name));
                Random random = new Random();
                for (int number = 0; !over.get(); number++) {
                    sender.send(session.createTextMessage("" + number));
                    if (random.nextInt(20) == 0) {
                        Thread.sleep(5);
                    }
                }
            });
            Soak.kills(failure);
            over.set(true);
            producer.join(60_000);
            Soak.done(failure, producer);
        }
        int last = -1;
        List<String> stored = Failover.drain(broker, name);
        for (String text : stored) {
            int number = Integer.parseInt(text);
            if (number <= last) {
                throw new AssertionError(number + " stands behind " + last);
            }
            last = number;
        }
        Broker.note(stored.size() + " stored of " + (last + 1));
        Broker.same(true, stored.size() > Soak.ROUNDS);
    }
}
