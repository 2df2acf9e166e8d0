import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TemporaryTopic;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;

/** Topics, durable subscriptions, and feeds in the shape of AtData's. */
final class Topics {
    private Topics() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("every subscriber of a topic gets every message", Topics::all),
            new Scenarios.Case("a wildcard is every topic it matches", Topics::wildcard),
            new Scenarios.Case("a connection does not hear itself with noLocal", Topics::noLocal),
            new Scenarios.Case("a durable subscriber gets what was sent meanwhile", Topics::durable),
            new Scenarios.Case("a durable subscription of several topics is one", Topics::several),
            new Scenarios.Case("a durable subscription to something else begins anew", Topics::anew),
            new Scenarios.Case("a temporary topic reaches all its subscribers", Topics::temporary),
            new Scenarios.Case("a virtual topic is mirrored and balanced", Topics::virtual));

    private static void all(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Topic topic = session.createTopic(Broker.name("all"));
            MessageConsumer one = session.createConsumer(topic);
            MessageConsumer two = session.createConsumer(topic);
            session.createProducer(topic).send(session.createTextMessage("x"));
            Broker.same("x", Broker.next(one));
            Broker.same("x", Broker.next(two));
        }
    }

    private static void wildcard(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            String stem = Broker.name("wild");
            MessageConsumer consumer = session.createConsumer(session.createTopic(stem + ".>"));
            for (String name : List.of("a", "a.b")) {
                session.createProducer(session.createTopic(stem + "." + name)).send(session.createTextMessage(name));
                Broker.same(name, Broker.next(consumer));
            }
        }
    }

    private static void noLocal(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started());
                Held<ActiveMQConnection> otherHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            ActiveMQConnection other = otherHeld.it;
            Session session = Broker.auto(connection);
            Topic topic = session.createTopic(Broker.name("local"));
            MessageConsumer consumer = session.createConsumer(topic, null, true);
            session.createProducer(topic).send(session.createTextMessage("own"));
            Session others = Broker.auto(other);
            others.createProducer(topic).send(others.createTextMessage("other"));
            Broker.same("other", Broker.next(consumer));
        }
    }

    private static void durable(Broker broker) throws Exception {
        String name = Broker.name("durable");
        String client = Broker.name("client");
        for (String text : new String[] {null, "meanwhile"}) {
            try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(""))) {
                ActiveMQConnection connection = connectionHeld.it;
                connection.setClientID(client);
                connection.start();
                Session session = Broker.auto(connection);
                MessageConsumer consumer = session.createDurableSubscriber(session.createTopic(name), "s");
                if (text == null) {
                    Broker.none(consumer);
                } else {
                    Broker.same(text, Broker.next(consumer));
                }
                consumer.close();
                if (text != null) {
                    session.unsubscribe("s");
                }
            }
            try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
                ActiveMQConnection connection = connectionHeld.it;
                Session session = Broker.auto(connection);
                session.createProducer(session.createTopic(name)).send(session.createTextMessage("meanwhile"));
            }
        }
    }

    private static void several(Broker broker) throws Exception {
        String one = Broker.name("one");
        String two = Broker.name("two");
        try (Held<ActiveMQConnection> held = Held.of(broker.connect(""))) {
            held.it.setClientID(Broker.name("client"));
            held.it.start();
            Session session = Broker.auto(held.it);
            Topic both = session.createTopic(one + "," + two);
            session.createDurableSubscriber(both, "s").close();
            Set<String> sent = Set.of(one, two);
            for (String name : sent) {
                session.createProducer(session.createTopic(name)).send(session.createTextMessage(name));
            }
            MessageConsumer consumer = session.createDurableSubscriber(both, "s");
            Set<String> got = new HashSet<>();
            for (int number = 0; number < 2; number++) {
                Message message = consumer.receive(Broker.SOON);
                Broker.same("topic://" + Broker.text(message), message.getJMSDestination().toString());
                got.add(Broker.text(message));
            }
            Broker.same(sent, got);
            Broker.none(consumer);
            consumer.close();
            session.unsubscribe("s");
        }
    }

    private static void anew(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.connect(""))) {
            held.it.setClientID(Broker.name("client"));
            held.it.start();
            Session session = Broker.auto(held.it);
            Topic topic = session.createTopic(Broker.name("anew"));
            session.createDurableSubscriber(topic, "s").close();
            MessageProducer producer = session.createProducer(topic);
            for (boolean isMore : new boolean[] {true, false}) {
                Message message = session.createTextMessage("before");
                message.setIntProperty("number", 5);
                producer.send(message);
                String selector = isMore ? "number > 3" : null;
                MessageConsumer consumer = session.createDurableSubscriber(topic, "s", selector, false);
                Broker.none(consumer);
                for (int number : new int[] {3, 5}) {
                    Message after = session.createTextMessage("" + number);
                    after.setIntProperty("number", number);
                    producer.send(after);
                }
                if (!isMore) {
                    Broker.same("3", Broker.next(consumer));
                }
                Broker.same("5", Broker.next(consumer));
                consumer.close();
            }
            session.unsubscribe("s");
        }
    }

    private static void temporary(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> otherHeld = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            TemporaryTopic topic = session.createTemporaryTopic();
            MessageConsumer one = session.createConsumer(topic);
            MessageConsumer two = session.createConsumer(topic);
            Session other = Broker.auto(otherHeld.it);
            other.createProducer(topic).send(other.createTextMessage("x"));
            Broker.same("x", Broker.next(one));
            Broker.same("x", Broker.next(two));
        }
    }

    private static void virtual(Broker broker) throws Exception {
        String name = Broker.name("VirtualTopic.feed");
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started());
                Held<ActiveMQConnection> secondHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            ActiveMQConnection second = secondHeld.it;
            Session session = Broker.auto(connection);
            Session others = Broker.auto(second);
            MessageConsumer mirror = session.createConsumer(session.createQueue("Consumer.one." + name));
            MessageConsumer left = session.createConsumer(session.createQueue("Consumer.two." + name));
            MessageConsumer right = others.createConsumer(others.createQueue("Consumer.two." + name));
            MessageProducer producer = session.createProducer(session.createTopic(name));
            Set<String> sent = new HashSet<>();
            for (int number = 0; number < 10; number++) {
                sent.add("" + number);
                producer.send(session.createTextMessage("" + number));
            }
            Set<String> mirrored = new HashSet<>();
            for (int number = 0; number < 10; number++) {
                mirrored.add(Broker.next(mirror));
            }
            Broker.same(sent, mirrored);
            Set<String> balanced = new HashSet<>();
            for (int number = 0; number < 5; number++) {
                balanced.add(Broker.next(left));
                balanced.add(Broker.next(right));
            }
            Broker.same(sent, balanced);
        }
    }
}
