import javax.transaction.xa.Xid;

/** A branch of a transaction, by the text of its global id. */
record Branch(byte[] global) implements Xid {
    Branch(String text) {
        this(text.getBytes());
    }

    @Override
    public int getFormatId() {
        return 7;
    }

    @Override
    public byte[] getGlobalTransactionId() {
        return global;
    }

    @Override
    public byte[] getBranchQualifier() {
        return new byte[] {0, -1, 4};
    }
}
