import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.MessageConsumer;
import javax.jms.QueueBrowser;

/** Something that is closed at the end of a block. JMS 1.1, which clients before 5.18 have, knows no such thing. */
final class Held<T> implements AutoCloseable {
    interface Close {
        void close() throws JMSException;
    }

    final T it;
    private final Close close;

    private Held(T it, Close close) {
        this.it = it;
        this.close = close;
    }

    static <C extends Connection> Held<C> of(C connection) {
        return new Held<>(connection, connection::close);
    }

    static Held<MessageConsumer> of(MessageConsumer consumer) {
        return new Held<>(consumer, consumer::close);
    }

    static Held<QueueBrowser> of(QueueBrowser browser) {
        return new Held<>(browser, browser::close);
    }

    @Override
    public void close() throws JMSException {
        close.close();
    }
}
