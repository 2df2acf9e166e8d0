import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
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

/** What one protocol's clients put into a queue, the other's take out of it, as ActiveMQ maps it. */
final class Crossing {
    private Crossing() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a queue filled by OpenWire is drained by STOMP", Crossing::toStomp),
            new Scenarios.Case("a queue filled by STOMP is drained by OpenWire", Crossing::toOpenWire),
            new Scenarios.Case("what STOMP says of a body decides what it is for Java", Crossing::kinds),
            new Scenarios.Case("each kind of Java message reaches STOMP, and stays what it is", Crossing::bodies),
            new Scenarios.Case("a compressed body is plain for STOMP", Crossing::compressed));

    private static void toStomp(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            Message sent = session.createTextMessage(Messages.TEXT);
            Map<String, Object> properties = Map.of(
                    "bool", true, "byte", (byte) 1, "short", (short) 2, "int", 3, "long", 1L << 40,
                    "float", 1.5f, "double", 2.5e10, "text", Messages.PLAIN, "special", "a:b\nc\\d\r");
            for (Map.Entry<String, Object> property : properties.entrySet()) {
                sent.setObjectProperty(property.getKey(), property.getValue());
            }
            sent.setJMSCorrelationID("c:1");
            sent.setJMSType("kind");
            sent.setJMSReplyTo(session.createTopic("answers"));
            sent.setStringProperty("JMSXGroupID", "g");
            sent.setIntProperty("JMSXGroupSeq", 3);
            session.createProducer(session.createQueue(name)).send(sent, DeliveryMode.PERSISTENT, 7, 600_000);
            MessageProducer fleeting = session.createProducer(session.createQueue(name));
            fleeting.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            fleeting.send(session.createTextMessage());

            stomp.subscribe("/queue/" + name, "auto");
            Stomp.Frame got = stomp.next();
            Broker.same(Messages.TEXT, got.text());
            for (Map.Entry<String, Object> property : properties.entrySet()) {
                Broker.same(property.getValue().toString(), got.get(property.getKey()));
            }
            Broker.same("/queue/" + name, got.get("destination"));
            Broker.same("s", got.get("subscription"));
            Broker.same(sent.getJMSMessageID(), got.get("message-id"));
            Broker.same("c:1", got.get("correlation-id"));
            Broker.same("kind", got.get("type"));
            Broker.same("/topic/answers", got.get("reply-to"));
            Broker.same("g", got.get("JMSXGroupID"));
            Broker.same("3", got.get("JMSXGroupSeq"));
            Broker.same("7", got.get("priority"));
            Broker.same("true", got.get("persistent"));
            Broker.same("" + sent.getJMSTimestamp(), got.get("timestamp"));
            Broker.same("" + sent.getJMSExpiration(), got.get("expires"));
            Broker.same(null, got.get("redelivered"));
            Stomp.Frame plain = stomp.next();
            Broker.same(List.of("", "0", "4"), List.of(plain.text(), plain.get("expires"), plain.get("priority")));
            for (String silent : List.of("persistent", "correlation-id", "type", "reply-to", "JMSXGroupID")) {
                Broker.same(null, plain.get(silent));
            }
            stomp.none();
        }
    }

    private static void toOpenWire(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        long expires = System.currentTimeMillis() + 600_000;
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            // Without a length a frame ends at its first NUL.
            String text = Messages.TEXT.replace("\u0000", "");
            stomp.send("/queue/" + name, text, "correlation-id", "c:1", "type", "kind", "reply-to", "/topic/answers",
                    "expires", "" + expires, "priority", "7", "persistent", "true", "JMSXGroupID", "g",
                    "JMSXGroupSeq", "3", "colour", Messages.PLAIN, "special", "a:b\nc\\d", "number", "5", "number", "6");
            long before = System.currentTimeMillis();
            stomp.send("/queue/" + name, "plain");

            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Message got = consumer.receive(Broker.SOON);
            Broker.same(text, Broker.text(got));
            Broker.same("queue://" + name, got.getJMSDestination().toString());
            Broker.same("c:1", got.getJMSCorrelationID());
            Broker.same("kind", got.getJMSType());
            Broker.same("topic://answers", got.getJMSReplyTo().toString());
            Broker.same(expires, got.getJMSExpiration());
            Broker.same(7, got.getJMSPriority());
            Broker.same(DeliveryMode.PERSISTENT, got.getJMSDeliveryMode());
            Broker.same("g", got.getStringProperty("JMSXGroupID"));
            Broker.same(3, got.getIntProperty("JMSXGroupSeq"));
            Broker.same(Messages.PLAIN, got.getStringProperty("colour"));
            Broker.same("a:b\nc\\d", got.getStringProperty("special"));
            // Of a header that is repeated the first counts; as a text it is read as a number where one is wanted.
            Broker.same("5", got.getObjectProperty("number"));
            Broker.same(5, got.getIntProperty("number"));
            Broker.same(false, got.getJMSRedelivered());
            // Nothing of the server's own is among them.
            Broker.same(new TreeSet<>(List.of("colour", "number", "special")), names(got));
            Message plain = consumer.receive(Broker.SOON);
            Broker.same("plain", Broker.text(plain));
            Broker.same(DeliveryMode.NON_PERSISTENT, plain.getJMSDeliveryMode());
            Broker.same(4, plain.getJMSPriority());
            Broker.same(0L, plain.getJMSExpiration());
            Broker.same(true, Math.abs(plain.getJMSTimestamp() - before) < Broker.SOON);
            Broker.same(null, plain.getJMSReplyTo());
            Broker.same(null, plain.getJMSCorrelationID());
            Broker.same(null, plain.getJMSType());
            Broker.same(new TreeSet<>(), names(plain));
            Broker.same(true, plain.getJMSMessageID() != null && !plain.getJMSMessageID().equals(got.getJMSMessageID()));
        }
    }

    /** An id as the Java client shows it: JMS wants them all to begin alike. */
    static String java(String id) {
        return "ID:" + id;
    }

    static TreeSet<String> names(Message message) throws Exception {
        TreeSet<String> names = new TreeSet<>();
        for (Object name : Collections.list(message.getPropertyNames())) {
            // The client's own, which it derives from fields.
            if (!name.toString().startsWith("JMSX")) {
                names.add(name.toString());
            }
        }
        return names;
    }

    private static void kinds(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        byte[] raw = {0, -1, 10};
        byte[] text = "{\"a\":1}".getBytes();
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            String destination = "/queue/" + name;
            stomp.done("SEND", raw, "destination", destination, "content-length", "3");
            stomp.done("SEND", text, "destination", destination, "content-length", "7");
            stomp.done("SEND", text, "destination", destination, "amq-msg-type", "bytes");
            stomp.done("SEND", text, "destination", destination, "content-length", "7", "amq-msg-type", "text");
            stomp.done("SEND", text, "destination", destination);
            stomp.done("SEND", text, "destination", destination, "content-length", "7", "content-type", "application/json");
            byte[] whole = Messages.TEXT.getBytes("UTF-8");
            stomp.done("SEND", whole, "destination", destination, "content-length", "" + whole.length, "amq-msg-type", "text");
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Broker.same(List.of((byte) 0, (byte) -1, (byte) 10), bytes(consumer.receive(Broker.SOON)));
            Broker.same("{\"a\":1}", decoded(consumer.receive(Broker.SOON)));
            Broker.same("{\"a\":1}", decoded(consumer.receive(Broker.SOON)));
            for (int number = 0; number < 3; number++) {
                Broker.same("{\"a\":1}", Broker.next(consumer));
            }
            Broker.same(Messages.TEXT, Broker.next(consumer));
        }
    }

    private static List<Byte> bytes(Message message) throws Exception {
        BytesMessage body = (BytesMessage) message;
        List<Byte> all = new ArrayList<>();
        for (long left = body.getBodyLength(); left > 0; left--) {
            all.add(body.readByte());
        }
        return all;
    }

    private static String decoded(Message message) throws Exception {
        byte[] raw = new byte[(int) ((BytesMessage) message).getBodyLength()];
        ((BytesMessage) message).readBytes(raw);
        return new String(raw);
    }

    private static void bodies(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(name);
            MessageProducer producer = session.createProducer(queue);
            BytesMessage bytes = session.createBytesMessage();
            bytes.writeBytes(new byte[] {0, -1, 10});
            producer.send(bytes);
            MapMessage map = session.createMapMessage();
            map.setInt("int", 7);
            map.setString("text", Messages.PLAIN);
            producer.send(map);
            StreamMessage stream = session.createStreamMessage();
            stream.writeLong(1L << 40);
            producer.send(stream);
            ObjectMessage object = session.createObjectMessage(42);
            producer.send(object);
            producer.send(session.createMessage());
            try (Stomp stomp = new Stomp(broker)) {
                stomp.subscribe("/queue/" + name, "client");
                Stomp.Frame got = stomp.next();
                Broker.same("3", got.get("content-length"));
                Broker.same(List.of((byte) 0, (byte) -1, (byte) 10), List.of(got.body()[0], got.body()[1], got.body()[2]));
                for (Message sent : List.of(map, stream, object)) {
                    got = stomp.next();
                    Broker.same(sent.getJMSMessageID(), got.get("message-id"));
                    Broker.same(true, got.body().length > 0);
                }
                Broker.same("", stomp.next().text());
            }
            // Nothing was acked: they are Java's again, and as they were.
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same(3L, ((BytesMessage) consumer.receive(Broker.SOON)).getBodyLength());
            MapMessage gotMap = (MapMessage) consumer.receive(Broker.SOON);
            Broker.same(7, gotMap.getInt("int"));
            Broker.same(Messages.PLAIN, gotMap.getString("text"));
            Broker.same(1L << 40, ((StreamMessage) consumer.receive(Broker.SOON)).readLong());
            Message gotObject = consumer.receive(Broker.SOON);
            Broker.same(object.getJMSMessageID(), gotObject.getJMSMessageID());
            Broker.same(true, gotObject instanceof ObjectMessage);
            Broker.same(false, consumer.receive(Broker.SOON) instanceof TextMessage);
            Broker.none(consumer);
        }
    }

    private static void compressed(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        String text = "caf\u00e9 ".repeat(1000);
        try (Held<ActiveMQConnection> held = Held.of(broker.connect("jms.useCompression=true"));
                Stomp stomp = new Stomp(broker)) {
            held.it.start();
            Session session = Broker.auto(held.it);
            BytesMessage bytes = session.createBytesMessage();
            bytes.writeBytes(text.getBytes("UTF-8"));
            Broker.send(session, session.createQueue(name), text);
            session.createProducer(session.createQueue(name)).send(bytes);
            stomp.subscribe("/queue/" + name, "auto");
            Broker.same(text, stomp.next().text());
            Broker.same(text, stomp.next().text());
        }
    }
}
