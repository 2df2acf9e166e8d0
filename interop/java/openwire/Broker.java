import java.util.UUID;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/** The broker under test, as the scenarios see it: connections, names of their own, reports. */
final class Broker {
    /** How long a message that must come may take, in milliseconds. */
    static final long SOON = 10_000;
    /** How long nothing must come, in milliseconds. */
    static final long NOTHING = 700;

    final String url;
    final String user = System.getenv("OUTFLOW_USER");
    final String password = System.getenv("OUTFLOW_PASSWORD");

    Broker(String url) {
        this.url = url;
    }

    interface Body {
        void run(Broker broker) throws Exception;
    }

    /** Runs a case and reports it: ok if it returns, failed if it throws. */
    void check(String name, Body body) {
        String detail = "";
        boolean ok = true;
        try {
            body.run(this);
        } catch (Throwable fault) {
            ok = false;
            detail = fault.toString();
            if (System.getenv("OUTFLOW_TRACE") != null) {
                fault.printStackTrace();
            }
        }
        String text = detail.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\p{Cntrl}", " ");
        System.out.println("{\"case\":\"" + name + "\",\"ok\":" + ok + ",\"detail\":\"" + text + "\"}");
    }

    /** Tells whoever looks on, where that is asked for. */
    static void note(String text) {
        if (System.getenv("OUTFLOW_TRACE") != null) {
            System.err.println(text);
        }
    }

    /** A connection that is not started, with options behind the address: `a=b&c=d`. */
    ActiveMQConnection connect(String options) throws JMSException {
        String separator = url.contains("?") ? "&" : "?";
        String address = options.isEmpty() ? url : url + separator + options;
        return (ActiveMQConnection) new ActiveMQConnectionFactory(user, password, address).createConnection();
    }

    ActiveMQConnection started() throws JMSException {
        ActiveMQConnection connection = connect("");
        connection.start();
        return connection;
    }

    /** A name that no other case uses. */
    static String name(String stem) {
        return stem + "." + UUID.randomUUID().toString().substring(0, 8);
    }

    static void send(Session session, Queue queue, String... texts) throws JMSException {
        MessageProducer producer = session.createProducer(queue);
        for (String text : texts) {
            producer.send(session.createTextMessage(text));
        }
        producer.close();
    }

    static String text(Message message) throws JMSException {
        return message == null ? null : ((TextMessage) message).getText();
    }

    static String next(MessageConsumer consumer) throws JMSException {
        return text(consumer.receive(SOON));
    }

    static void none(MessageConsumer consumer) throws JMSException {
        same(null, text(consumer.receive(NOTHING)));
    }

    static Session auto(Connection connection) throws JMSException {
        return connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
    }

    static void same(Object expected, Object got) {
        if (expected == null ? got != null : !expected.equals(got)) {
            throw new AssertionError("expected " + expected + ", got " + got);
        }
    }
}
