import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;

/**
 * What a broker does in a second, and what each message costs it: publishing and consuming over OpenWire, by one
 * client and by eight, the same program for every broker.
 *
 * <p>Usage: {@code Bench URL PID MESSAGES [SCENE...]}; prints one JSON line a scene: messages a second, and the
 * microseconds of CPU for each that the broker took, and that this client took. On a small machine the client's is
 * what the broker has not got: no broker, were it free of cost, could be faster than the processors divided by it.
 * Every scene has a queue of its own, of persistent texts of 200 bytes, and comes after a like one that is not
 * measured, in which this program is compiled.
 */
final class Bench {
    private static final int BYTES = 200;
    /** Clock ticks a second, as Linux tells processes' times. */
    private static final double TICKS = 100;

    private final Broker broker;
    private final long process;
    private final int messages;

    private Bench(Broker broker, long process, int messages) {
        this.broker = broker;
        this.process = process;
        this.messages = messages;
    }

    public static void main(String[] arguments) throws Exception {
        Bench bench = new Bench(
                new Broker(arguments[0]), Long.parseLong(arguments[1]), Integer.parseInt(arguments[2]));
        List<String> chosen = List.of(arguments).subList(3, arguments.length);
        bench.warm();
        for (int clients : new int[] {1, 8}) {
            // A sync publish waits for the disk once a message: fewer say as much.
            bench.scene(chosen, "publish sync", clients, () -> bench.publish("sync", clients, false, bench.messages / 10 * Math.min(clients, 4)));
            bench.scene(chosen, "publish async", clients, () -> bench.publish("async", clients, true, bench.messages));
            bench.scene(chosen, "consume auto", clients, () -> bench.consume("auto", clients, Session.AUTO_ACKNOWLEDGE));
            bench.scene(chosen, "consume client", clients, () -> bench.consume("client", clients, Session.CLIENT_ACKNOWLEDGE));
        }
        System.exit(0);
    }

    private void warm() throws Exception {
        publish("warm", 4, false, messages / 10);
        for (int mode : new int[] {Session.AUTO_ACKNOWLEDGE, Session.CLIENT_ACKNOWLEDGE}) {
            consume("warm", 4, mode);
        }
    }

    /** What a scene came to: seconds that passed, and of CPU of the broker and of this client. */
    private record Run(int messages, double seconds, double cpu, double own) {}

    private interface Scene {
        Run run() throws Exception;
    }

    private void scene(List<String> chosen, String name, int clients, Scene scene) throws Exception {
        String whole = name + ", " + clients + (clients == 1 ? " client" : " clients");
        if (!chosen.isEmpty() && chosen.stream().noneMatch(whole::contains)) {
            return;
        }
        Run run = scene.run();
        System.out.printf(
                "{\"scene\":\"openwire %s\",\"rate\":%.1f,\"cpu_us\":%.2f,\"client_us\":%.2f}%n",
                whole, run.messages / run.seconds, run.cpu * 1e6 / run.messages, run.own * 1e6 / run.messages);
    }

    /** The seconds of CPU that a process has used. */
    private static double cpu(long process) throws IOException {
        String stat = Files.readString(Path.of("/proc/" + process + "/stat"));
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        return (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / TICKS;
    }

    private interface Client {
        void run(int number) throws Exception;
    }

    /** Runs so many clients at once, and measures from the moment when all are ready. */
    private Run together(int clients, int count, List<? extends ActiveMQConnection> open, Client client) throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        AtomicReference<Exception> failure = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int number = 0; number < clients; number++) {
            int own = number;
            Thread thread = new Thread(() -> {
                try {
                    go.await();
                    client.run(own);
                } catch (Exception fault) {
                    failure.set(fault);
                }
            });
            thread.start();
            threads.add(thread);
        }
        long self = ProcessHandle.current().pid();
        double before = cpu(process);
        double ownBefore = cpu(self);
        long began = System.nanoTime();
        go.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        double seconds = (System.nanoTime() - began) / 1e9;
        double used = cpu(process) - before;
        double own = cpu(self) - ownBefore;
        for (ActiveMQConnection one : open) {
            one.close();
        }
        if (failure.get() != null) {
            throw failure.get();
        }
        return new Run(count, seconds, used, own);
    }

    private List<ActiveMQConnection> connections(int count, String options) throws Exception {
        List<ActiveMQConnection> all = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            ActiveMQConnection connection = broker.connect(options);
            connection.start();
            all.add(connection);
        }
        return all;
    }

    private Run publish(String stem, int clients, boolean async, int count) throws Exception {
        return publishTo(Broker.name("bench." + stem), clients, async, count);
    }

    private Run publishTo(String name, int clients, boolean async, int count) throws Exception {
        List<ActiveMQConnection> open = connections(clients, async ? "jms.useAsyncSend=true" : "");
        char[] body = new char[BYTES - 10];
        Arrays.fill(body, 'x');
        String text = "{\"md5\":\"" + new String(body) + "\"}";
        return together(clients, count / clients * clients, open, number -> {
            Session session = Broker.auto(open.get(number));
            MessageProducer producer = session.createProducer(session.createQueue(name));
            for (int sent = 0; sent < count / clients; sent++) {
                producer.send(session.createTextMessage(text));
            }
            if (async) {
                // One that is answered stands on the disk behind all that were not.
                open.get(number).setUseAsyncSend(false);
                MessageProducer last = session.createProducer(session.createQueue(name + ".end"));
                last.send(session.createTextMessage(text));
            }
        });
    }

    private Run consume(String stem, int clients, int mode) throws Exception {
        String name = Broker.name("bench." + stem);
        publishTo(name, 4, true, messages);
        List<ActiveMQConnection> open = connections(clients, "");
        AtomicInteger left = new AtomicInteger(messages / 4 * 4);
        return together(clients, left.get(), open, number -> {
            Session session = open.get(number).createSession(false, mode);
            Queue queue = session.createQueue(name);
            MessageConsumer consumer = session.createConsumer(queue);
            int taken = 0;
            Message last = null;
            while (left.get() > 0) {
                Message message = consumer.receive(50);
                if (message == null) {
                    continue;
                }
                last = message;
                // A program that acknowledges by itself does so once for some.
                if (mode == Session.CLIENT_ACKNOWLEDGE && ++taken % 100 == 0) {
                    message.acknowledge();
                    last = null;
                }
                left.decrementAndGet();
            }
            if (mode == Session.CLIENT_ACKNOWLEDGE && last != null) {
                last.acknowledge();
            }
        });
    }
}
