//! What faces share: the accept loop with its limits, TLS, drain, request ids, problem documents.
//!
//! Called by the faces, `admin` and `server`; calls `model` only.
//!
//! One connection's way through: [`listener::serve`] accepts, sets the socket's options, does the
//! TLS handshake within its time, wraps the stream in a [`guard::Guard`] (slow heads and stalled
//! writes end there) and gives it to hyper, which calls the [`App`] once per request. A face that
//! does not speak HTTP is a [`Protocol`] and gets the stream as it is.
//!
//! Invariants: nothing waits for a peer without a deadline; nothing is allocated from a number a
//! peer wrote; a connection costs one task, and on HTTP/2 one for each open request; the listener stays open while streams drain
//! (reference `airship.md`, rule 16: Node takes a refused connection as its end).

mod ambiguity;
pub mod app;
mod bad_head;
mod bearer;
pub mod counters;
mod deadline;
pub mod drain;
pub mod first_byte;
pub mod guard;
pub mod limits;
pub mod link;
pub mod listener;
pub mod problem;
pub mod request_id;
pub mod sparingly;
pub mod tls;
mod window;

pub use app::App;
pub use bearer::bearer;
pub use counters::Counters;
pub use drain::{Drain, Phase};
pub use first_byte::ByFirstByte;
pub use limits::{HttpLimits, SocketLimits};
pub use link::Link;
pub use listener::{Peer, Protocol, bind, serve, serve_protocol};
pub use problem::Problem;
pub use request_id::RequestId;
pub use tls::{Suites, Tls};
