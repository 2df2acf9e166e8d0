import java.util.List;
import java.util.Set;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.HashSet;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/** A consumer as AtData describes it for its customers: a login, a connection id, a destination. */
final class Feed {
    private Feed() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a customer's consumers are mirrored by destination and balanced by connection", Feed::run));

    static final String USER = "12345";
    static final String PASSWORD = "0123456789abcdef0123456789abcdef";

    /** One process of the customer: prints nothing, keeps what it got. */
    private static BlockingQueue<String> consume(ActiveMQConnection connection, String id, String destination)
            throws Exception {
        connection.setClientID(id);
        Session session = connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(session.createQueue(destination));
        BlockingQueue<String> got = new LinkedBlockingQueue<>();
        consumer.setMessageListener(message -> {
            try {
                got.add(((TextMessage) message).getText());
            } catch (Exception fault) {
                got.add(fault.toString());
            }
        });
        connection.start();
        return got;
    }

    private static ActiveMQConnection customer(Broker broker) throws Exception {
        String address = "failover:(" + broker.url + ")";
        return (ActiveMQConnection) new ActiveMQConnectionFactory(USER, PASSWORD, address).createConnection();
    }

    private static void run(Broker broker) throws Exception {
        String run = Broker.name("run").replace("run.", "");
        try (Held<ActiveMQConnection> one = Held.of(customer(broker));
                Held<ActiveMQConnection> two = Held.of(customer(broker));
                Held<ActiveMQConnection> mirror = Held.of(customer(broker));
                Held<ActiveMQConnection> source = Held.of(broker.started())) {
            BlockingQueue<String> left = consume(one.it, "connection1" + run, "destination1" + run + ".RTO.yourcompany");
            BlockingQueue<String> right = consume(two.it, "connection2" + run, "destination1" + run + ".RTO.yourcompany");
            BlockingQueue<String> whole = consume(mirror.it, "connection3" + run, "destination2" + run + ".RTO.yourcompany");
            Session session = Broker.auto(source.it);
            MessageProducer producer = session.createProducer(session.createTopic("RTO.yourcompany"));
            Set<String> sent = new HashSet<>();
            for (int number = 0; number < 20; number++) {
                String text = "{\"md5\":\"" + run + number + "\"}";
                sent.add(text);
                producer.send(session.createTextMessage(text));
            }
            Broker.same(sent, take(whole, 20));
            Set<String> halves = take(left, 10);
            halves.addAll(take(right, 10));
            Broker.same(sent, halves);
        }
    }

    private static Set<String> take(BlockingQueue<String> from, int count) throws Exception {
        Set<String> all = new HashSet<>();
        for (int number = 0; number < count; number++) {
            all.add(from.poll(Broker.SOON, TimeUnit.MILLISECONDS));
        }
        return all;
    }
}
