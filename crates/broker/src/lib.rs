//! What a broker session is, whatever its wire: the ground that the STOMP and the OpenWire face
//! stand on.
//!
//! A face reads its wire, keeps what its clients call things by, and implements
//! [`session::Session`]; [`Connection`] drives it: bytes in, work to the hub, messages and answers
//! out. What both faces keep the same is here: the [`batch`] of what one read asks for, [`target`]s
//! of sends, [`transaction`]s, [`subscription`]s and the messages [`held`] of them, signs of life
//! ([`heart`]), the event that a message is ([`letter`]) and when it is published, and why something failed ([`failure`]).
//!
//! Called by `face-stomp` and `face-openwire`; calls `hub`, `face` and `model`. It knows no frame, no
//! header that only one wire has, and writes no answer.
//!
//! Invariants: an answer is given only when what it tells of is durable (or relaxed by choice);
//! answers of batches keep their order; a connection costs one task, one timer and, when idle, no
//! buffers.

pub mod batch;
pub mod connection;
pub mod failure;
mod flight;
pub mod heart;
pub mod held;
pub mod letter;
pub mod limits;
pub mod link;
pub mod pool;
mod schedule;
pub mod session;
pub mod subscription;
pub mod target;
pub mod transaction;
mod wait;
pub mod wish;
mod work;

pub use batch::{Answers, Batch, Landing, Outcome, Part};
pub use connection::{Connection, Terms};
pub use failure::{About, Failure};
pub use heart::Rhythm;
pub use held::{Entry, Held};
pub use letter::Letter;
pub use limits::Limits;
pub use link::{Link, Socket};
pub use pool::{Pool, Share};
pub use session::{Input, Opening, Outbox, Read, Seen, Session, Step, Work};
pub use subscription::{Source, Subscribed, Subscriptions};
pub use target::Targets;
pub use transaction::{BoundAck, Refusal, Room, Transaction, Transactions};
pub use wish::Wish;
