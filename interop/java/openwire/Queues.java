import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;

/** Queues: who gets what, how often, in which order. */
final class Queues {
    private Queues() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a queue keeps its order and gives each message once", Queues::order),
            new Scenarios.Case("what was not acknowledged comes again, told so", Queues::again),
            new Scenarios.Case("single acknowledgements leave the others", Queues::individual),
            new Scenarios.Case("a consumer without prefetch asks for each message", Queues::pull),
            new Scenarios.Case("a browser sees all and takes none", Queues::browse),
            new Scenarios.Case("a selector chooses", Queues::select),
            new Scenarios.Case("an exclusive consumer gets everything", Queues::exclusive),
            new Scenarios.Case("a group stays with one consumer", Queues::group),
            new Scenarios.Case("requests are answered over a temporary queue", Queues::reply),
            new Scenarios.Case("what expires is not delivered", Queues::expire),
            new Scenarios.Case("a composite destination is all of its queues", Queues::composite));

    private static void order(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("order"));
            Broker.send(session, queue, "1", "2", "3");
            try (Held<MessageConsumer> consumerHeld = Held.of(session.createConsumer(queue))) {
                MessageConsumer consumer = consumerHeld.it;
                for (String text : List.of("1", "2", "3")) {
                    Broker.same(text, Broker.next(consumer));
                }
            }
            try (Held<MessageConsumer> consumerHeld = Held.of(session.createConsumer(queue))) {
                MessageConsumer consumer = consumerHeld.it;
                Broker.none(consumer);
            }
        }
    }

    private static void again(Broker broker) throws Exception {
        String name = Broker.name("again");
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(name);
            Broker.send(session, queue, "1", "2", "3");
            MessageConsumer consumer = session.createConsumer(queue);
            consumer.receive(Broker.SOON).acknowledge();
            Broker.same("2", Broker.next(consumer));
        }
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Message second = consumer.receive(Broker.SOON);
            Broker.same("2", Broker.text(second));
            Broker.same(true, second.getJMSRedelivered());
            Broker.same(2, second.getIntProperty("JMSXDeliveryCount"));
            Broker.same("3", Broker.next(consumer));
            Broker.none(consumer);
        }
    }

    private static void individual(Broker broker) throws Exception {
        String name = Broker.name("single");
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
            Queue queue = session.createQueue(name);
            Broker.send(session, queue, "1", "2", "3");
            MessageConsumer consumer = session.createConsumer(queue);
            consumer.receive(Broker.SOON);
            consumer.receive(Broker.SOON).acknowledge();
        }
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Broker.same("1", Broker.next(consumer));
            Broker.same("3", Broker.next(consumer));
        }
    }

    private static void pull(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect("jms.prefetchPolicy.all=0"))) {
            ActiveMQConnection connection = connectionHeld.it;
            connection.start();
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("pull"));
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same(null, consumer.receiveNoWait());
            Broker.none(consumer);
            Broker.send(session, queue, "1", "2");
            Broker.same("1", Broker.next(consumer));
            Broker.same("2", Broker.text(consumer.receive()));
        }
    }

    private static void browse(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("browse"));
            Broker.send(session, queue, "1", "2");
            for (int round = 0; round < 2; round++) {
                List<String> seen = look(session, queue);
                for (int again = 0; again < 4 && seen.size() < 2; again++) {
                    Broker.same(List.of("1", "2").subList(0, seen.size()), seen);
                    seen = look(session, queue);
                }
                Broker.same(List.of("1", "2"), seen);
            }
            Broker.same("1", Broker.next(session.createConsumer(queue)));
        }
    }

    /**
     * What a browser sees. The client's own may end too early: it looks for messages first and for the end after
     * that (ActiveMQQueueBrowser.hasMoreElements), and both may come in between.
     */
    private static List<String> look(Session session, Queue queue) throws Exception {
        List<String> seen = new ArrayList<>();
        try (Held<QueueBrowser> browserHeld = Held.of(session.createBrowser(queue))) {
            for (Object message : Collections.list(browserHeld.it.getEnumeration())) {
                seen.add(Broker.text((Message) message));
            }
        }
        return seen;
    }

    private static void select(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("select"));
            MessageProducer producer = session.createProducer(queue);
            for (int number = 1; number <= 4; number++) {
                Message message = session.createTextMessage("" + number);
                message.setIntProperty("number", number);
                message.setStringProperty("colour", number % 2 == 0 ? "red" : "blue");
                producer.send(message);
            }
            try (Held<MessageConsumer> consumerHeld = Held.of(session.createConsumer(queue, "number > 2 AND colour LIKE 'r%'"))) {
                MessageConsumer consumer = consumerHeld.it;
                Broker.same("4", Broker.next(consumer));
                Broker.none(consumer);
            }
            Broker.same("1", Broker.next(session.createConsumer(queue)));
        }
    }

    private static void exclusive(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            String name = Broker.name("exclusive");
            MessageConsumer first = session.createConsumer(session.createQueue(name + "?consumer.exclusive=true"));
            MessageConsumer second = session.createConsumer(session.createQueue(name + "?consumer.exclusive=true"));
            Broker.send(session, session.createQueue(name), "1", "2");
            Broker.same("1", Broker.next(first));
            Broker.same("2", Broker.next(first));
            Broker.none(second);
            first.close();
            Broker.send(session, session.createQueue(name), "3");
            Broker.same("3", Broker.next(second));
        }
    }

    private static void group(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("group"));
            MessageConsumer[] consumers = {session.createConsumer(queue), session.createConsumer(queue)};
            MessageProducer producer = session.createProducer(queue);
            for (int number = 0; number < 6; number++) {
                Message message = session.createTextMessage("" + number);
                message.setStringProperty("JMSXGroupID", "g");
                producer.send(message);
            }
            int owner = consumers[0].receive(Broker.NOTHING) == null ? 1 : 0;
            for (int number = 1 - owner; number < 6; number++) {
                Broker.same("" + number, Broker.next(consumers[owner]));
            }
            Broker.none(consumers[1 - owner]);
        }
    }

    private static void reply(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> askingHeld = Held.of(broker.started());
                Held<ActiveMQConnection> answeringHeld = Held.of(broker.started())) {
            ActiveMQConnection asking = askingHeld.it;
            ActiveMQConnection answering = answeringHeld.it;
            Session asks = Broker.auto(asking);
            Session answers = Broker.auto(answering);
            Queue queue = asks.createQueue(Broker.name("requests"));
            TemporaryQueue inbox = asks.createTemporaryQueue();
            Message request = asks.createTextMessage("?");
            request.setJMSReplyTo(inbox);
            asks.createProducer(queue).send(request);
            Message got = answers.createConsumer(queue).receive(Broker.SOON);
            answers.createProducer(got.getJMSReplyTo()).send(answers.createTextMessage("!"));
            Broker.same("!", Broker.next(asks.createConsumer(inbox)));
        }
    }

    private static void expire(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("expire"));
            MessageProducer producer = session.createProducer(queue);
            producer.setTimeToLive(200);
            Message late = session.createTextMessage("late");
            late.setStringProperty("origin", queue.getQueueName());
            producer.send(late);
            producer.setTimeToLive(0);
            producer.send(session.createTextMessage("kept"));
            Thread.sleep(400);
            Broker.same("kept", Broker.next(session.createConsumer(queue)));
            String origin = "origin = '" + queue.getQueueName() + "'";
            Message letter = session.createConsumer(session.createQueue("ActiveMQ.DLQ"), origin).receive(Broker.SOON);
            Broker.same("late", Broker.text(letter));
            Broker.same(0L, letter.getJMSExpiration());
        }
    }

    private static void composite(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            String one = Broker.name("one");
            String two = Broker.name("two");
            Broker.send(session, session.createQueue(one + "," + two), "x");
            Broker.same("x", Broker.next(session.createConsumer(session.createQueue(one))));
            Broker.same("x", Broker.next(session.createConsumer(session.createQueue(two))));
        }
    }
}
