//! The OpenWire face: OpenWire 1 to 12 over TCP and TLS, as ActiveMQ's Java clients speak it.
//!
//! The clients promised are `activemq-client` 5.x and 6.x, unmodified. The rules are in reference
//! `activemq.md`, part (c); its field table is [`wire`]'s table.
//!
//! Invariants: nothing is allocated from a number that a peer wrote; no class that a peer names is
//! ever looked up: exceptions are names and texts.

pub mod wire;
