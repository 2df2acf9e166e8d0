//! The ingest face: Amperity's Streaming Ingest API, for upstream systems that send one record a
//! request.
//!
//! Speaks `POST /stream/v0/data/{stream-id}` of seed 002 (reference `aria_itas_amperity.md` 3.1).
//! The clients promised are the seed's curl lines and any HTTP client that retries what its status
//! table says to retry. A stream takes JSON or XML, not both; it is an ordinary stream whose
//! settings have [`ingest`](outflow_hub::StreamSettings::ingest), so what comes in here is read,
//! tailed and landed like everything else.
//!
//! One request's way through: [`listen`] takes it, authenticates it and finds its stream;
//! [`gate`] says whether the project may send just now; the body is read; [`translate`] makes an
//! event of it; the hub stores it; 202. [`error`] renders what went wrong, [`wire`] reads the
//! content type. There is no `session`: every request stands for itself.
//!
//! Called by `server`; calls `hub`, `auth`, `face` and `model`.
//!
//! Invariants: 202 is answered only when the event is durable; JSON keeps its bytes but for newlines
//! between tokens; XML keeps all of its bytes and is not parsed here; a stream that is another
//! project's, or no ingest stream, is answered as one that does not exist; what one project sends
//! or holds up slows no other down.
//!
//! Beyond the seed's table: 404 for an unknown stream, 403 for a token of another scope, 409 and
//! 204 for streams that are set to reject or drop (as the sibling API of reference 3.1 has them),
//! 415 for another content type, and problem documents (RFC 9457) as bodies of all refusals but 401.

pub mod config;
pub mod error;
pub mod gate;
pub mod listen;
pub mod metrics;
pub mod translate;
pub mod wire;

pub use config::Options;
pub use listen::{is_frequent, router};
