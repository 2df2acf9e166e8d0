//! The nouns of Outflow: events, offsets, filters, grants, error codes, and the clock and
//! random-number traits through which everything else learns the time and draws its luck.
//!
//! Called by every other crate; calls none of them.
//!
//! Invariants: no I/O, no async, no threads, no global state. Bytes that a publisher gave are
//! never re-serialised here: numbers, key order and duplicate keys survive as they came.

pub mod clock;
pub mod destination;
pub mod draft;
pub mod error_code;
pub mod filter;
pub mod grant;
pub mod id;
pub mod json;
pub mod meta;
pub mod offset;
pub mod rng;
pub mod subset;
pub mod tick;
pub mod timestamp;

pub use clock::Clock;
pub use destination::{DestinationKind, DestinationPattern};
pub use draft::Draft;
pub use error_code::ErrorCode;
pub use filter::Filter;
pub use grant::{Action, DestinationGrant, Grant};
pub use id::{
    CredentialId, EventId, IntegrationId, ProjectId, StreamId, StreamName, SubscriptionName,
};
pub use meta::{DeviceType, Meta, MetaSlice};
pub use offset::Offset;
pub use rng::Rng;
pub use subset::Subset;
pub use tick::Tick;
pub use timestamp::Timestamp;
