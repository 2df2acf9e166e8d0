import java.time.Instant;
import java.util.List;
import java.util.TreeSet;
import java.util.UUID;
import javax.jms.BytesMessage;
import javax.jms.DeliveryMode;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;

/** What is published by HTTP, as both protocols' clients see it; and what they send, as HTTP's readers do. */
final class Published {
    private Published() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("an event published by HTTP is a message for both", Published::topic),
            new Scenarios.Case("a queue filled by HTTP is shared by both", Published::queue),
            new Scenarios.Case("what an event does not say is what ActiveMQ leaves out", Published::bare),
            new Scenarios.Case("what both send is read by HTTP and by outflow tail", Published::read),
            new Scenarios.Case("a topic carries what all three publish, in one order", Published::three));

    /** JSON that no parser would write again as it is. */
    private static final String BODY = "{\"n\":1.0, \"n\":1e2,\"t\":\"caf\u00e9 \uD83D\uDE00 \\u0041\"}";

    private static void topic(Broker broker) throws Exception {
        String name = Broker.name("published");
        String id = UUID.randomUUID().toString();
        long occurred = System.currentTimeMillis() - 5_000;
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createTopic(name));
            stomp.subscribe("/topic/" + name, "auto");
            new Http(broker).publish(name, "{\"id\":\"" + id + "\",\"type\":\"ORDER\",\"key\":\"g\",\"occurred\":\""
                    + Instant.ofEpochMilli(occurred) + "\",\"headers\":{\"colour\":\"green\",\"number\":\"5\",\"priority\":\"7\","
                    + "\"correlation-id\":\"c:1\",\"reply-to\":\"/queue/answers\"},\"body\":" + BODY + "}");
            Message got = consumer.receive(Broker.SOON);
            Broker.same(BODY, Broker.text(got));
            Broker.same(Crossing.java(id), got.getJMSMessageID());
            Broker.same("ORDER", got.getJMSType());
            Broker.same("g", got.getStringProperty("JMSXGroupID"));
            Broker.same(occurred, got.getJMSTimestamp());
            Broker.same("topic://" + name, got.getJMSDestination().toString());
            Broker.same(7, got.getJMSPriority());
            Broker.same("c:1", got.getJMSCorrelationID());
            Broker.same("queue://answers", got.getJMSReplyTo().toString());
            Broker.same("green", got.getStringProperty("colour"));
            Broker.same(5, got.getIntProperty("number"));
            Broker.same(new TreeSet<>(List.of("colour", "number")), Crossing.names(got));
            Stomp.Frame frame = stomp.next();
            Broker.same(BODY, frame.text());
            Broker.same("/topic/" + name, frame.get("destination"));
            Broker.same(List.of(id, "ORDER", "g"), List.of(frame.get("message-id"), frame.get("type"), frame.get("JMSXGroupID")));
            Broker.same("application/json", frame.get("content-type"));
            Broker.same("" + occurred, frame.get("timestamp"));
            Broker.same(List.of("7", "c:1", "/queue/answers"),
                    List.of(frame.get("priority"), frame.get("correlation-id"), frame.get("reply-to")));
            Broker.same(List.of("green", "5"), List.of(frame.get("colour"), frame.get("number")));
        }
    }

    private static void queue(Broker broker) throws Exception {
        String name = Broker.name("published");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = held.it.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(name);
            // A queue begins with whoever uses it first as one.
            MessageConsumer consumer = session.createConsumer(queue);
            new Http(broker).publish("queue:" + name, "[{\"type\":\"A\",\"body\":\"text\"},{\"type\":\"B\",\"body\":{\"n\":2}},"
                    + "{\"type\":\"C\",\"body\":\"AP8K\",\"content_encoding\":\"base64\"}]");
            Message first = consumer.receive(Broker.SOON);
            Broker.same("A", first.getJMSType());
            Broker.same("\"text\"", Broker.text(first));
            first.acknowledge();
            consumer.close();
            stomp.subscribe("/queue/" + name, "client-individual");
            Stomp.Frame second = stomp.next();
            Broker.same("{\"n\":2}", second.text());
            stomp.done("ACK", null, "id", second.get("ack"));
            Broker.same("C", stomp.next().get("type"));
            stomp.close();
            Message third = session.createConsumer(queue).receive(Broker.SOON);
            Broker.same("C", third.getJMSType());
            Broker.same(true, third.getJMSRedelivered());
        }
    }

    private static void bare(Broker broker) throws Exception {
        String name = Broker.name("published");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createTopic(name));
            stomp.subscribe("/topic/" + name, "auto");
            new Http(broker).publish(name, "{\"type\":\"PING\"}");
            Message got = consumer.receive(Broker.SOON);
            // Without a body an event is its whole line.
            Broker.same(new Http(broker).read(name).get(0), Broker.text(got));
            Broker.same("PING", got.getJMSType());
            Broker.same(4, got.getJMSPriority());
            Broker.same(0L, got.getJMSExpiration());
            Broker.same(DeliveryMode.PERSISTENT, got.getJMSDeliveryMode());
            Broker.same(null, got.getJMSCorrelationID());
            Broker.same(null, got.getJMSReplyTo());
            Broker.same(null, got.getStringProperty("JMSXGroupID"));
            Broker.same(false, got.getJMSRedelivered());
            Broker.same(new TreeSet<>(), Crossing.names(got));
            Stomp.Frame frame = stomp.next();
            Broker.same(Broker.text(got), frame.text());
            Broker.same(List.of("PING", "4", "0"), List.of(frame.get("type"), frame.get("priority"), frame.get("expires")));
            for (String silent : List.of("persistent", "correlation-id", "reply-to", "JMSXGroupID", "redelivered")) {
                Broker.same(null, frame.get(silent));
            }
        }
    }

    private static void read(Broker broker) throws Exception {
        String name = Broker.name("published");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageProducer producer = session.createProducer(session.createQueue(name));
            Message json = session.createTextMessage(BODY);
            json.setJMSCorrelationID("c:1");
            json.setJMSReplyTo(session.createTopic("answers"));
            json.setStringProperty("JMSXGroupID", "g");
            json.setIntProperty("number", 5);
            json.setStringProperty("colour", "green");
            producer.send(json);
            producer.send(session.createTextMessage("a \"text\""));
            BytesMessage bytes = session.createBytesMessage();
            bytes.writeBytes(new byte[] {0, -1, 10});
            producer.send(bytes);
            stomp.send("/queue/" + name, "by STOMP", "colour", "red", "persistent", "true");

            List<String> lines = new Http(broker).read("queue:" + name);
            Broker.same(4, lines.size());
            has(lines.get(0), "\"id\":\"" + json.getJMSMessageID() + "\"", "\"type\":\"MESSAGE\"", "\"key\":\"g\"",
                    "\"occurred\":\"" + Instant.ofEpochMilli(json.getJMSTimestamp()).toString().substring(0, 19),
                    "\"correlation-id\":\"c:1\"", "\"reply-to\":\"/topic/answers\"", "\"number\":\"5\"",
                    "\"colour\":\"green\"", "\"persistent\":\"true\"", "\"body\":" + BODY);
            has(lines.get(1), "\"outflow-body\":\"text\"", "\"body\":\"a \\\"text\\\"\"");
            has(lines.get(2), "\"outflow-body\":\"bytes\"", "\"body\":\"AP8K\"", "\"content_encoding\":\"base64\"");
            has(lines.get(3), "\"type\":\"MESSAGE\"", "\"colour\":\"red\"", "\"persistent\":\"true\"", "\"body\":\"by STOMP\"");
            if (Server.isOurs()) {
                Broker.same(lines, new Http(broker).tail("queue:" + name));
            }
            // Reading took nothing from the queue.
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            Broker.same(BODY, Broker.next(consumer));
        }
    }

    private static void has(String line, String... parts) {
        for (String part : parts) {
            if (!line.contains(part)) {
                throw new AssertionError("no " + part + " in " + line);
            }
        }
    }

    private static void three(Broker broker) throws Exception {
        String name = Broker.name("published");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createTopic(name));
            stomp.subscribe("/topic/" + name, "auto");
            Http http = new Http(broker);
            MessageProducer producer = session.createProducer(session.createTopic(name));
            for (int round = 0; round < 3; round++) {
                http.publish(name, "{\"type\":\"A\",\"body\":{\"http\":" + round + "}}");
                producer.send(session.createTextMessage("{\"java\":" + round + "}"));
                stomp.send("/topic/" + name, "{\"stomp\":" + round + "}", "persistent", "true");
            }
            for (int round = 0; round < 3; round++) {
                for (String by : List.of("http", "java", "stomp")) {
                    String text = "{\"" + by + "\":" + round + "}";
                    Broker.same(text, Broker.next(consumer));
                    Broker.same(text, stomp.next().text());
                }
            }
            Broker.same(9, http.read(name).size());
        }
    }
}
