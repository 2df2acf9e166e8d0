//! The SSE face: the change and load feeds of keyed streams, and any stream for a browser.
//!
//! Speaks `text/event-stream` (HTML, 9.2) as Aria's Data Feed does (reference
//! `aria_itas_amperity.md` 1.3 to 1.6, whose rules comments name by section). The clients promised
//! are PyPI `sseclient` 0.0.27, `sseclient-py`, `httpx-sse`, npm `eventsource` and a browser's
//! `EventSource`. The routes:
//!
//! - `GET /v1/projects/{project}/feed/changes`: the changes of a keyed stream's entities;
//! - `GET /v1/projects/{project}/feed/load`: what extractions send;
//! - `GET /v1/projects/{project}/streams/{stream}/sse`: any stream, an event's whole line as data.
//!
//! One request's way through: [`listen`] routes it; [`authenticate`] turns its token into a grant;
//! [`translate`] reads where it wants to begin; the hub opens a read session; [`session`] hands on
//! what it yields as the frames that [`wire`] renders, once a block for all who read the same.
//!
//! Called by `server`; calls `hub`, `auth`, `face` and `model`.
//!
//! A draining server does not refuse: it answers with a stream that has heartbeats only and ends when
//! the server does ([`held`]).
//!
//! Invariants: over HTTP/1 a body is not framed in chunks and ends with its connection: a client
//! that takes chunks for text (`sseclient`) meets none, so that neither a proxy's way of cutting them
//! nor the last one's lines are anything to it. A stream ends between two events. It is never
//! compressed, whatever the client accepts, and no status is ever 204, which would stop a browser
//! for good.
//!
//! Deliberate choices where Aria's documents are silent: an id or time without any place is the
//! newest event for changes and the newest extraction for loads; an id that is unknown or older
//! than what is kept is answered 410 (by configuration: with the oldest event); a `from` that is
//! older begins at the oldest event and says so in a comment; the end of a load is a comment. An id
//! older than what is kept is taken all the same when the feed has sent nothing since that is gone: a
//! client of a feed of chosen types that was silent for days has such a one. It is not sent another
//! meanwhile, as `sseclient` and `httpx-sse` hand on an `id:` without data as an empty event.

pub mod authenticate;
pub mod config;
pub mod error;
mod held;
pub mod listen;
pub mod metrics;
pub mod session;
pub mod translate;
pub mod wire;

pub use config::{Expired, Options};
pub use listen::router;
