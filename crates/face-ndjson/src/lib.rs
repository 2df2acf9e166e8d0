//! The NDJSON face: Airship's Real-Time Data Streaming API, and a plain NDJSON stream of our own.
//!
//! Speaks `POST /api/events` and `POST /api/events/general` as Airship's published description and
//! its clients do; the clients promised are PyPI `uaconnect`, npm `urban-airship-connect`, the
//! documented curl line, and Java on the HTTP stack of `com.urbanairship:connect-client`, which no registry carries. The 20 rules that decide whether
//! they work are in reference `airship.md` 0; comments name them by number. The generic route is
//! `GET /v1/projects/{project}/streams/{stream}/events`.
//!
//! One request's way through: [`listen`] routes it; [`authenticate`] turns its headers into a grant;
//! [`negotiate`] chooses the response's form; [`request`] reads the body strictly into values and
//! [`translate`] gives them their meaning; the hub opens a read session; [`session`] turns what it
//! yields into pieces of the one compressed stream that [`wire`] encodes. Blocks are compressed once
//! for all clients; a connection adds a header, heartbeats and a trailer of its own. Refusals are
//! logged [sparingly](outflow_face::sparingly).
//!
//! Called by `server`; calls `hub`, `auth`, `face` and `model`.
//!
//! Invariants: a 200 is followed by whole lines only and always ends cleanly (rule 15), every other
//! answer is a JSON object with its length (rule 17). A connection holds at most the block it is
//! sending. Nothing is read from a session before the socket asks for more.
//!
//! Deliberate deviations from Airship, none visible to its clients: `start_time` and `cursor` in the
//! request body; zstd for clients that accept it and not gzip; plain text for `User-Agent: curl/…`
//! without `Accept-Encoding`, so that a person sees the events; a resume from before retention begins
//! at the earliest event and says so in `X-Outflow-Resume`, as does one past damaged events; a draining server answers new streams
//! with 307 and one cookie after a pause, on which every client asks again (rules 16 and 19), where
//! the generic route says 503.

pub mod authenticate;
pub mod config;
pub mod error;
pub mod listen;
pub mod metrics;
pub mod negotiate;
pub mod request;
pub mod session;
pub mod translate;
pub mod wire;

pub use config::Options;
pub use listen::{behind_prefix, refuse, router};
