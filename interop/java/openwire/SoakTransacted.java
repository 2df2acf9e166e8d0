import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TransactionRolledBackException;
import org.apache.activemq.ActiveMQConnection;

/**
 * Transactions and sends that nobody waits for, over `failover:`, while the server is killed again and again.
 *
 * <p>A producer commits three transactions of four and rolls the fourth back; each sends to two queues at once. A
 * consumer takes from the one in transactions of its own. The other nobody touches until the end: there each
 * transaction is whole and once, or not at all. Where a kill comes between a commit and its answer the client says that
 * it does not know, and either may be.
 */
final class SoakTransacted {
    private SoakTransacted() {}

    static final List<Scenarios.Case> KILLS = List.of(
            new Scenarios.Case("what was committed through kills is whole and there once", SoakTransacted::transactions),
            new Scenarios.Case("sends that nobody waits for are stored once and in order through kills", SoakTransacted::sends));

    /** Messages of one transaction. */
    private static final int WHOLE = 5;

    /** What became of the transactions of a side, by number or by text. */
    private static final class Fates<T> {
        final Set<T> committed = ConcurrentHashMap.newKeySet();
        final Set<T> rolledBack = ConcurrentHashMap.newKeySet();
        final Set<T> inDoubt = ConcurrentHashMap.newKeySet();

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
        Fates<Integer> sent = new Fates<>();
        Fates<String> taken = new Fates<>();
        try (Held<ActiveMQConnection> producers = Held.of(Failover.connect(broker, broker.url, "&jms.useAsyncSend=true"));
                Held<ActiveMQConnection> consumers = Held.of(Failover.connect(broker, broker.url))) {
            producers.it.start();
            consumers.it.start();
            Thread producer = Soak.guarded(failure, () -> produce(producers.it, name, over, sent));
            Thread consumer = Soak.guarded(failure, () -> consume(consumers.it, name, allSent, sent, taken));
            Soak.kills(failure);
            over.set(true);
            producer.join(60_000);
            allSent.set(true);
            consumer.join(60_000);
            Broker.note("sent: " + sent + ", taken: " + taken);
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
        // What was taken for certain and what may have been are all that was sent.
        Set<String> left = new HashSet<>(once);
        left.removeAll(taken.committed);
        left.removeAll(taken.inDoubt);
        Broker.same(Set.of(), left);
        Broker.same(true, once.containsAll(taken.committed));
    }

    private static int there(Set<String> stored, int transaction) {
        int count = 0;
        for (int part = 0; part < WHOLE; part++) {
            count += stored.contains(transaction + "." + part) ? 1 : 0;
        }
        return count;
    }

    private static void produce(ActiveMQConnection connection, String name, AtomicBoolean over, Fates<Integer> fates)
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
                    fates.committed.add(number);
                }
            } catch (TransactionRolledBackException unknown) {
                if (!fates.rolledBack.contains(number)) {
                    fates.inDoubt.add(number);
                }
            }
        }
    }

    /** Takes until all that was committed is taken; what was taken for certain must not come again. */
    private static void consume(
            ActiveMQConnection connection, String name, AtomicBoolean allSent, Fates<Integer> sent, Fates<String> fates)
            throws Exception {
        connection.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
        connection.getRedeliveryPolicy().setMaximumRedeliveries(-1);
        Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
        MessageConsumer consumer = session.createConsumer(session.createQueue(name));
        List<String> open = new ArrayList<>();
        long quiet = System.nanoTime();
        while (true) {
            Message message = consumer.receive(500);
            if (message != null) {
                quiet = System.nanoTime();
                String text = Broker.text(message);
                if (fates.committed.contains(text)) {
                    throw new AssertionError(text + " came again");
                }
                open.add(text);
            }
            if (!open.isEmpty() && (message == null || open.size() == WHOLE)) {
                try {
                    session.commit();
                    fates.committed.addAll(open);
                } catch (TransactionRolledBackException unknown) {
                    Broker.note(open + ": " + unknown.getMessage());
                    fates.inDoubt.addAll(open);
                }
                open.clear();
            } else if (message == null && allSent.get()) {
                // What is in doubt may come yet.
                long seconds = (System.nanoTime() - quiet) / 1_000_000_000L;
                int certain = fates.committed.size() + fates.inDoubt.size();
                if (seconds > 20 || seconds > 2 && certain >= sent.committed.size() * WHOLE) {
                    return;
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
