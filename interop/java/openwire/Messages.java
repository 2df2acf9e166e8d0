import java.util.List;
import java.util.Map;
import javax.jms.BytesMessage;
import javax.jms.DeliveryMode;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.ObjectMessage;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.StreamMessage;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;

/** What a message holds arrives as it was sent. */
final class Messages {
    private Messages() {}

    static final String TEXT = "{\"md5\":\"caf\u00e9 \uD83D\uDE00 \u0000\"}";

    /** In properties and maps the clients read no character past U+FFFF, nor NUL, even of each other. */
    static final String PLAIN = "caf\u00e9 \u20ac";

    private static final String PLAINEST = "wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false"
            + "&wireFormat.stackTraceEnabled=false&wireFormat.sizePrefixDisabled=true";

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("each kind of message arrives as it was sent", broker -> kinds(broker, "")),
            new Scenarios.Case("loose frames do too", broker -> kinds(broker, "wireFormat.tightEncodingEnabled=false")),
            new Scenarios.Case("so do frames without cache", broker -> kinds(broker, "wireFormat.cacheEnabled=false")),
            new Scenarios.Case("so do frames of version 9", broker -> kinds(broker, "wireFormat.version=9")),
            new Scenarios.Case("so do frames of version 1", broker -> kinds(broker, "wireFormat.version=1")),
            new Scenarios.Case("so do plain frames", broker -> kinds(broker, PLAINEST)),
            new Scenarios.Case("so do compressed bodies", broker -> kinds(broker, "jms.useCompression=true")),
            new Scenarios.Case("headers and properties arrive as they were sent", Messages::headers),
            new Scenarios.Case("a body of a megabyte arrives", Messages::large));

    private static void kinds(Broker broker, String options) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.connect(options))) {
            ActiveMQConnection connection = connectionHeld.it;
            connection.start();
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("kinds"));
            MessageProducer producer = session.createProducer(queue);
            producer.send(session.createTextMessage(TEXT));
            producer.send(session.createTextMessage());
            BytesMessage bytes = session.createBytesMessage();
            bytes.writeBytes(new byte[] {0, -1, 10});
            producer.send(bytes);
            MapMessage map = session.createMapMessage();
            map.setInt("int", 7);
            map.setString("text", PLAIN);
            map.setBytes("bytes", new byte[] {1});
            producer.send(map);
            StreamMessage stream = session.createStreamMessage();
            stream.writeLong(1L << 40);
            stream.writeString(TEXT);
            producer.send(stream);
            producer.send(session.createObjectMessage(42));
            producer.send(session.createMessage());

            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same(TEXT, Broker.next(consumer));
            Broker.same(null, ((TextMessage) consumer.receive(Broker.SOON)).getText());
            BytesMessage gotBytes = (BytesMessage) consumer.receive(Broker.SOON);
            Broker.same(3L, gotBytes.getBodyLength());
            byte[] raw = new byte[3];
            gotBytes.readBytes(raw);
            Broker.same(List.of((byte) 0, (byte) -1, (byte) 10), List.of(raw[0], raw[1], raw[2]));
            MapMessage gotMap = (MapMessage) consumer.receive(Broker.SOON);
            Broker.same(7, gotMap.getInt("int"));
            Broker.same(PLAIN, gotMap.getString("text"));
            StreamMessage gotStream = (StreamMessage) consumer.receive(Broker.SOON);
            Broker.same(1L << 40, gotStream.readLong());
            Broker.same(TEXT, gotStream.readString());
            Broker.same(true, consumer.receive(Broker.SOON) instanceof ObjectMessage);
            Broker.same(true, consumer.receive(Broker.SOON) != null);
        }
    }

    private static void headers(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("headers"));
            Message sent = session.createTextMessage("x");
            Map<String, Object> properties = Map.of(
                    "bool", true, "byte", (byte) 1, "short", (short) 2, "int", 3, "long", 4L,
                    "float", 1.5f, "double", 2.5, "text", PLAIN);
            for (Map.Entry<String, Object> property : properties.entrySet()) {
                sent.setObjectProperty(property.getKey(), property.getValue());
            }
            sent.setJMSCorrelationID("c-1");
            sent.setJMSType("kind");
            sent.setJMSReplyTo(session.createTopic("answers"));
            sent.setStringProperty("JMSXGroupID", "g");
            sent.setIntProperty("JMSXGroupSeq", 3);
            MessageProducer producer = session.createProducer(queue);
            producer.send(sent, DeliveryMode.PERSISTENT, 7, 600_000);

            Message got = session.createConsumer(queue).receive(Broker.SOON);
            for (Map.Entry<String, Object> property : properties.entrySet()) {
                Broker.same(property.getValue(), got.getObjectProperty(property.getKey()));
            }
            Broker.same("c-1", got.getJMSCorrelationID());
            Broker.same("kind", got.getJMSType());
            Broker.same("topic://answers", got.getJMSReplyTo().toString());
            Broker.same("g", got.getStringProperty("JMSXGroupID"));
            Broker.same(3, got.getIntProperty("JMSXGroupSeq"));
            Broker.same(7, got.getJMSPriority());
            Broker.same(sent.getJMSMessageID(), got.getJMSMessageID());
            Broker.same(sent.getJMSTimestamp(), got.getJMSTimestamp());
            Broker.same(sent.getJMSExpiration(), got.getJMSExpiration());
            Broker.same(DeliveryMode.PERSISTENT, got.getJMSDeliveryMode());
            Broker.same(queue.toString(), got.getJMSDestination().toString());
            Broker.same(false, got.getJMSRedelivered());
        }
    }

    private static void large(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> connectionHeld = Held.of(broker.started())) {
            ActiveMQConnection connection = connectionHeld.it;
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(Broker.name("large"));
            String text = "0123456789abcdef".repeat(60_000);
            Broker.send(session, queue, text);
            Broker.same(text, Broker.next(session.createConsumer(queue)));
        }
    }
}
