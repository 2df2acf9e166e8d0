import java.util.List;
import javax.jms.InvalidClientIDException;
import javax.jms.InvalidDestinationException;
import javax.jms.InvalidSelectorException;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;

/** What is refused, by the exception that programs wait for. */
final class Refusals {
    private Refusals() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a client id is used by one connection at a time", Refusals::clientId),
            new Scenarios.Case("a selector that cannot be read is refused", Refusals::selector),
            new Scenarios.Case("a subscription that is not there is not removed", Refusals::unsubscribe),
            new Scenarios.Case("a durable subscription is not removed under its consumer", Refusals::inUse));

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
}
