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
import org.apache.activemq.ActiveMQConnection;

/**
 * A producer and a consumer over `failover:` while the server is killed again and again.
 *
 * <p>The producer sends to two queues at once. From the one the consumer takes; what it acknowledged must be all
 * that was sent. The other nobody touches until the end: what stands there was stored, and once.
 */
final class Soak {
    private Soak() {}

    static final List<Scenarios.Case> KILLS = List.of(
            new Scenarios.Case("nothing sent is lost and nothing stored twice through kills", Soak::run));

    static final int ROUNDS =
            Integer.parseInt(System.getenv().getOrDefault("OUTFLOW_KILL_ROUNDS", "5"));

    private static void run(Broker broker) throws Exception {
        String name = Broker.name("soak");
        AtomicBoolean over = new AtomicBoolean();
        // Set when the last send has returned: one that is under way is not yet among those sent.
        AtomicBoolean allSent = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Set<String> sent = ConcurrentHashMap.newKeySet();
        Set<String> acked = ConcurrentHashMap.newKeySet();
        try (Held<ActiveMQConnection> producers = Held.of(Failover.connect(broker, broker.url));
                Held<ActiveMQConnection> consumers = Held.of(Failover.connect(broker, broker.url))) {
            producers.it.start();
            consumers.it.start();
            Thread producer = guarded(failure, () -> produce(producers.it, name, over, sent));
            Thread consumer = guarded(failure, () -> consume(consumers.it, name, allSent, sent, acked));
            kills(failure);
            over.set(true);
            producer.join(60_000);
            allSent.set(true);
            consumer.join(60_000);
            done(failure, producer, consumer);
        }
        Broker.note(sent.size() + " sent, " + acked.size() + " acknowledged");
        Broker.same(true, sent.size() > ROUNDS);
        Broker.same(new HashSet<>(sent), new HashSet<>(acked));
        Set<String> stored = new HashSet<>();
        for (String text : Failover.drain(broker, name + ".untouched")) {
            if (!stored.add(text)) {
                throw new AssertionError(text + " was stored twice");
            }
        }
        Broker.same(new HashSet<>(sent), stored);
    }

    private static void produce(ActiveMQConnection connection, String name, AtomicBoolean over, Set<String> sent)
            throws Exception {
        Session session = Broker.auto(connection);
        MessageProducer producer = session.createProducer(session.createQueue(name + "," + name + ".untouched"));
        for (int number = 0; !over.get(); number++) {
            producer.send(session.createTextMessage("" + number));
            sent.add("" + number);
        }
    }

    /** Takes until all that was sent is acknowledged. */
    static void consume(
            ActiveMQConnection connection, String name, AtomicBoolean allSent, Set<String> sent, Set<String> acked)
            throws Exception {
        Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(session.createQueue(name));
        long quiet = System.nanoTime();
        while (true) {
            Message message = consumer.receive(500);
            if (message != null) {
                message.acknowledge();
                acked.add(Broker.text(message));
                quiet = System.nanoTime();
            } else if (allSent.get() && (acked.containsAll(sent) || System.nanoTime() - quiet > 20_000_000_000L)) {
                return;
            }
        }
    }

    interface Work {
        void run() throws Exception;
    }

    /** Kills the server as often as was asked for, or until something has failed. */
    static void kills(AtomicReference<Throwable> failure) throws Exception {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        for (int round = 0; round < ROUNDS && failure.get() == null; round++) {
            Thread.sleep(150 + random.nextInt(400));
            Server.kill();
        }
        Throwable fault = failure.get();
        if (fault != null) {
            throw new AssertionError("seed " + seed + ": " + fault, fault);
        }
    }

    /** Does `work` beside, and keeps what it throws. */
    static Thread guarded(AtomicReference<Throwable> failure, Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (Throwable fault) {
                failure.compareAndSet(null, fault);
            }
        });
        thread.start();
        return thread;
    }

    /** All threads have come to their end, and well. */
    static void done(AtomicReference<Throwable> failure, Thread... threads) {
        Throwable fault = failure.get();
        if (fault != null) {
            throw new AssertionError(fault.toString(), fault);
        }
        for (Thread thread : threads) {
            if (thread.isAlive()) {
                throw new AssertionError("it hangs in " + List.of(thread.getStackTrace()));
            }
        }
    }
}
