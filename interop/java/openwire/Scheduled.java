import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ScheduledMessage;

/** Messages that come later, more than once, or by a clock. */
final class Scheduled {
    private Scheduled() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a delayed message comes when it is due, not before", Scheduled::delayed),
            new Scenarios.Case("a message that repeats comes once, and as often again as was asked", Scheduled::repeated),
            new Scenarios.Case("a schedule begins with its transaction, or not at all", Scheduled::transacted),
            new Scenarios.Case("a cron entry that means nothing is refused", Scheduled::refused));

    /** What needs a server that can be killed. */
    static final List<Scenarios.Case> KILLS =
            List.of(new Scenarios.Case("a schedule goes on behind a kill", Scheduled::killed));

    private static final long DELAY = 1500;
    private static final long PERIOD = 300;

    private static Message message(Session session, String text, long delay, long period, int repeats) throws JMSException {
        Message message = session.createTextMessage(text);
        message.setLongProperty(ScheduledMessage.AMQ_SCHEDULED_DELAY, delay);
        if (repeats > 0) {
            message.setLongProperty(ScheduledMessage.AMQ_SCHEDULED_PERIOD, period);
            message.setIntProperty(ScheduledMessage.AMQ_SCHEDULED_REPEAT, repeats);
        }
        return message;
    }

    private static void delayed(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("scheduled"));
            MessageProducer producer = session.createProducer(queue);
            long sent = System.nanoTime();
            producer.send(message(session, "later", DELAY, 0, 0));
            producer.send(session.createTextMessage("at once"));
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("at once", Broker.next(consumer));
            Broker.same("later", Broker.next(consumer));
            long passed = (System.nanoTime() - sent) / 1_000_000;
            // The server's clock and ours tick apart by a little.
            Broker.same(true, passed >= DELAY - 50);
        }
    }

    private static void repeated(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("scheduled"));
            session.createProducer(queue).send(message(session, "again", PERIOD, PERIOD, 2));
            MessageConsumer consumer = session.createConsumer(queue);
            Set<String> ids = new HashSet<>();
            for (int time = 0; time < 3; time++) {
                Message one = consumer.receive(Broker.SOON);
                Broker.same("again", Broker.text(one));
                ids.add(one.getJMSMessageID());
            }
            Broker.same(3, ids.size());
            Broker.none(consumer);
        }
    }

    private static void transacted(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = held.it.createSession(true, Session.SESSION_TRANSACTED);
            Queue queue = session.createQueue(Broker.name("scheduled"));
            MessageProducer producer = session.createProducer(queue);
            producer.send(message(session, "undone", PERIOD, PERIOD, 1));
            session.rollback();
            producer.send(message(session, "done", PERIOD, PERIOD, 1));
            session.commit();
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("done", Broker.next(consumer));
            Broker.same("done", Broker.next(consumer));
            Broker.none(consumer);
            session.commit();
        }
    }

    private static void refused(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("scheduled"));
            Message message = session.createTextMessage("never");
            try {
                // 5.19 and later look themselves; what 5.15 sends the broker looks at.
                message.setStringProperty(ScheduledMessage.AMQ_SCHEDULED_CRON, "61 * * * *");
                session.createProducer(queue).send(message);
            } catch (JMSException refusal) {
                return;
            }
            throw new AssertionError("it was taken");
        }
    }

    private static void killed(Broker broker) throws Exception {
        Queue queue;
        ActiveMQConnection first = broker.started();
        Session session = Broker.auto(first);
        queue = session.createQueue(Broker.name("scheduled"));
        session.createProducer(queue).send(message(session, "again", DELAY, DELAY, 2));
        Server.kill();
        try {
            first.close();
        } catch (JMSException broken) {
            // Its server is gone.
        }
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            MessageConsumer consumer = Broker.auto(held.it).createConsumer(queue);
            // Times that passed while the server was down come once, together.
            Broker.same("again", Broker.next(consumer));
            Message next;
            int times = 1;
            while ((next = consumer.receive(2 * DELAY)) != null) {
                Broker.same("again", Broker.text(next));
                times++;
            }
            Broker.same(true, times == 2 || times == 3);
        }
    }
}
