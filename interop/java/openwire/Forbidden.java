import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import javax.jms.JMSException;
import javax.jms.JMSSecurityException;
import javax.jms.MessageProducer;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/** What a customer of a feed may not do: it is told by the exceptions that programs wait for, and goes on. */
final class Forbidden {
    private Forbidden() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a queue of somebody else is not consumed", Forbidden::consume),
            new Scenarios.Case("what may not be sent is refused, and the connection stays", Forbidden::send),
            new Scenarios.Case("an asynchronous send that is refused is told to the listener", Forbidden::asynchronous),
            new Scenarios.Case("a transaction with a refused message is not committed", Forbidden::transaction),
            new Scenarios.Case("a wrong password is told as one", Forbidden::password));

    private static ActiveMQConnection customer(Broker broker, String options) throws Exception {
        String address = broker.url + (options.isEmpty() ? "" : "?" + options);
        ActiveMQConnection connection = (ActiveMQConnection)
                new ActiveMQConnectionFactory(Feed.USER, Feed.PASSWORD, address).createConnection();
        connection.start();
        return connection;
    }

    /** The connection is as good as before. */
    private static void works(ActiveMQConnection connection) throws Exception {
        Session session = Broker.auto(connection);
        session.createConsumer(session.createQueue(Broker.name("x").replace(".", "") + ".RTO.yourcompany")).close();
    }

    private static void consume(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(customer(broker, ""))) {
            Session session = Broker.auto(held.it);
            for (String name : List.of("destination1.RTO.othercompany", "orders", "ActiveMQ.DLQ")) {
                Refusals.refused(JMSSecurityException.class, () -> session.createConsumer(session.createQueue(name)));
            }
            Refusals.refused(JMSSecurityException.class, () -> session.createConsumer(session.createTopic("events")));
            works(held.it);
        }
    }

    private static void send(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(customer(broker, ""))) {
            Session session = Broker.auto(held.it);
            MessageProducer producer = session.createProducer(session.createTopic("RTO.yourcompany"));
            Refusals.refused(JMSSecurityException.class, () -> producer.send(session.createTextMessage("x")));
            MessageProducer other = session.createProducer(session.createQueue(Broker.name("orders")));
            Refusals.refused(JMSSecurityException.class, () -> other.send(session.createTextMessage("x")));
            works(held.it);
        }
    }

    private static void asynchronous(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(customer(broker, "jms.useAsyncSend=true"))) {
            BlockingQueue<JMSException> told = new LinkedBlockingQueue<>();
            held.it.setExceptionListener(told::add);
            Session session = Broker.auto(held.it);
            session.createProducer(session.createQueue(Broker.name("orders"))).send(session.createTextMessage("x"));
            JMSException fault = told.poll(Broker.SOON, TimeUnit.MILLISECONDS);
            Broker.same(JMSSecurityException.class, fault == null ? null : fault.getClass());
            works(held.it);
        }
    }

    private static void transaction(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(customer(broker, ""))) {
            Session session = held.it.createSession(true, Session.SESSION_TRANSACTED);
            session.createProducer(session.createQueue(Broker.name("orders"))).send(session.createTextMessage("x"));
            try {
                session.commit();
            } catch (JMSException refused) {
                works(held.it);
                return;
            }
            throw new AssertionError("it was committed");
        }
    }

    private static void password(Broker broker) throws Exception {
        ActiveMQConnection connection = (ActiveMQConnection)
                new ActiveMQConnectionFactory(Feed.USER, "0".repeat(32), broker.url).createConnection();
        try {
            connection.start();
        } catch (JMSException refused) {
            Broker.same(true, refused.getMessage().contains("password"));
            Broker.same(false, refused.getMessage().contains("0".repeat(32)));
            return;
        } finally {
            connection.close();
        }
        throw new AssertionError("it was let in");
    }
}
