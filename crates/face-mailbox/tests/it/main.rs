//! What a client of the mailbox API depends on.
