//! Landing: what comes into ingest streams is collected in files, for those who load in batches.
//!
//! A JSON stream becomes NDJSON files, an XML stream CBOR files (seed 002, "Load stream data"), under
//! `ingest/stream/<project>/<stream>/<yyyy-MM-dd>/<HH>-<mm>-<ss>-<offset>.ndjson|cbor`: the time at
//! which the first event of the file was taken in, in UTC, and its offset. A file never goes across
//! an hour; it is closed by size, age or the hour. An event that does not fit, such as XML that
//! cannot be parsed, is a line of a file of the same name under `_failed/`, with its bytes and the
//! reason.
//!
//! The server deletes no file. Those of a stream or project that is deleted while it runs are moved to
//! `ingest/deleted/<project>/<stream>-<number>`, and any that are left when the next of that name
//! begins to `<stream>-before-<its number>`, so that it begins without any.
//!
//! Made and run by `server`; a subscriber like any other: reads through the hub, which keeps its
//! places. [`lander`] says which events make the next file, [`content`] what is in it, by [`xml`]
//! and [`cbor`], [`mod@file`] what it is called, [`place`] where it goes; `bucket` is there with the
//! feature `object-stores`.
//!
//! Invariants: every event is in exactly one file through any crash: where a file begins and ends
//! is durable before it is written, so a file that is made again has the same name; a
//! file has its name only when it is whole and on the disk. No more than one file is held in memory.

mod backoff;
#[cfg(feature = "object-stores")]
pub mod bucket;
mod cbor;
mod clearing;
pub mod content;
pub mod file;
pub mod lander;
pub mod metrics;
pub mod options;
pub mod place;
mod reading;
mod shelf;
pub mod xml;

#[cfg(feature = "object-stores")]
pub use bucket::Bucket;
pub use lander::Lander;
pub use options::Options;
pub use place::{Directory, Place, PlaceError};
