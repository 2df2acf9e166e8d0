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
import org.apache.activemq.command.ActiveMQMessage;

/** A queue that clients of both protocols use at once: acks, dead letters, answers, groups, transactions. */
final class Sharing {
    private Sharing() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("what one protocol leaves comes again by the other, told so", Sharing::again),
            new Scenarios.Case("a request by OpenWire is answered by STOMP", Sharing::answeredByStomp),
            new Scenarios.Case("a request by STOMP is answered by OpenWire", Sharing::answeredByJava),
            new Scenarios.Case("selectors see what the other protocol said", Sharing::selectors),
            new Scenarios.Case("a transaction of either is whole for the other", Sharing::transactions),
            new Scenarios.Case("each protocol's browser sees what the other sent", Sharing::browsers),
            new Scenarios.Case("what STOMP refuses is a dead letter for Java", Sharing::refused),
            new Scenarios.Case("what Java gives up is a dead letter for STOMP", Sharing::givenUp),
            new Scenarios.Case("a group stays with one consumer of both protocols", Sharing::group),
            new Scenarios.Case("what expires for one is not delivered to the other", Sharing::expire));

    private static void again(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = held.it.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(name);
            Broker.send(session, queue, "1", "2");
            try (Held<MessageConsumer> consumer = Held.of(session.createConsumer(queue))) {
                Broker.same("1", Broker.next(consumer.it));
            }
            try (Stomp stomp = new Stomp(broker)) {
                stomp.subscribe("/queue/" + name, "client-individual");
                Stomp.Frame first = stomp.next();
                Broker.same(List.of("1", "true"), List.of(first.text(), first.get("redelivered")));
                // The consumer that was closed had it, and its program had not seen it.
                Broker.same("2", stomp.next().text());
            }
            MessageConsumer consumer = session.createConsumer(queue);
            Message first = consumer.receive(Broker.SOON);
            Broker.same("1", Broker.text(first));
            Broker.same(true, first.getJMSRedelivered());
            Broker.same(3, first.getIntProperty("JMSXDeliveryCount"));
            Message second = consumer.receive(Broker.SOON);
            Broker.same("2", Broker.text(second));
            Broker.same(2, second.getIntProperty("JMSXDeliveryCount"));
            second.acknowledge();
        }
        try (Stomp stomp = new Stomp(broker)) {
            stomp.subscribe("/queue/" + name, "auto");
            stomp.none();
        }
    }

    private static void answeredByStomp(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            TemporaryQueue inbox = session.createTemporaryQueue();
            Message request = session.createTextMessage("?");
            request.setJMSReplyTo(inbox);
            request.setJMSCorrelationID("r-1");
            session.createProducer(session.createQueue(name)).send(request);
            stomp.subscribe("/queue/" + name, "auto");
            Stomp.Frame asked = stomp.next();
            stomp.send(asked.get("reply-to"), "!", "correlation-id", asked.get("correlation-id"));
            Message answer = session.createConsumer(inbox).receive(Broker.SOON);
            Broker.same("!", Broker.text(answer));
            Broker.same("r-1", answer.getJMSCorrelationID());
            Broker.same(inbox, answer.getJMSDestination());
        }
    }

    private static void answeredByJava(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            stomp.subscribe("/temp-queue/inbox", "auto");
            stomp.send("/queue/" + name, "?", "reply-to", "/temp-queue/inbox", "correlation-id", "r-1");
            Session session = Broker.auto(held.it);
            Message asked = session.createConsumer(session.createQueue(name)).receive(Broker.SOON);
            Message answer = session.createTextMessage("!");
            answer.setJMSCorrelationID(asked.getJMSCorrelationID());
            session.createProducer(asked.getJMSReplyTo()).send(answer);
            Stomp.Frame got = stomp.next();
            Broker.same(List.of("!", "r-1"), List.of(got.text(), got.get("correlation-id")));
            Broker.same("/temp-queue/inbox", got.get("destination"));
        }
    }

    private static void selectors(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(name);
            MessageProducer producer = session.createProducer(queue);
            for (int number = 4; number <= 6; number++) {
                Message message = session.createTextMessage("java " + number);
                message.setIntProperty("number", number);
                producer.send(message);
                stomp.send("/queue/" + name, "stomp " + number, "number", "" + number);
            }
            // STOMP's selectors take texts for numbers; Java's do where they say so.
            stomp.subscribe("/queue/" + name, "auto", "selector", "number > 5");
            Broker.same(List.of("java 6", "stomp 6"), List.of(stomp.next().text(), stomp.next().text()));
            stomp.none();
            try (Held<MessageConsumer> typed = Held.of(session.createConsumer(queue, "number > 4"))) {
                Broker.same("java 5", Broker.next(typed.it));
                Broker.none(typed.it);
            }
            try (Held<MessageConsumer> any = Held.of(session.createConsumer(queue, "convert_string_expressions:number > 4"))) {
                Broker.same("stomp 5", Broker.next(any.it));
                Broker.none(any.it);
            }
        }
    }

    private static void transactions(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker);
                Stomp sender = new Stomp(broker)) {
            Session session = held.it.createSession(true, Session.SESSION_TRANSACTED);
            Queue queue = session.createQueue(name);
            stomp.subscribe("/queue/" + name, "client-individual");
            Broker.send(session, queue, "dropped");
            session.rollback();
            Broker.send(session, queue, "1", "2");
            stomp.none();
            session.commit();
            for (String text : List.of("1", "2")) {
                Stomp.Frame got = stomp.next();
                Broker.same(text, got.text());
                stomp.done("ACK", null, "id", got.get("ack"));
            }
            stomp.done("UNSUBSCRIBE", null, "id", "s");
            MessageConsumer consumer = session.createConsumer(queue);
            for (String end : List.of("ABORT", "COMMIT")) {
                sender.done("BEGIN", null, "transaction", end);
                sender.send("/queue/" + name, end, "transaction", end);
                Broker.none(consumer);
                sender.done(end, null, "transaction", end);
            }
            Broker.same("COMMIT", Broker.next(consumer));
            session.commit();
            Broker.none(consumer);
        }
    }

    private static void browsers(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(name);
            stomp.send("/queue/" + name, "1");
            Broker.send(session, queue, "2");
            List<String> seen = List.of();
            // The client's browser may end too early by itself; see Queues.look.
            for (int again = 0; again < 5 && seen.size() < 2; again++) {
                try (Held<QueueBrowser> browser = Held.of(session.createBrowser(queue))) {
                    seen = new ArrayList<>();
                    for (Object message : Collections.list(browser.it.getEnumeration())) {
                        seen.add(Broker.text((Message) message));
                    }
                }
            }
            Broker.same(List.of("1", "2"), seen);
            stomp.subscribe("/queue/" + name, "auto", "browser", "true");
            Broker.same(List.of("1", "2"), List.of(stomp.next().text(), stomp.next().text()));
            Broker.same("end", stomp.next().get("browser"));
            Broker.same("1", Broker.next(session.createConsumer(queue)));
        }
    }

    private static void refused(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageConsumer letters =
                    session.createConsumer(session.createQueue("ActiveMQ.DLQ"), "origin = '" + name + "'");
            stomp.send("/queue/" + name, "bad", "persistent", "true", "origin", name, "correlation-id", "c:1");
            stomp.subscribe("/queue/" + name, "client-individual");
            Stomp.Frame got = stomp.next();
            stomp.done("NACK", null, "id", got.get("ack"));
            ActiveMQMessage letter = (ActiveMQMessage) letters.receive(Broker.SOON);
            Broker.same("bad", Broker.text(letter));
            Broker.same(Crossing.java(got.get("message-id")), letter.getJMSMessageID());
            Broker.same("c:1", letter.getJMSCorrelationID());
            Broker.same("queue://ActiveMQ.DLQ", letter.getJMSDestination().toString());
            Broker.same("queue://" + name, letter.getOriginalDestination().toString());
            Broker.same(true, letter.getStringProperty("dlqDeliveryFailureCause") != null);
            stomp.none();
        }
    }

    private static void givenUp(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.connect("jms.redeliveryPolicy.maximumRedeliveries=0"));
                Stomp stomp = new Stomp(broker)) {
            held.it.start();
            stomp.subscribe("/queue/ActiveMQ.DLQ", "auto", "selector", "origin = '" + name + "'");
            Session session = held.it.createSession(true, Session.SESSION_TRANSACTED);
            Queue queue = session.createQueue(name);
            Message message = session.createTextMessage("bad");
            message.setStringProperty("origin", name);
            message.setIntProperty("number", 7);
            session.createProducer(queue).send(message);
            session.commit();
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("bad", Broker.next(consumer));
            session.rollback();
            Broker.none(consumer);
            Stomp.Frame letter = stomp.next();
            Broker.same("bad", letter.text());
            Broker.same(message.getJMSMessageID(), letter.get("message-id"));
            Broker.same("/queue/ActiveMQ.DLQ", letter.get("destination"));
            Broker.same("/queue/" + name, letter.get("original-destination"));
            Broker.same("7", letter.get("number"));
            Broker.same(true, letter.get("dlqDeliveryFailureCause") != null);
        }
    }

    private static void group(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker);
                Stomp sender = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(name));
            stomp.subscribe("/queue/" + name, "auto");
            MessageProducer producer = session.createProducer(session.createQueue(name));
            for (int number = 0; number < 6; number += 2) {
                Message message = session.createTextMessage("" + number);
                message.setStringProperty("JMSXGroupID", "g");
                producer.send(message);
                sender.send("/queue/" + name, "" + (number + 1), "JMSXGroupID", "g");
            }
            Message first = consumer.receive(Broker.NOTHING);
            if (first == null) {
                for (int number = 0; number < 6; number++) {
                    Stomp.Frame got = stomp.next();
                    Broker.same("" + number, got.text());
                    Broker.same(number == 0 ? "true" : null, got.get("JMSXGroupFirstForConsumer"));
                }
                Broker.none(consumer);
            } else {
                Broker.same("0", Broker.text(first));
                Broker.same(true, first.getBooleanProperty("JMSXGroupFirstForConsumer"));
                for (int number = 1; number < 6; number++) {
                    Broker.same("" + number, Broker.next(consumer));
                }
                stomp.none();
            }
        }
    }

    private static void expire(Broker broker) throws Exception {
        String name = Broker.name("crossing");
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Stomp stomp = new Stomp(broker)) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(name);
            MessageProducer producer = session.createProducer(queue);
            producer.setTimeToLive(200);
            producer.send(session.createTextMessage("late by Java"));
            Broker.send(session, queue, "kept by Java");
            stomp.send("/queue/" + name, "late by STOMP", "expires", "" + (System.currentTimeMillis() + 200));
            stomp.send("/queue/" + name, "kept by STOMP");
            Thread.sleep(400);
            stomp.subscribe("/queue/" + name, "client");
            Broker.same("kept by Java", stomp.next().text());
            Broker.same("kept by STOMP", stomp.next().text());
            stomp.none();
            stomp.close();
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same("kept by Java", Broker.next(consumer));
            Broker.same("kept by STOMP", Broker.next(consumer));
            Broker.none(consumer);
        }
    }
}
