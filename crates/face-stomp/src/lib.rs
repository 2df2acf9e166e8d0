//! The STOMP face: STOMP 1.0, 1.1 and 1.2 over TCP, TLS and WebSocket, as ActiveMQ's clients speak
//! it.
//!
//! The clients promised are PyPI `stomp.py` and npm `@stomp/stompjs`, unmodified, and what they are
//! used for: consuming a feed mirrored or balanced over connections (seed AtData). The rules that
//! decide whether they work are in reference `activemq.md`, parts (a) and (b); comments name those of
//! b1 by number. What ActiveMQ 5.17 answered to 66 probes is in `stomp-probe.txt` beside it; the
//! tests hold this face to the same answers.
//!
//! One message's way in: [`listen`] reads what the socket has; [`wire`] finds whole frames in it;
//! [`session`] takes each, [`translate`] makes an event of it, and the events of one read become one
//! draft per stream; the hub gives them their offsets and answers when they are on the disk; their
//! receipts go out together. And out: the hub hands events to the connection's consumers,
//! [`translate`] writes each as a MESSAGE frame into one buffer, which is one write; the acks of one
//! read are settled together.
//!
//! Called by `server`; calls `broker`, `hub`, `auth`, `face` and `model`.
//!
//! Invariants: a RECEIPT is given, in the order of the frames, only for what is durable, or has its
//! place where a message is not persistent; an ERROR closes the connection exactly when it cannot go
//! on; a connection costs one task, one timer and, when idle, no buffers; nothing is allocated from a
//! number that a client wrote.
//!
//! Deliberate deviations from ActiveMQ, those of single frames in the golden tests: every MESSAGE and
//! ERROR has its `content-length`; an ERROR's body is its message, no stack trace; a subscription's
//! id may be used once per connection; a negative `content-length` and NULs in headers are answered
//! before the connection is closed; `message-id` is the event's id; the composite of a copy is not
//! told. A transaction of which a SEND, ACK or NACK was refused is not committed. A client id that
//! another connection has is refused only once that one has shown that it lives, or was given the
//! time to ([`client_id_wait`](outflow_broker::Limits::client_id_wait)). Names of queues have no empty elements.
//! A frame has at most 100 headers (1,000 there) and a body of `limits.max_event_bytes` (1 MiB; 100 MB
//! there): more is answered with an ERROR that names the limit, and ends the connection. Frames that have
//! no use for a body may have 1 KiB of one. A SEND that is refused for where it goes is answered at its
//! head, and its body is read past. A heart-beat is agreed to at [`min_heart_beat`](Options::min_heart_beat) at the shortest, and silence is borne for
//! two of them (one there). A message is text also by its `content-type` ([`TextRule`]). Selectors know no `REGEX`,
//! `XPATH` and `XQUERY`; `transformation` and `activemq.maximumPendingMessageLimit` are passed over: subscribers
//! of topics that are slow lose nothing. `JMSXGroupSeq` below 0 closes a group, and 1 does not begin it
//! anew while it has a consumer.
//!
//! As with ActiveMQ, an escape that the version does not define stands for itself, though the
//! specification calls it fatal: clients that never escape send Windows paths. An `ack` that is not
//! known is `auto`, and what stands behind a destination's `?`
//! is an option: `/queue/orders?consumer.prefetchSize=10`.

pub mod config;
pub mod error;
pub mod listen;
pub mod metrics;
pub mod session;
pub mod translate;
pub mod wire;

pub use config::{Options, TextRule};
pub use listen::{Stomp, begins};
