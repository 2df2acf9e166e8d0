//! The webhook face: events POSTed to customers' HTTPS endpoints, in order, signed, and again until
//! they are taken.
//!
//! What an endpoint is sent is the request of seed 001 ("Example RTDS event"); what it may answer, how
//! it is signed and whom it may not name are in reference `airship.md` 6 and `trust_ux.md` 1.3. The
//! receivers promised are those that read Airship's webhooks, and those that verify with the
//! libraries of Standard Webhooks, or as for Stripe and GitHub.
//!
//! Beside the files of every face: [`attempt`] is one request and what comes of it, [`client`] sends it,
//! [`resolve`] looks names up, [`guard`] says which URLs and addresses may be sent to, [`signature`] signs, [`schedule`] says when to try again, [`outcome`] what an answer means, and
//! [`health`] when an endpoint has failed for so long that it is disabled.
//! [`wire`] writes the request and reads the answer, without a socket: the case and the order of the
//! headers are the customer's, and what an endpoint may make the server read is bounded by the byte.
//!
//! An event's way: `post` takes it of its endpoint's subscription, [`session`] decides which batch it
//! is in and when that goes, `flight` makes, signs and sends the request, and what came of it goes
//! the same way back, to an ack, a pause or the parked events. `attempts` tells of it; `note` is
//! what outlasts the server; `settings` and `service` are the endpoints as `admin` sees them, [`options`] what the server sets.
//!
//! Calls `hub`, `auth` for secrets, and `model`.
//!
//! Invariants: the body of a batch is a function of its events alone, so one that is sent again has the
//! same bytes and the same id; no secret is printed; what a tenant is told of a failure is the
//! same whatever stands at an address that may not be reached.

pub mod attempt;
mod attempts;
pub mod client;
mod flight;
pub mod guard;
pub mod health;
mod metrics;
mod note;
pub mod options;
pub mod outcome;
mod post;
pub mod resolve;
pub mod schedule;
mod service;
pub mod session;
mod settings;
pub mod wire;

pub use options::Options;
pub use outflow_webhook_wire::signature;
pub use service::serve;
