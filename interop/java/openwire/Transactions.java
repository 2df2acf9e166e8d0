import java.util.List;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.RedeliveryPolicy;

/** Transactions, and what is delivered too often. */
final class Transactions {
    private Transactions() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("what is sent in a transaction is seen once it is committed", Transactions::send),
            new Scenarios.Case("what is rolled back comes again", Transactions::rollback),
            new Scenarios.Case("what is rolled back too often is a dead letter", Transactions::poison));

    private static Session transacted(ActiveMQConnection connection) throws Exception {
        return connection.createSession(true, Session.SESSION_TRANSACTED);
    }

    private static void send(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = transacted(connection);
            Queue queue = session.createQueue(Broker.name("sent"));
            MessageConsumer consumer = Broker.auto(connection).createConsumer(queue);
            Broker.send(session, queue, "dropped");
            session.rollback();
            Broker.send(session, queue, "1", "2");
            Broker.none(consumer);
            session.commit();
            Broker.same("1", Broker.next(consumer));
            Broker.same("2", Broker.next(consumer));
        }
    }

    private static void rollback(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection connection = connectionHeld.it;
            connection.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
            connection.start();
            Session session = transacted(connection);
            Queue queue = session.createQueue(Broker.name("rolled"));
            Broker.send(session, queue, "1", "2");
            session.commit();
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("1", Broker.next(consumer));
            session.rollback();
            Message again = consumer.receive(Broker.SOON);
            Broker.same("1", Broker.text(again));
            Broker.same(true, again.getJMSRedelivered());
            Broker.same("2", Broker.next(consumer));
            session.commit();
            consumer.close();
            MessageConsumer after = session.createConsumer(queue);
            Broker.none(after);
        }
    }

    private static void poison(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(""))) {
            ActiveMQConnection connection = connectionHeld.it;
            RedeliveryPolicy policy = connection.getRedeliveryPolicy();
            policy.setInitialRedeliveryDelay(0);
            policy.setRedeliveryDelay(0);
            policy.setMaximumRedeliveries(2);
            connection.start();
            Session session = transacted(connection);
            String name = Broker.name("poison");
            Queue queue = session.createQueue(name);
            Session plain = Broker.auto(connection);
            MessageConsumer letters = plain.createConsumer(
                    plain.createQueue("ActiveMQ.DLQ"), "origin = '" + name + "'");
            Message message = session.createTextMessage("bad");
            message.setStringProperty("origin", name);
            session.createProducer(queue).send(message);
            session.commit();
            MessageConsumer consumer = session.createConsumer(queue);
            for (int attempt = 0; attempt < 3; attempt++) {
                Broker.same("bad", Broker.next(consumer));
                session.rollback();
            }
            Broker.none(consumer);
            Message letter = letters.receive(Broker.SOON);
            Broker.same("bad", Broker.text(letter));
            Broker.same(message.getJMSMessageID(), letter.getJMSMessageID());
            Broker.same(true, letter.getStringProperty("dlqDeliveryFailureCause") != null);
        }
    }
}
