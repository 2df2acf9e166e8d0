import java.util.List;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;

/** The ways that programs acknowledge by, and how much a producer may have on its way. */
final class Acknowledging {
    private Acknowledging() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("lazy acknowledgements leave nothing in a queue", broker -> lazy(broker, "")),
            new Scenarios.Case("nor do they in a durable subscription", Acknowledging::durable),
            new Scenarios.Case("acknowledgements kept back come at the close", broker -> lazy(broker, "jms.optimizeAcknowledge=true")),
            new Scenarios.Case("they come in time as well", Acknowledging::inTime),
            new Scenarios.Case("a session that recovers gets again what it did not acknowledge", Acknowledging::recover),
            new Scenarios.Case("a listener that fails gets its message again", Acknowledging::listener),
            new Scenarios.Case("a producer with a window is held back, and goes on", Acknowledging::window));

    private static void fill(Session session, Queue queue, int count) throws Exception {
        String[] texts = new String[count];
        for (int number = 0; number < count; number++) {
            texts[number] = "" + number;
        }
        Broker.send(session, queue, texts);
    }

    private static void lazy(Broker broker, String options) throws Exception {
        String name = Broker.name("lazy");
        try (Held<ActiveMQConnection> held = Held.of(broker.connect(options))) {
            held.it.getPrefetchPolicy().setAll(10);
            held.it.start();
            int mode = options.isEmpty() ? Session.DUPS_OK_ACKNOWLEDGE : Session.AUTO_ACKNOWLEDGE;
            Session session = held.it.createSession(false, mode);
            Queue queue = session.createQueue(name);
            fill(session, queue, 14);
            MessageConsumer consumer = session.createConsumer(queue);
            for (int number = 0; number < 13; number++) {
                Broker.same("" + number, Broker.next(consumer));
            }
            consumer.close();
        }
        Broker.same(List.of("13"), Failover.drain(broker, name));
    }

    private static void durable(Broker broker) throws Exception {
        String name = Broker.name("lazy");
        String client = Broker.name("client");
        for (boolean first : new boolean[] {true, false}) {
            try (Held<ActiveMQConnection> held = Held.of(broker.connect(""))) {
                held.it.setClientID(client);
                held.it.getPrefetchPolicy().setAll(10);
                held.it.start();
                Session session = held.it.createSession(false, Session.DUPS_OK_ACKNOWLEDGE);
                Topic topic = session.createTopic(name);
                MessageConsumer consumer = session.createDurableSubscriber(topic, "s");
                if (first) {
                    MessageProducer producer = session.createProducer(topic);
                    for (int number = 0; number < 14; number++) {
                        producer.send(session.createTextMessage("" + number));
                    }
                    for (int number = 0; number < 13; number++) {
                        Broker.same("" + number, Broker.next(consumer));
                    }
                    consumer.close();
                } else {
                    Broker.same("13", Broker.next(consumer));
                    Broker.none(consumer);
                    consumer.close();
                    session.unsubscribe("s");
                }
            }
        }
    }

    /** The client acknowledges 300 ms later at the latest, though its connection never ends well. */
    private static void inTime(Broker broker) throws Exception {
        String name = Broker.name("lazy");
        try (Wire wire = new Wire(broker.url)) {
            ActiveMQConnection connection = new Broker(wire.url()).connect("jms.optimizeAcknowledge=true");
            connection.start();
            Session session = Broker.auto(connection);
            Queue queue = session.createQueue(name);
            fill(session, queue, 4);
            MessageConsumer consumer = session.createConsumer(queue);
            for (int number = 0; number < 3; number++) {
                Broker.same("" + number, Broker.next(consumer));
                Thread.sleep(400);
            }
            wire.cut();
        }
        // The timer runs as messages are taken: what it did not reach comes again, told so.
        List<String> left = Failover.drain(broker, name);
        Broker.same(true, left.equals(List.of("3")) || left.equals(List.of("2", "3")));
    }

    private static void recover(Broker broker) throws Exception {
        String name = Broker.name("recover");
        try (Held<ActiveMQConnection> held = Held.of(broker.connect("jms.redeliveryPolicy.initialRedeliveryDelay=0"))) {
            held.it.start();
            Session session = held.it.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            Queue queue = session.createQueue(name);
            fill(session, queue, 4);
            MessageConsumer consumer = session.createConsumer(queue);
            consumer.receive(Broker.SOON).acknowledge();
            Broker.same("1", Broker.next(consumer));
            Broker.same("2", Broker.next(consumer));
            session.recover();
            for (int number = 1; number < 4; number++) {
                Message again = consumer.receive(Broker.SOON);
                Broker.same("" + number, Broker.text(again));
                Broker.same(number < 3, again.getJMSRedelivered());
                Broker.same(number < 3 ? 2 : 1, again.getIntProperty("JMSXDeliveryCount"));
                if (number == 2) {
                    again.acknowledge();
                }
            }
        }
        Broker.same(List.of("3"), Failover.drain(broker, name));
    }

    private static void listener(Broker broker) throws Exception {
        String name = Broker.name("listener");
        try (Held<ActiveMQConnection> held = Held.of(broker.connect("jms.redeliveryPolicy.initialRedeliveryDelay=0"))) {
            held.it.start();
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(name);
            java.util.concurrent.BlockingQueue<String> seen = new java.util.concurrent.LinkedBlockingQueue<>();
            session.createConsumer(queue).setMessageListener(message -> {
                try {
                    seen.add(Broker.text(message) + " " + message.getJMSRedelivered());
                    if (!message.getJMSRedelivered()) {
                        throw new IllegalStateException("not yet");
                    }
                } catch (javax.jms.JMSException fault) {
                    seen.add(fault.toString());
                }
            });
            Session sends = Broker.auto(held.it);
            Broker.send(sends, queue, "1");
            for (String expected : List.of("1 false", "1 true")) {
                Broker.same(expected, seen.poll(Broker.SOON, java.util.concurrent.TimeUnit.MILLISECONDS));
            }
            Broker.same(null, seen.poll(Broker.NOTHING, java.util.concurrent.TimeUnit.MILLISECONDS));
        }
    }

    private static void window(Broker broker) throws Exception {
        String name = Broker.name("window");
        String text = "x".repeat(1000);
        try (Held<ActiveMQConnection> held = Held.of(broker.connect("jms.useAsyncSend=true&jms.producerWindowSize=5000"))) {
            held.it.start();
            Session session = Broker.auto(held.it);
            MessageProducer producer = session.createProducer(session.createQueue(name));
            Thread sender = new Thread(() -> {
                try {
                    for (int number = 0; number < 200; number++) {
                        producer.send(session.createTextMessage(text));
                    }
                } catch (javax.jms.JMSException fault) {
                    throw new IllegalStateException(fault);
                }
            });
            sender.start();
            // Five messages fill the window: it is done only if it was opened again and again.
            sender.join(Broker.SOON);
            Broker.same(false, sender.isAlive());
        }
        Broker.same(200, Failover.drain(broker, name).size());
    }
}
