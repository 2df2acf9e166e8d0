import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.advisory.AdvisorySupport;
import org.apache.activemq.advisory.ConsumerEvent;
import org.apache.activemq.advisory.ConsumerEventSource;
import org.apache.activemq.advisory.DestinationSource;
import org.apache.activemq.advisory.ProducerEvent;
import org.apache.activemq.advisory.ProducerEventSource;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.RemoveInfo;

/** What a broker tells of itself, as the client's own event sources read it. */
final class Advisories {
    private Advisories() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("consumers are told of as they are, come and go", Advisories::consumers),
            new Scenarios.Case("producers are told of as they are, come and go", Advisories::producers),
            new Scenarios.Case("queues and topics are told of", Advisories::destinations),
            new Scenarios.Case("connections are told of as they come and go", Advisories::connections));

    private static void consumers(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            Session session = Broker.auto(other.it);
            Queue queue = session.createQueue(Broker.name("told"));
            MessageConsumer there = session.createConsumer(queue);
            ConsumerEventSource source = new ConsumerEventSource(held.it, queue);
            BlockingQueue<ConsumerEvent> events = new LinkedBlockingQueue<>();
            source.setConsumerListener(events::add);
            source.start();
            ConsumerEvent first = events.poll(Broker.SOON, TimeUnit.MILLISECONDS);
            Broker.same(true, first.isStarted());
            Broker.same(1, first.getConsumerCount());
            MessageConsumer second = session.createConsumer(queue);
            Broker.same(2, events.poll(Broker.SOON, TimeUnit.MILLISECONDS).getConsumerCount());
            second.close();
            ConsumerEvent stopped = events.poll(Broker.SOON, TimeUnit.MILLISECONDS);
            Broker.same(false, stopped.isStarted());
            Broker.same(1, stopped.getConsumerCount());
            there.close();
            Broker.same(0, events.poll(Broker.SOON, TimeUnit.MILLISECONDS).getConsumerCount());
            source.stop();
        }
    }

    private static void producers(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            Session session = Broker.auto(other.it);
            Topic topic = session.createTopic(Broker.name("told"));
            MessageProducer there = session.createProducer(topic);
            ProducerEventSource source = new ProducerEventSource(held.it, topic);
            BlockingQueue<ProducerEvent> events = new LinkedBlockingQueue<>();
            source.setProducerListener(events::add);
            source.start();
            ProducerEvent first = events.poll(Broker.SOON, TimeUnit.MILLISECONDS);
            Broker.same(true, first.isStarted());
            Broker.same(1, first.getProducerCount());
            there.close();
            ProducerEvent stopped = events.poll(Broker.SOON, TimeUnit.MILLISECONDS);
            Broker.same(false, stopped.isStarted());
            Broker.same(0, stopped.getProducerCount());
            source.stop();
        }
    }

    private static void destinations(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started());
                Held<ActiveMQConnection> other = Held.of(broker.started())) {
            Session session = Broker.auto(other.it);
            ActiveMQQueue before = new ActiveMQQueue(Broker.name("before"));
            Broker.send(session, before, "x");
            DestinationSource source = held.it.getDestinationSource();
            Semaphore told = new Semaphore(0);
            source.setDestinationListener(event -> told.release());
            within(told, () -> source.getQueues().contains(before));
            ActiveMQQueue after = new ActiveMQQueue(Broker.name("after"));
            session.createConsumer(after);
            within(told, () -> source.getQueues().contains(after));
            ActiveMQTopic topic = new ActiveMQTopic(Broker.name("topic"));
            session.createProducer(topic).send(session.createTextMessage("x"));
            within(told, () -> source.getTopics().contains(topic));
            source.stop();
        }
    }

    private static void connections(Broker broker) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(AdvisorySupport.getConnectionAdvisoryTopic());
            String client = Broker.name("client");
            ActiveMQConnection other = broker.connect("");
            other.setClientID(client);
            other.start();
            ConnectionInfo info = null;
            while (info == null || !client.equals(info.getClientId())) {
                Message message = consumer.receive(Broker.SOON);
                Broker.same("Advisory", message.getJMSType());
                if (((ActiveMQMessage) message).getDataStructure() instanceof ConnectionInfo one) {
                    // A broker may show that there is one, never what it is.
                    Broker.same(true, one.getPassword() == null || one.getPassword().isEmpty());
                    info = one;
                }
            }
            other.close();
            RemoveInfo removed = null;
            while (removed == null || !info.getConnectionId().equals(removed.getObjectId())) {
                ActiveMQMessage message = (ActiveMQMessage) consumer.receive(Broker.SOON);
                if (message.getDataStructure() instanceof RemoveInfo one) {
                    removed = one;
                }
            }
        }
    }

    interface Look {
        boolean see() throws Exception;
    }

    /** Looks again with everything that is told. */
    private static void within(Semaphore told, Look look) throws Exception {
        while (!look.see()) {
            if (!told.tryAcquire(Broker.SOON, TimeUnit.MILLISECONDS)) {
                throw new AssertionError("it was not told in time");
            }
        }
    }
}
