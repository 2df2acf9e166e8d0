import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.jms.DeliveryMode;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;

/** Who gets what: priorities, several destinations at once, groups that end, what was there before. */
final class Consuming {
    private Consuming() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("priorities are carried, and do not change the order", Consuming::priorities),
            new Scenarios.Case("the consumer of the highest priority comes first", Consuming::first),
            new Scenarios.Case("a retroactive consumer sees what was there before", Consuming::retroactive),
            new Scenarios.Case("one consumer takes from all queues of a composite", Consuming::composite),
            new Scenarios.Case("a message to a queue and a topic at once reaches both", Consuming::mixed),
            new Scenarios.Case("one consumer takes from all queues that a wildcard matches", Consuming::wildcard),
            new Scenarios.Case("a group that is closed begins anew", Consuming::closed),
            new Scenarios.Case("a group goes on when its consumer has left", Consuming::left));

    private static void priorities(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("priorities"));
            MessageProducer producer = session.createProducer(queue);
            int[] priorities = {4, 0, 9, 5, 1, 9};
            for (int priority : priorities) {
                producer.send(session.createTextMessage("x"), DeliveryMode.PERSISTENT, priority, 0);
            }
            MessageConsumer consumer = session.createConsumer(queue);
            for (int priority : priorities) {
                Broker.same(priority, consumer.receive(Broker.SOON).getJMSPriority());
            }
        }
    }

    private static void first(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            String name = Broker.name("first");
            MessageConsumer low = session.createConsumer(session.createQueue(name));
            MessageConsumer high = session.createConsumer(session.createQueue(name + "?consumer.priority=10"));
            Broker.send(session, session.createQueue(name), "1", "2", "3");
            for (String text : List.of("1", "2", "3")) {
                Broker.same(text, Broker.next(high));
            }
            Broker.none(low);
            high.close();
            Broker.send(session, session.createQueue(name), "4");
            Broker.same("4", Broker.next(low));
        }
    }

    private static void retroactive(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            String name = Broker.name("retroactive");
            MessageProducer producer = session.createProducer(session.createTopic(name));
            producer.send(session.createTextMessage("before"));
            MessageConsumer late = session.createConsumer(session.createTopic(name));
            MessageConsumer whole = session.createConsumer(session.createTopic(name + "?consumer.retroactive=true"));
            producer.send(session.createTextMessage("after"));
            Broker.same("before", Broker.next(whole));
            Broker.same("after", Broker.next(whole));
            Broker.same("after", Broker.next(late));
        }
    }

    private static void composite(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            String one = Broker.name("one");
            String two = Broker.name("two");
            MessageConsumer both = session.createConsumer(session.createQueue(one + "," + two));
            for (String name : List.of(one, two)) {
                Broker.send(session, session.createQueue(name), name);
                Message got = both.receive(Broker.SOON);
                Broker.same(name, Broker.text(got));
                Broker.same("queue://" + name, got.getJMSDestination().toString());
            }
        }
    }

    private static void mixed(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            String queue = Broker.name("queue");
            String topic = Broker.name("topic");
            MessageConsumer subscriber = session.createConsumer(session.createTopic(topic));
            Broker.send(session, session.createQueue(queue + ",topic://" + topic), "x");
            Broker.same("x", Broker.next(subscriber));
            Broker.same("x", Broker.next(session.createConsumer(session.createQueue(queue))));
        }
    }

    private static void wildcard(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            String stem = Broker.name("wild");
            Broker.send(session, session.createQueue(stem + ".there"), "there");
            MessageConsumer all = session.createConsumer(session.createQueue(stem + ".>"));
            Broker.same("there", Broker.next(all));
            // Queues that come to be later are among them.
            for (String name : List.of("later", "later.deep")) {
                Broker.send(session, session.createQueue(stem + "." + name), name);
                Broker.same(name, Broker.next(all));
            }
        }
    }

    private static void grouped(Session session, Queue queue, String text, int sequence) throws Exception {
        Message message = session.createTextMessage(text);
        message.setStringProperty("JMSXGroupID", "g");
        if (sequence != 0) {
            message.setIntProperty("JMSXGroupSeq", sequence);
        }
        session.createProducer(queue).send(message);
    }

    private static void closed(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("group"));
            MessageConsumer only = session.createConsumer(queue);
            grouped(session, queue, "1", 0);
            grouped(session, queue, "2", 0);
            grouped(session, queue, "last", -1);
            grouped(session, queue, "anew", 0);
            for (String text : List.of("1", "2", "last", "anew")) {
                Message got = only.receive(Broker.SOON);
                Broker.same(text, Broker.text(got));
                boolean begins = text.equals("1") || text.equals("anew");
                Broker.same(begins, got.getBooleanProperty("JMSXGroupFirstForConsumer"));
            }
        }
    }

    private static void left(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("group"));
            List<MessageConsumer> consumers = new ArrayList<>();
            consumers.add(session.createConsumer(queue));
            consumers.add(Broker.auto(other.it).createConsumer(queue));
            Set<String> got = new HashSet<>();
            grouped(session, queue, "1", 0);
            Message first = consumers.get(0).receive(Broker.NOTHING);
            int owner = first == null ? 1 : 0;
            got.add(first == null ? Broker.next(consumers.get(1)) : Broker.text(first));
            consumers.get(owner).close();
            grouped(session, queue, "2", 0);
            Message second = consumers.get(1 - owner).receive(Broker.SOON);
            got.add(Broker.text(second));
            Broker.same(Set.of("1", "2"), got);
            Broker.same(true, second.getBooleanProperty("JMSXGroupFirstForConsumer"));
        }
    }
}
