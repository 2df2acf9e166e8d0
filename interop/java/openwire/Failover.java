import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/** `failover:` addresses: what a program keeps while its connection is cut, or the server killed. */
final class Failover {
    private Failover() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a producer outlives cuts, and sends nothing twice", Failover::cuts),
            new Scenarios.Case("a consumer outlives cuts, and misses nothing", Failover::consumer),
            new Scenarios.Case("a temporary queue outlives a cut", Failover::temporary));

    /** What needs a server that can be killed. */
    static final List<Scenarios.Case> KILLS = List.of(
            new Scenarios.Case("a producer outlives kills, and sends nothing twice", Failover::kills),
            new Scenarios.Case("a transaction that was open at a kill is committed once", Failover::transaction),
            new Scenarios.Case("what was not acked before a kill comes again", Failover::unacked),
            new Scenarios.Case("a durable subscriber misses nothing over a restart", Failover::durable));

    private static final int MESSAGES = 400;

    static ActiveMQConnection connect(Broker broker, String url) throws Exception {
        return connect(broker, url, "");
    }

    /** The same, with more options: `&a=b`. */
    static ActiveMQConnection connect(Broker broker, String url, String more) throws Exception {
        String options = "?maxReconnectDelay=200&initialReconnectDelay=20&timeout=30000&jms.watchTopicAdvisories=true";
        String address = "failover:(" + url + ")" + options + more;
        return (ActiveMQConnection)
                new ActiveMQConnectionFactory(broker.user, broker.password, address).createConnection();
    }

    interface Trouble {
        void make() throws Exception;
    }

    /** Sends while trouble is made so many times; then every message is in the queue, and once. */
    private static void sends(Broker broker, String url, int times, Trouble trouble) throws Exception {
        String name = Broker.name("failover");
        AtomicReference<Exception> failure = new AtomicReference<>();
        CountDownLatch done = new CountDownLatch(1);
        Semaphore sent = new Semaphore(0);
        try (Held<ActiveMQConnection> held = Held.of(connect(broker, url))) {
            held.it.start();
            Session session = Broker.auto(held.it);
            MessageProducer producer = session.createProducer(session.createQueue(name));
            Thread sender = new Thread(() -> {
                try {
                    for (int number = 0; number < MESSAGES; number++) {
                        producer.send(session.createTextMessage("" + number));
                        sent.release();
                    }
                } catch (Exception fault) {
                    failure.set(fault);
                }
                done.countDown();
            });
            sender.start();
            for (int round = 0; round < times; round++) {
                // In the midst of it, and not before the client is back.
                Broker.same(true, sent.tryAcquire(MESSAGES / (times + 1), 90, TimeUnit.SECONDS));
                trouble.make();
            }
            Broker.same(true, done.await(90, TimeUnit.SECONDS));
            Broker.same(null, failure.get());
        }
        List<String> stored = drain(broker, name);
        Broker.same(MESSAGES, new HashSet<>(stored).size());
        Broker.same(MESSAGES, stored.size());
    }

    /** All that is in a queue, in order. */
    static List<String> drain(Broker broker, String name) throws Exception {
        List<String> texts = new ArrayList<>();
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            for (String text = Broker.next(consumer); text != null; text = Broker.text(consumer.receive(Broker.NOTHING))) {
                texts.add(text);
            }
        }
        return texts;
    }

    private static void cuts(Broker broker) throws Exception {
        try (Wire wire = new Wire(broker.url)) {
            sends(broker, wire.url(), 5, wire::cut);
        }
    }

    private static void kills(Broker broker) throws Exception {
        sends(broker, broker.url, 3, Server::kill);
    }

    private static void consumer(Broker broker) throws Exception {
        String name = Broker.name("consumed");
        try (Wire wire = new Wire(broker.url);
                Held<ActiveMQConnection> held = Held.of(connect(broker, wire.url()));
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            held.it.start();
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Session sends = Broker.auto(other.it);
            MessageProducer producer = sends.createProducer(sends.createQueue(name));
            Set<String> got = new HashSet<>();
            for (int number = 0; number < 100; number++) {
                producer.send(sends.createTextMessage("" + number));
                if (number % 25 == 12) {
                    wire.cut();
                }
            }
            for (Message one = consumer.receive(Broker.SOON); one != null; one = consumer.receive(Broker.NOTHING)) {
                got.add(Broker.text(one));
            }
            Broker.same(100, got.size());
        }
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Broker.none(session.createConsumer(session.createQueue(name)));
        }
    }

    private static void temporary(Broker broker) throws Exception {
        try (Wire wire = new Wire(broker.url);
                Held<ActiveMQConnection> held = Held.of(connect(broker, wire.url()));
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            held.it.start();
            Session session = Broker.auto(held.it);
            TemporaryQueue queue = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(queue);
            wire.cut();
            // The client speaks once it is back, and its destinations and consumers before it.
            session.createProducer(queue).send(session.createTextMessage("own"));
            Broker.same("own", Broker.next(consumer));
            Session sends = Broker.auto(other.it);
            sends.createProducer(queue).send(sends.createTextMessage("other"));
            Broker.same("other", Broker.next(consumer));
        }
    }

    private static void transaction(Broker broker) throws Exception {
        String name = Broker.name("in.transaction");
        try (Held<ActiveMQConnection> held = Held.of(connect(broker, broker.url))) {
            held.it.start();
            Session session = held.it.createSession(true, Session.SESSION_TRANSACTED);
            Queue queue = session.createQueue(name);
            Broker.send(session, queue, "1", "2");
            Server.kill();
            Broker.send(session, queue, "3");
            session.commit();
        }
        Broker.same(List.of("1", "2", "3"), drain(broker, name));
    }

    private static void unacked(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(connect(broker, broker.url))) {
            held.it.start();
            Session session = held.it.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(Broker.name("unacked"));
            Broker.send(session, queue, "1", "2");
            MessageConsumer consumer = session.createConsumer(queue);
            Message first = consumer.receive(Broker.SOON);
            first.acknowledge();
            Broker.same("2", Broker.next(consumer));
            consumer.close();
            Server.kill();
            MessageConsumer again = session.createConsumer(queue);
            Message second = again.receive(Broker.SOON);
            Broker.same("2", Broker.text(second));
            second.acknowledge();
            Broker.none(again);
        }
    }

    private static void durable(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(connect(broker, broker.url))) {
            held.it.setClientID(Broker.name("client"));
            held.it.start();
            Session session = Broker.auto(held.it);
            javax.jms.Topic topic = session.createTopic(Broker.name("durable"));
            MessageConsumer consumer = session.createDurableSubscriber(topic, "s");
            MessageProducer producer = session.createProducer(topic);
            producer.send(session.createTextMessage("before"));
            Broker.same("before", Broker.next(consumer));
            Server.restart();
            producer.send(session.createTextMessage("after"));
            Broker.same("after", Broker.next(consumer));
            consumer.close();
            session.unsubscribe("s");
        }
    }
}
