//! The one API that every face calls: publish, read, catalog, limits.
//!
//! Called by the faces and by `server`. Calls `store` for what must last and `model` for the nouns.
//!
//! Invariants: knows nothing of HTTP, JSON text or frames. An answered publish is durable (or the
//! stream is relaxed by choice). Events reach readers in order, each at least once, none before it
//! is committed. No reader holds memory that grows with its slowness. A tenant sees nothing of
//! another.

mod aside;
mod catalog;
pub mod cursor;
mod dedup;
pub mod destination;
mod drain;
pub mod error;
pub mod extraction;
pub mod hub;
pub mod ingest;
pub mod integration;
mod join;
mod keep;
pub mod keyed;
pub mod landing;
mod limits;
mod metrics;
mod open;
pub mod options;
pub mod project;
pub mod publish;
mod reach;
pub mod schedule;
pub mod selector;
pub mod session;
pub mod stream;
pub mod subscriber;
pub mod subscription;
mod tail;
mod view;
pub mod webhook;

pub use catalog::turn::Change;
pub use cursor::Cursor;
pub use destination::{ClientClaim, ConsumeWish, Destination, DestinationError};
pub use error::{CatalogError, OpenError, PublishError, ReadError};
pub use extraction::{Extraction, ExtractionState, Loads};
pub use hub::Hub;
pub use ingest::{Ingest, IngestFormat, IngestMode};
pub use integration::Integration;
pub use keyed::{Entity, EntityType, EntityTypes};
pub use landing::{LandingFailure, LandingFile, LandingPlace};
pub use options::{DestinationDefaults, Options};
pub use project::{Project, ProjectLimits};
pub use publish::{Placed, PublishRoom, Publishing, Receipt};
pub use reach::Unreached;
pub use selector::{Dialect, Properties, Selector, SelectorError};
pub use session::{CloseReason, ReadEvent, ReadRequest, ReadSession, Start, Started};
pub use stream::{Dedup, NewStream, Stream, StreamSettings, StreamStats};
pub use subscriber::Subscriber;
pub use subscription::{Consumers, Delivery, NewSubscription, Settle, Subscription};
pub use webhook::{
    Webhook, WebhookAnswer, WebhookError, WebhookFault, WebhookKey, WebhookStatus, Webhooks,
};

// What faces need of the storey below, which they never name.
pub use outflow_store::{Block, BlockError, Deflated, Durability, Health, Retention, crc};
