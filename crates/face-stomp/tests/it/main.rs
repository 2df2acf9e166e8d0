//! What a client of STOMP depends on.
