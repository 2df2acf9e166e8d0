import java.util.List;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSslConnectionFactory;

/** `ssl:` addresses, alone and under `failover:`, with the host's name verified as clients do. */
final class Secured {
    private Secured() {}

    private static final String ADDRESS = System.getenv("OUTFLOW_OPENWIRE_TLS");

    static boolean isThere() {
        return ADDRESS != null;
    }

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a message goes over TLS", broker -> over(ADDRESS)),
            new Scenarios.Case("a message goes over TLS and failover", broker -> over("failover:(" + ADDRESS + ")")));

    private static void over(String address) throws Exception {
        ActiveMQSslConnectionFactory factory = new ActiveMQSslConnectionFactory(address);
        factory.setUserName(System.getenv("OUTFLOW_USER"));
        factory.setPassword(System.getenv("OUTFLOW_PASSWORD_TLS"));
        factory.setTrustStore(System.getenv("OUTFLOW_TRUST_STORE"));
        factory.setTrustStorePassword("changeit");
        try (Held<ActiveMQConnection> held = Held.of((ActiveMQConnection) factory.createConnection())) {
            held.it.start();
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("secured"));
            Broker.send(session, queue, "secret");
            Broker.same("secret", Broker.next(session.createConsumer(queue)));
        }
    }
}
