import java.io.File;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.QueueBrowser;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.jms.Topic;
import javax.jms.XASession;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.apache.activemq.command.ActiveMQQueue;

/**
 * Plays situations between a client and a broker, one after the other, and leaves the client's own log of the
 * commands that both sent in a file for each: {@code Flow URL FOLDER [SITUATION...]}, all of them unless some are named.
 */
final class Flow {
    private Flow() {}

    private static final Map<String, Broker.Body> SITUATIONS = new TreeMap<>();

    static {
        SITUATIONS.put("produce", Flow::produce);
        SITUATIONS.put("auto", broker -> receive(broker, "", 2));
        SITUATIONS.put("client", Flow::client);
        SITUATIONS.put("tx", Flow::tx);
        SITUATIONS.put("pull", Flow::pull);
        SITUATIONS.put("browse", Flow::browse);
        SITUATIONS.put("temp", Flow::temp);
        SITUATIONS.put("durable", Flow::durable);
        SITUATIONS.put("dupid", Flow::dupid);
        SITUATIONS.put("poison", Flow::poison);
        SITUATIONS.put("rto", Flow::rto);
        SITUATIONS.put("failover", Flow::failover);
        SITUATIONS.put("xa", Flow::xa);
        SITUATIONS.put("keep", Flow::keep);
        SITUATIONS.put("opt", broker -> twelve(broker, Session.AUTO_ACKNOWLEDGE, "jms.optimizeAcknowledge=true"));
        SITUATIONS.put("dups", broker -> twelve(broker, Session.DUPS_OK_ACKNOWLEDGE, ""));
        SITUATIONS.put("window", Flow::window);
    }

    public static void main(String[] arguments) throws Exception {
        List<String> named = List.of(arguments).subList(2, arguments.length);
        PrintStream standard = System.err;
        for (String name : named.isEmpty() ? List.copyOf(SITUATIONS.keySet()) : named) {
            try (PrintStream log = new PrintStream(new File(arguments[1], name + ".txt"), "UTF-8")) {
                System.setErr(log);
                SITUATIONS.get(name).run(new Broker(arguments[0] + "?trace=true"));
                // What was under way when the connection was closed is of this situation.
                Thread.sleep(200);
            } catch (Exception fault) {
                standard.println(name + ": " + fault);
            } finally {
                System.setErr(standard);
            }
        }
        System.exit(0);
    }

    private static ActiveMQConnection open(Broker broker, String options) throws Exception {
        ActiveMQConnection connection = broker.connect(options);
        connection.start();
        return connection;
    }

    private static void produce(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = Broker.auto(connection);
        MessageProducer producer = session.createProducer(session.createQueue("flow.q"));
        producer.send(session.createTextMessage("one"));
        producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
        producer.send(session.createBytesMessage());
        Thread.sleep(200);
        connection.close();
    }

    private static void receive(Broker broker, String options, int count) throws Exception {
        String name = Broker.name("flow");
        fill(broker, name, count);
        ActiveMQConnection connection = open(broker, options);
        Session session = Broker.auto(connection);
        MessageConsumer consumer = session.createConsumer(session.createQueue(name));
        for (int number = 0; number < count; number++) {
            consumer.receive(Broker.SOON);
        }
        consumer.close();
        session.close();
        connection.close();
    }

    /** Fills a queue without a trace. */
    private static void fill(Broker broker, String name, int count) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(silent(broker).started())) {
            Session session = Broker.auto(held.it);
            for (int number = 0; number < count; number++) {
                Broker.send(session, session.createQueue(name), "" + number);
            }
        }
    }

    /** Empties a queue that others have used, without a trace. */
    private static void empty(Broker broker, String name) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(silent(broker).started())) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            while (consumer.receive(Broker.NOTHING) != null) {
                // Acknowledged by itself.
            }
        }
    }

    private static Broker silent(Broker broker) {
        return new Broker(broker.url.replace("?trace=true", ""));
    }

    private static void client(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        Queue queue = session.createQueue(Broker.name("flow"));
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 3; number++) {
            producer.send(session.createTextMessage("" + number));
        }
        MessageConsumer consumer = session.createConsumer(queue);
        consumer.receive(Broker.SOON);
        consumer.receive(Broker.SOON).acknowledge();
        consumer.receive(Broker.SOON);
        session.recover();
        consumer.receive(Broker.SOON).acknowledge();
        connection.close();
    }

    private static void tx(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
        Queue queue = session.createQueue(Broker.name("flow"));
        MessageProducer producer = session.createProducer(queue);
        producer.send(session.createTextMessage("1"));
        producer.send(session.createTextMessage("2"));
        session.commit();
        MessageConsumer consumer = session.createConsumer(queue);
        consumer.receive(Broker.SOON);
        session.rollback();
        consumer.receive(Broker.SOON);
        consumer.receive(Broker.SOON);
        session.commit();
        connection.close();
    }

    private static void pull(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        connection.getPrefetchPolicy().setAll(0);
        Session session = Broker.auto(connection);
        Queue queue = session.createQueue(Broker.name("flow"));
        MessageConsumer consumer = session.createConsumer(queue);
        consumer.receiveNoWait();
        consumer.receive(1000);
        session.createProducer(queue).send(session.createTextMessage("1"));
        consumer.receive(1000);
        connection.close();
    }

    private static void browse(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = Broker.auto(connection);
        Queue queue = session.createQueue(Broker.name("flow"));
        session.createProducer(queue).send(session.createTextMessage("1"));
        QueueBrowser browser = session.createBrowser(queue);
        java.util.Enumeration<?> all = browser.getEnumeration();
        while (all.hasMoreElements()) {
            all.nextElement();
        }
        browser.close();
        connection.close();
    }

    private static void temp(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = Broker.auto(connection);
        TemporaryQueue queue = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(queue);
        session.createProducer(queue).send(session.createTextMessage("1"));
        consumer.receive(Broker.SOON);
        consumer.close();
        queue.delete();
        connection.close();
    }

    private static void durable(Broker broker) throws Exception {
        ActiveMQConnection connection = broker.connect("");
        connection.setClientID(Broker.name("flow"));
        connection.start();
        Session session = Broker.auto(connection);
        Topic topic = session.createTopic(Broker.name("flow"));
        session.createDurableSubscriber(topic, "s").close();
        session.unsubscribe("s");
        connection.close();
    }

    private static void dupid(Broker broker) throws Exception {
        String client = Broker.name("flow");
        ActiveMQConnection first = broker.connect("");
        first.setClientID(client);
        first.start();
        ActiveMQConnection second = broker.connect("");
        try {
            second.setClientID(client);
            second.start();
        } catch (JMSException expected) {
            Thread.sleep(3000);
        }
        first.close();
    }

    private static void poison(Broker broker) throws Exception {
        empty(broker, "ActiveMQ.DLQ");
        ActiveMQConnection connection = broker.connect("");
        connection.getRedeliveryPolicy().setMaximumRedeliveries(1);
        connection.getRedeliveryPolicy().setInitialRedeliveryDelay(0);
        connection.start();
        Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
        Queue queue = session.createQueue(Broker.name("flow"));
        session.createProducer(queue).send(session.createTextMessage("bad"));
        session.commit();
        MessageConsumer consumer = session.createConsumer(queue);
        for (int attempt = 0; attempt < 2; attempt++) {
            consumer.receive(Broker.SOON);
            session.rollback();
        }
        consumer.receive(500);
        Session letters = Broker.auto(connection);
        letters.createConsumer(letters.createQueue("ActiveMQ.DLQ")).receive(Broker.SOON);
        connection.close();
    }

    private static void rto(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "");
        Session session = Broker.auto(connection);
        List<MessageConsumer> consumers = new java.util.ArrayList<>();
        String name = Broker.name("RTO.flow");
        for (String id : new String[] {"dest1", "dest1", "dest2"}) {
            consumers.add(session.createConsumer(session.createQueue(id + "." + name)));
        }
        MessageProducer producer = session.createProducer(session.createTopic(name));
        for (int number = 0; number < 10; number++) {
            producer.send(session.createTextMessage("" + number));
        }
        for (MessageConsumer consumer : consumers) {
            while (consumer.receive(500) != null) {
                // Acknowledged by itself.
            }
        }
        connection.close();
    }

    private static void failover(Broker broker) throws Exception {
        try (Wire wire = new Wire(broker.url.replace("?trace=true", ""))) {
            String address = "failover:(" + wire.url() + "?trace=true)?initialReconnectDelay=100";
            ActiveMQConnection connection = (ActiveMQConnection) new org.apache.activemq.ActiveMQConnectionFactory(
                            broker.user, broker.password, address)
                    .createConnection();
            connection.start();
            Session session = connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(Broker.name("flow"));
            MessageProducer producer = session.createProducer(queue);
            producer.send(session.createTextMessage("1"));
            producer.send(session.createTextMessage("2"));
            MessageConsumer consumer = session.createConsumer(queue);
            consumer.receive(Broker.SOON);
            wire.cut();
            Thread.sleep(1000);
            producer.send(session.createTextMessage("3"));
            for (int number = 0; number < 3; number++) {
                consumer.receive(2000).acknowledge();
            }
            connection.close();
        }
    }

    private static void xa(Broker broker) throws Exception {
        ActiveMQConnection connection = (ActiveMQConnection)
                new ActiveMQXAConnectionFactory(broker.user, broker.password, broker.url).createXAConnection();
        connection.start();
        XASession session = ((javax.jms.XAConnection) connection).createXASession();
        XAResource resource = session.getXAResource();
        Branch xid = new Branch(Broker.name("flow"));
        resource.start(xid, XAResource.TMNOFLAGS);
        MessageProducer producer = session.createProducer(new ActiveMQQueue(Broker.name("flow")));
        producer.send(session.createTextMessage("1"));
        resource.end(xid, XAResource.TMSUCCESS);
        resource.prepare(xid);
        resource.recover(XAResource.TMSTARTRSCAN);
        resource.commit(xid, false);
        connection.close();
    }

    private static void keep(Broker broker) throws Exception {
        ActiveMQConnection connection = open(
                broker, "wireFormat.maxInactivityDuration=1500&wireFormat.maxInactivityDurationInitalDelay=500");
        Thread.sleep(7000);
        connection.close();
    }

    private static void twelve(Broker broker, int mode, String options) throws Exception {
        ActiveMQConnection connection = open(broker, options);
        connection.getPrefetchPolicy().setAll(10);
        Session session = connection.createSession(false, mode);
        Queue queue = session.createQueue(Broker.name("flow"));
        MessageProducer producer = session.createProducer(queue);
        for (int number = 0; number < 12; number++) {
            producer.send(session.createTextMessage("" + number));
        }
        MessageConsumer consumer = session.createConsumer(queue);
        for (int number = 0; number < 12; number++) {
            consumer.receive(Broker.SOON);
        }
        connection.close();
    }

    private static void window(Broker broker) throws Exception {
        ActiveMQConnection connection = open(broker, "jms.useAsyncSend=true&jms.producerWindowSize=10000");
        Session session = Broker.auto(connection);
        MessageProducer producer = session.createProducer(session.createQueue(Broker.name("flow")));
        for (int number = 0; number < 3; number++) {
            producer.send(session.createTextMessage("x".repeat(1000)));
        }
        Thread.sleep(500);
        connection.close();
    }
}
