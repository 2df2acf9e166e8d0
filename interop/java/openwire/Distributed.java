import java.util.List;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.XAConnection;
import javax.jms.XASession;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;

/** Distributed transactions, led by hand as a transaction manager would. */
final class Distributed {
    private Distributed() {}

    static final List<Scenarios.Case> CASES = List.of(
            new Scenarios.Case("a distributed transaction is committed in two phases", Distributed::twoPhases),
            new Scenarios.Case("a distributed transaction is committed in one phase", Distributed::onePhase),
            new Scenarios.Case("a prepared transaction is rolled back, and its message comes again", Distributed::rollback),
            new Scenarios.Case("a transaction that has done nothing is read-only", Distributed::readOnly),
            new Scenarios.Case("a transaction that is not there is told by its code", Distributed::unknown),
            new Scenarios.Case("a transaction of more than its limit is not prepared", Distributed::tooMuch),
            new Scenarios.Case("what a connection did not prepare goes with it", Distributed::gone));

    /** What needs a server that can be killed. */
    static final List<Scenarios.Case> KILLS = List.of(
            new Scenarios.Case("what was prepared before a kill is recovered and committed", Distributed::killed),
            new Scenarios.Case("what was prepared before a kill is recovered and rolled back", Distributed::undone));

    private static Xid branch() {
        return new Branch(Broker.name("global"));
    }

    private static XAConnection connect(Broker broker) throws Exception {
        XAConnection connection =
                new ActiveMQXAConnectionFactory(broker.user, broker.password, broker.url).createXAConnection();
        connection.start();
        return connection;
    }

    /** Takes `takes` from `queue` and sends `sends` there, in the transaction; ends it. */
    private static void work(XASession session, Xid xid, Queue queue, String takes, String sends) throws Exception {
        XAResource resource = session.getXAResource();
        resource.start(xid, XAResource.TMNOFLAGS);
        if (takes != null) {
            MessageConsumer consumer = session.createConsumer(queue);
            Broker.same(takes, Broker.next(consumer));
            if (sends != null) {
                session.createProducer(queue).send(session.createTextMessage(sends));
            }
            resource.end(xid, XAResource.TMSUCCESS);
            consumer.close();
            return;
        }
        session.createProducer(queue).send(session.createTextMessage(sends));
        resource.end(xid, XAResource.TMSUCCESS);
    }

    /** What is in the queue for others: exactly these. */
    private static void left(Broker broker, Queue queue, String... texts) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            MessageConsumer consumer = session.createConsumer(queue);
            for (String text : texts) {
                Broker.same(text, Broker.next(consumer));
            }
            Broker.none(consumer);
        }
    }

    private static Queue filled(Broker broker, String... texts) throws Exception {
        try (Held<ActiveMQConnection> held = Held.of(broker.started())) {
            Session session = Broker.auto(held.it);
            Queue queue = session.createQueue(Broker.name("distributed"));
            Broker.send(session, queue, texts);
            return queue;
        }
    }

    private static boolean isRecovered(XAResource resource, Xid xid) throws XAException {
        for (Xid one : resource.recover(XAResource.TMSTARTRSCAN)) {
            boolean same = java.util.Arrays.equals(one.getGlobalTransactionId(), xid.getGlobalTransactionId())
                    && java.util.Arrays.equals(one.getBranchQualifier(), xid.getBranchQualifier())
                    && one.getFormatId() == xid.getFormatId();
            if (same) {
                return true;
            }
        }
        return false;
    }

    private static void twoPhases(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XASession session = held.it.createXASession();
            XAResource resource = session.getXAResource();
            Xid xid = branch();
            work(session, xid, queue, "taken", "sent");
            Broker.same(false, isRecovered(resource, xid));
            Broker.same(XAResource.XA_OK, resource.prepare(xid));
            Broker.same(true, isRecovered(resource, xid));
            left(broker, queue);
            resource.commit(xid, false);
            Broker.same(false, isRecovered(resource, xid));
            left(broker, queue, "sent");
        }
    }

    private static void onePhase(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XASession session = held.it.createXASession();
            Xid xid = branch();
            work(session, xid, queue, "taken", "sent");
            session.getXAResource().commit(xid, true);
            left(broker, queue, "sent");
        }
    }

    private static void rollback(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XASession session = held.it.createXASession();
            Xid xid = branch();
            work(session, xid, queue, "taken", "sent");
            Broker.same(XAResource.XA_OK, session.getXAResource().prepare(xid));
            session.getXAResource().rollback(xid);
        }
        left(broker, queue, "taken");
    }

    private static void readOnly(Broker broker) throws Exception {
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XASession session = held.it.createXASession();
            XAResource resource = session.getXAResource();
            Xid xid = branch();
            resource.start(xid, XAResource.TMNOFLAGS);
            resource.end(xid, XAResource.TMSUCCESS);
            Broker.same(XAResource.XA_RDONLY, resource.prepare(xid));
        }
    }

    private static void unknown(Broker broker) throws Exception {
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XAResource resource = held.it.createXASession().getXAResource();
            try {
                resource.commit(branch(), false);
            } catch (XAException fault) {
                Broker.same(XAException.XAER_NOTA, fault.errorCode);
                return;
            }
            throw new AssertionError("it was committed");
        }
    }

    private static void gone(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        Xid xid = branch();
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            work(held.it.createXASession(), xid, queue, "taken", "sent");
        }
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            Broker.same(false, isRecovered(held.it.createXASession().getXAResource(), xid));
        }
        left(broker, queue, "taken");
    }

    /** Prepares, kills the server, and finds the transaction again on a new connection. */
    private static void tooMuch(Broker broker) throws Exception {
        String text = "x".repeat(900_000);
        Queue queue = filled(broker);
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XASession session = held.it.createXASession();
            XAResource resource = session.getXAResource();
            Xid xid = branch();
            resource.start(xid, XAResource.TMNOFLAGS);
            // Sends of a transaction are not waited for: the end of it tells.
            try {
                for (int sent = 0; sent < 20; sent++) {
                    session.createProducer(queue).send(session.createTextMessage(text));
                }
                resource.end(xid, XAResource.TMSUCCESS);
                resource.prepare(xid);
                throw new AssertionError("it was prepared");
            } catch (JMSException | XAException refusal) {
                // As it should be.
            }
        }
        left(broker, queue);
    }

    private static void overKill(Broker broker, Queue queue, boolean commits) throws Exception {
        Xid xid = branch();
        XAConnection first = connect(broker);
        XASession session = first.createXASession();
        work(session, xid, queue, "taken", "sent");
        Broker.same(XAResource.XA_OK, session.getXAResource().prepare(xid));
        Server.kill();
        try {
            first.close();
        } catch (Exception broken) {
            // Its server is gone.
        }
        try (Held<XAConnection> held = Held.of(connect(broker))) {
            XAResource resource = held.it.createXASession().getXAResource();
            Broker.same(true, isRecovered(resource, xid));
            left(broker, queue);
            if (commits) {
                resource.commit(xid, false);
            } else {
                resource.rollback(xid);
            }
            Broker.same(false, isRecovered(resource, xid));
        }
    }

    private static void killed(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        overKill(broker, queue, true);
        left(broker, queue, "sent");
    }

    private static void undone(Broker broker) throws Exception {
        Queue queue = filled(broker, "taken");
        overKill(broker, queue, false);
        left(broker, queue, "taken");
    }
}
