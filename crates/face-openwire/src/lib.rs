//! The OpenWire face: OpenWire 1 to 12 over TCP and TLS, as ActiveMQ's Java clients speak it.
//!
//! The clients promised are `activemq-client` 5.x and 6.x, unmodified. The rules are in reference
//! `activemq.md`, parts (a) and (c); its field table is [`wire`]'s table.
//!
//! One message's way in: [`listen`] reads what the socket has; [`wire`] makes commands of it;
//! [`session`] takes each, [`translate`] makes an event of a message, and the events of one read
//! become one draft per stream; the hub gives them their offsets and answers when they are on the
//! disk; their responses go out together. And out: the hub hands events to the connection's
//! consumers, [`translate`] makes a message of each, [`wire`] writes it into one buffer, which is one
//! write; the acks of one read are settled together.
//!
//! Called by `server`; calls `broker`, `hub`, `auth`, `face` and `model`.
//!
//! Invariants: a command that asks for a response gets one, given only when what it did is durable
//! (or relaxed by choice); a connection costs one task, one timer and, when idle, no buffers; nothing
//! is allocated from a number that a peer wrote; no class that a peer names is ever looked up:
//! exceptions are names and texts.
//!
//! Deliberate deviations from ActiveMQ: a branch of a distributed (XA) transaction is worked on by
//! the connection that began it, until it is prepared; of the advisories those of connections,
//! consumers, producers and destinations are told, of queues and topics the first use by a client of
//! this face, not the removal, and nothing to who may not read or is kept to streams; a
//! transaction of which a message or ack was refused is not committed; queues are not made or removed
//! by DestinationInfo, but on first use and by operators; a client id that another connection has is
//! refused only once that one has shown that it lives, or was given the time to; a message whose
//! body is a URL (BlobMessage) is refused; a compressed body that is as large as events may be with what
//! it is inflated is handed out inflated; a connection has at most 64 consumers of advisories with 16 topics each, and a new one is told of
//! at most 10,000 that are there; what `ActiveMQ.Scheduler.Management` is asked is not answered.

pub mod config;
pub mod error;
pub mod listen;
pub mod metrics;
pub mod session;
pub mod translate;
pub mod wire;

pub use config::{Options, frame_bytes};
pub use listen::OpenWire;
