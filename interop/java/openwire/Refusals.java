import java.util.List;
import javax.jms.InvalidClientIDException;
import javax.jms.InvalidDestinationException;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;

/** What is refused, by the exception that programs wait for. */
final class Refusals {
    private Refusals() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a client id is used by one connection at a time", Refusals::clientId),
            new Scenarios.Case("a selector that cannot be read is refused", Refusals::selector),
            new Scenarios.Case("a subscription that is not there is not removed", Refusals::unsubscribe),
            new Scenarios.Case("a durable subscription is not removed under its consumer", Refusals::inUse),
            new Scenarios.Case("a durable subscription has one consumer at a time", Refusals::alone),
            new Scenarios.Case("a temporary queue is gone when it was deleted", Refusals::deleted));

    interface Call {
        void run() throws Exception;
    }

    static void refused(Class<? extends JMSException> expected, Call call) throws Exception {
        try {
            call.run();
        } catch (JMSException fault) {
            Broker.same(expected, fault.getClass());
            return;
        }
        throw new AssertionError("it was let in");
    }

    private static void clientId(Broker broker) throws Exception {
        String client = Broker.name("client");
        try (Held<ActiveMQConnection> firstHeld = Held.of(broker.connect(""));
                Held<ActiveMQConnection> secondHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection first = firstHeld.it;
            ActiveMQConnection second = secondHeld.it;
            first.setClientID(client);
            first.start();
            refused(InvalidClientIDException.class, () -> {
                // Refused here when there is a connection already, at the start otherwise.
                second.setClientID(client);
                second.start();
            });
        }
        try (Held<ActiveMQConnection> thirdHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection third = thirdHeld.it;
            third.setClientID(client);
            third.start();
        }
    }

    private static void selector(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("bad"));
            refused(InvalidSelectorException.class, () -> session.createConsumer(queue, "a = = b"));
            Broker.send(session, queue, "still there");
            Broker.same("still there", Broker.next(session.createConsumer(queue)));
        }
    }

    private static void unsubscribe(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection connection = connectionHeld.it;
            connection.setClientID(Broker.name("client"));
            connection.start();
            Session session = Broker.auto(connection);
            refused(InvalidDestinationException.class, () -> session.unsubscribe("none"));
        }
    }

    private static void inUse(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection connection = connectionHeld.it;
            connection.setClientID(Broker.name("client"));
            connection.start();
            Session session = Broker.auto(connection);
            Topic topic = session.createTopic(Broker.name("durable"));
            MessageConsumer consumer = session.createDurableSubscriber(topic, "s");
            refused(JMSException.class, () -> session.unsubscribe("s"));
            session.createProducer(topic).send(session.createTextMessage("still there"));
            Broker.same("still there", Broker.next(consumer));
            consumer.close();
            session.unsubscribe("s");
            refused(InvalidDestinationException.class, () -> session.unsubscribe("s"));
        }
    }

    /** Two sessions of one connection; another connection with the same client id is not even let in. */
    private static void alone(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.connect(""))) {
            held.it.setClientID(Broker.name("client"));
            held.it.start();
            Session session = Broker.auto(held.it);
            Session other = Broker.auto(held.it);
            Topic topic = session.createTopic(Broker.name("durable"));
            MessageConsumer first = session.createDurableSubscriber(topic, "s");
            for (Session one : List.of(session, other)) {
                refused(JMSException.class, () -> one.createDurableSubscriber(topic, "s"));
                // Nor may it become another one under its consumer.
                refused(JMSException.class, () -> one.createDurableSubscriber(topic, "s", "a = 1", false));
            }
            MessageConsumer second = other.createDurableSubscriber(topic, "t");
            session.createProducer(topic).send(session.createTextMessage("for both"));
            Broker.same("for both", Broker.next(first));
            Broker.same("for both", Broker.next(second));
            first.close();
            session.createProducer(topic).send(session.createTextMessage("for the next"));
            MessageConsumer next = other.createDurableSubscriber(topic, "s");
            Broker.same("for the next", Broker.next(next));
            next.close();
            second.close();
            session.unsubscribe("s");
            session.unsubscribe("t");
        }
    }

    private static void deleted(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> otherHeld = Held.of(broker.connect("jms.watchTopicAdvisories=false"))) {
            Session session = Broker.auto(held.it);
            TemporaryQueue queue = session.createTemporaryQueue();
            otherHeld.it.start();
            Session other = Broker.auto(otherHeld.it);
            MessageProducer producer = other.createProducer(queue);
            producer.send(other.createTextMessage("there"));
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("there", Broker.next(consumer));
            consumer.close();
            queue.delete();
            // This client hears of no temporary queues: it is the server that refuses.
            refused(InvalidDestinationException.class, () -> producer.send(other.createTextMessage("gone")));
        }
    }
}
