import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
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
