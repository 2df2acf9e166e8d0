//! What a subscription is told to do, and where it begins.

use std::time::Duration;

use outflow_model::{StreamName, SubscriptionName};

use super::StreamPattern;
use crate::Start;
use crate::selector::Selector;

/// In what order events are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeliveryOrder {
    /// In order, as many at once as the consumers take; what comes back goes to the front.
    #[default]
    Normal,
    /// One at a time: nothing behind an event that is not settled yet.
    Strict,
}

/// What may be changed of a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionSettings {
    /// In what order events are handed out.
    pub order: DeliveryOrder,
    /// Which events it holds; the others are passed over as if settled. `None`: all.
    pub selector: Option<Selector>,
    /// Whether only one consumer at a time is served, the first of the highest priority.
    pub exclusive: bool,
    /// Whether events of one key stick to one consumer while it is there.
    pub group_by_key: bool,
    /// After how many deliveries an event that comes back is dead; only with `dead_letter`.
    pub max_deliveries: Option<u32>,
    /// Where dead events go, a stream of the project, made when needed. `None`: no event is ever
    /// given up, but for expired ones, which are dropped.
    pub dead_letter: Option<StreamName>,
    /// For how long a consumer holds an event before it comes back; `None`: until the consumer
    /// goes. At least 1 ms.
    pub lease: Option<Duration>,
    /// After how long without a consumer it is deleted, with a warning before; `None`: never.
    pub idle_expiry: Option<Duration>,
    /// Events that were taken longer ago than this are expired; `None`: as long as retained.
    pub max_age: Option<Duration>,
    /// Whether it owns its streams: they are trimmed to the floor of all their subscriptions.
    pub owns: bool,
    /// Of a durable subscriber: whether it wants none of its own connection's events. Its face leaves
    /// them out; here it is known for whoever asks for the same place and wants it otherwise.
    pub no_local: bool,
    /// For people, up to 1,024 bytes.
    pub description: String,
}

/// One stream that a subscription takes events from. It is meant by name: when the stream is
/// deleted and made anew, the subscription goes on at the new one's beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The stream, which need not exist yet.
    pub stream: StreamName,
    /// Where it begins. A stream made later begins at its beginning.
    pub start: Start,
    /// Which of its events it holds; `None`: all.
    pub filter: Option<Selector>,
}

/// Where a subscription's events come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sources {
    /// These streams.
    Streams(Vec<Source>),
    /// All streams of the project with such names, also those made later, which are taken from
    /// their beginning.
    Matching {
        /// The names.
        pattern: StreamPattern,
        /// Where the streams begin that exist now.
        start: Start,
    },
}

/// A subscription to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSubscription {
    /// Its name, unique in its project.
    pub name: SubscriptionName,
    /// Where its events come from.
    pub sources: Sources,
    /// What it does.
    pub settings: SubscriptionSettings,
    /// Whether it lasts: one that does not is in memory only, and gone with its last consumer.
    pub durable: bool,
}
