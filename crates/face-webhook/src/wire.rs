//! HTTP/1.1 as it stands on the line: requests to bytes, and bytes to answers.
//!
//! [`body`] makes a batch one document and [`header`] holds what the customer adds, both shared with the
//! command line; [`request`] writes the head before the body, [`answer`] reads what comes back, with [`chunk`].
//!
//! An HTTP library would fold the names of headers, follow redirects, decompress, and read what an
//! endpoint sends as long as it sends. None of this may be here, so the few lines are our own.
//!
//! Invariants: no I/O; nothing kept is larger than its limit, whatever comes; no input panics.

pub mod answer;
pub mod chunk;
pub mod request;

pub use answer::{Answer, AnswerError, Decoder};
pub use body::{BatchSize, Body};
pub use header::{Field, HeaderError, Headers};
pub use outflow_webhook_wire::{body, header};
pub use request::{Encoding, Head};
