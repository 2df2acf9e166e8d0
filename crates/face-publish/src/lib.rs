//! The publishing face: events come in as JSON over HTTP.
//!
//! Speaks `POST /v1/projects/{project}/streams/{stream}/events`; the clients promised are any HTTP
//! client, `curl -d` among them, and `outflow publish`. The route is described in the document of
//! `admin`, beside which it stands: one interface, two crates, because this one is on the way of
//! every event and that one is on none.
//!
//! One request's way through: [`listen`] finds who asks and the stream, a
//! [`Door`](outflow_body::Door) gives room for the body, the body becomes a draft in one pass, the
//! hub answers when it is durable, [`answer`] writes what is said of it. [`error`] renders what went
//! wrong. There is no `session`: every request stands for itself, and no `translate`: the model
//! renders drafts.
//!
//! Called by `server`; calls `hub`, `auth`, `face`, `body` and `model`.
//!
//! Invariants: a request's events become durable together, in order, or none does; what is not the
//! caller's is answered as what does not exist; memory is bounded by the door however many publish
//! at once.

pub mod answer;
pub mod config;
pub mod error;
pub mod listen;

pub use config::Limits;
pub use listen::{is_frequent, router};
