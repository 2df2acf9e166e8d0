import java.util.HashSet;
import java.util.List;
import java.util.Set;
import javax.jms.Connection;
import javax.jms.ConnectionFactory;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.pool.PooledConnectionFactory;
import org.apache.camel.ProducerTemplate;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.jms.JmsComponent;
import org.apache.camel.impl.DefaultCamelContext;
import org.springframework.jms.connection.CachingConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;

/** Programs that meet the broker through a pool, Spring or Camel, with these as they come. */
final class Frameworks {
    private Frameworks() {}

    private static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("pooled connections are used again", Frameworks::pooled),
            new Scenarios.Case("a pooled connection is replaced when it was cut", Frameworks::pooledCut),
            new Scenarios.Case("JmsTemplate asks and is answered over temporary queues", Frameworks::template),
            new Scenarios.Case("JmsTemplate sends in a transaction", Frameworks::templateTransaction),
            new Scenarios.Case("a Camel route carries from queue to queue", Frameworks::route),
            new Scenarios.Case("a Camel route answers requests", Frameworks::routeReplies));

    public static void main(String[] arguments) {
        Scenarios.run(arguments, CASES);
    }

    private static ActiveMQConnectionFactory plain(Broker broker, String url) {
        return new ActiveMQConnectionFactory(broker.user, broker.password, url);
    }

    private static PooledConnectionFactory pool(Broker broker, String url) {
        PooledConnectionFactory pool = new PooledConnectionFactory();
        pool.setConnectionFactory(plain(broker, url));
        pool.setMaxConnections(2);
        pool.start();
        return pool;
    }

    private static void exchange(ConnectionFactory factory, Queue queue, String text) throws Exception {
        Connection connection = factory.createConnection();
        try {
            connection.start();
            Session session = Broker.auto(connection);
            session.createProducer(queue).send(session.createTextMessage(text));
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same(text, Broker.next(consumer));
            consumer.close();
            session.close();
        } finally {
            connection.close();
        }
    }

    private static void pooled(Broker broker) throws Exception {
        PooledConnectionFactory pool = pool(broker, broker.url);
        Queue queue = new ActiveMQQueue(Broker.name("pooled"));
        for (int turn = 0; turn < 50; turn++) {
            exchange(pool, queue, "" + turn);
        }
        pool.stop();
    }

    private static void pooledCut(Broker broker) throws Exception {
        try (Wire wire = new Wire(broker.url)) {
            PooledConnectionFactory pool = pool(broker, wire.url());
            pool.setReconnectOnException(true);
            Queue queue = new ActiveMQQueue(Broker.name("pooled"));
            exchange(pool, queue, "before");
            // Its acknowledgement was sent and not answered: cut off, it may come again to this queue.
            Queue another = new ActiveMQQueue(Broker.name("pooled"));
            wire.cut();
            Exception last = null;
            for (int turn = 0; turn < 50; turn++) {
                try {
                    exchange(pool, another, "after");
                    pool.stop();
                    return;
                } catch (Exception broken) {
                    last = broken;
                    Thread.sleep(100);
                }
            }
            throw last;
        }
    }

    private static void template(Broker broker) throws Exception {
        CachingConnectionFactory factory = new CachingConnectionFactory(plain(broker, broker.url));
        String name = Broker.name("asked");
        DefaultMessageListenerContainer container = new DefaultMessageListenerContainer();
        container.setConnectionFactory(factory);
        container.setDestinationName(name);
        container.setConcurrentConsumers(2);
        JmsTemplate template = new JmsTemplate(factory);
        template.setReceiveTimeout(Broker.SOON);
        container.setMessageListener((javax.jms.MessageListener) asked -> {
            try {
                String text = Broker.text(asked);
                String correlation = asked.getJMSCorrelationID();
                template.send(asked.getJMSReplyTo(), session -> {
                    Message answer = session.createTextMessage(text + "!");
                    answer.setJMSCorrelationID(correlation);
                    return answer;
                });
            } catch (Exception fault) {
                throw new IllegalStateException(fault);
            }
        });
        container.afterPropertiesSet();
        container.start();
        try {
            for (int number = 0; number < 20; number++) {
                String text = "" + number;
                Message answer = template.sendAndReceive(name, session -> session.createTextMessage(text));
                Broker.same(text + "!", Broker.text(answer));
            }
        } finally {
            container.shutdown();
            factory.destroy();
        }
    }

    private static void templateTransaction(Broker broker) throws Exception {
        CachingConnectionFactory factory = new CachingConnectionFactory(plain(broker, broker.url));
        JmsTemplate template = new JmsTemplate(factory);
        template.setSessionTransacted(true);
        template.setReceiveTimeout(Broker.SOON);
        String name = Broker.name("transacted");
        template.convertAndSend(name, "text");
        Broker.same("text", template.receiveAndConvert(name));
        factory.destroy();
    }

    private static DefaultCamelContext camel(Broker broker, RouteBuilder routes) throws Exception {
        DefaultCamelContext context = new DefaultCamelContext();
        PooledConnectionFactory pool = pool(broker, broker.url);
        context.addComponent("jms", JmsComponent.jmsComponentAutoAcknowledge(pool));
        context.addRoutes(routes);
        context.start();
        return context;
    }

    private static void route(Broker broker) throws Exception {
        String from = Broker.name("from");
        String to = Broker.name("to");
        DefaultCamelContext context = camel(broker, new RouteBuilder() {
            @Override
            public void configure() {
                from("jms:queue:" + from).setBody(body().append("!")).to("jms:queue:" + to);
            }
        });
        ProducerTemplate producer = context.createProducerTemplate();
        Set<String> expected = new HashSet<>();
        for (int number = 0; number < 20; number++) {
            producer.sendBodyAndHeader("jms:queue:" + from, "" + number, "kept", number);
            expected.add(number + "!");
        }
        Set<String> got = new HashSet<>();
        try (Held<org.apache.activemq.ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(session.createQueue(to));
            for (int number = 0; number < 20; number++) {
                Message message = consumer.receive(Broker.SOON);
                Broker.same(Broker.text(message), message.getIntProperty("kept") + "!");
                got.add(Broker.text(message));
            }
        }
        context.stop();
        Broker.same(expected, got);
    }

    private static void routeReplies(Broker broker) throws Exception {
        String name = Broker.name("asked");
        DefaultCamelContext context = camel(broker, new RouteBuilder() {
            @Override
            public void configure() {
                from("jms:queue:" + name).setBody(body().append("!"));
            }
        });
        ProducerTemplate producer = context.createProducerTemplate();
        for (int number = 0; number < 10; number++) {
            Broker.same(number + "!", producer.requestBody("jms:queue:" + name, "" + number, String.class));
        }
        context.stop();
    }
}
