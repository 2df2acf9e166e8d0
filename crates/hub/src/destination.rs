//! Destinations: queues and topics by name, as message brokers have them, and what stands behind
//! them here.
//!
//! Called by the faces of brokers' protocols. A destination is nothing of its own: a topic is a
//! stream, a queue is a stream with the subscription that owns it, a virtual queue is a
//! subscription over a topic's stream (reference `activemq.md` a1-a3):
//!
//! | destination | stands for |
//! | --- | --- |
//! | topic `T` | the stream `T` |
//! | queue `Q` | the stream `queue:Q` and the subscription `queue:Q`, which owns it |
//! | queue `d.RTO.ns`, virtual by a rule | the subscription `queue:d.RTO.ns` over the stream `RTO.ns` from its making on, and over the stream `queue:d.RTO.ns` once somebody sends to the queue itself |
//! | durable subscriber `name` of client `c` | the subscription `durable:c:name` over the topic's stream; of a credential kept to destinations, `durable:<credential>:c:name` |
//! | temporary queue or topic `x` | the stream `temp-queue:x` or `temp-topic:x`, and for the queue the subscription of that name |
//!
//! `name` writes names as streams have them, `rule` knows virtual queues, `reach` says who may,
//! `send` and `consume` look up and make what is missing, `client` keeps clients' ids apart.
//!
//! Invariants: what a credential may not reach is refused alike whether it exists or not; nothing
//! is made before the right to it was checked; looking up twice finds the same.

mod client;
mod consume;
mod error;
mod name;
pub(crate) mod reach;
mod rule;
mod send;
mod temporary;

use std::fmt;

use outflow_model::{DestinationKind, StreamName};

pub(crate) use client::ClientIds;
pub use client::{ClaimNews, ClientClaim, ClientIdTaken};
pub use consume::ConsumeWish;
pub use error::DestinationError;
pub(crate) use reach::{lists, reaches_stream};
pub use rule::{RuleError, VirtualTopics};
pub(crate) use temporary::Owners;

use crate::Subscription;

/// The most elements of a composite destination.
pub const MAX_ELEMENTS: usize = 32;
/// The queue that dead events of queues go to.
pub const DEAD_LETTERS: &str = "ActiveMQ.DLQ";

/// What a destination does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Gives it to one of its consumers.
    Queue,
    /// Gives it to all of its subscribers.
    Topic,
    /// A queue that goes with the connection that made it.
    TempQueue,
    /// A topic that goes with the connection that made it.
    TempTopic,
}

impl Kind {
    const SCHEMES: [(&'static str, Self); 4] = [
        ("queue://", Self::Queue),
        ("topic://", Self::Topic),
        ("temp-queue://", Self::TempQueue),
        ("temp-topic://", Self::TempTopic),
    ];

    const fn scheme(self) -> &'static str {
        match self {
            Self::Queue => "queue://",
            Self::Topic => "topic://",
            Self::TempQueue => "temp-queue://",
            Self::TempTopic => "temp-topic://",
        }
    }

    /// Whether it goes with a connection.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(self, Self::TempQueue | Self::TempTopic)
    }

    /// Whether each event goes to one consumer only.
    #[must_use]
    pub const fn is_queue(self) -> bool {
        matches!(self, Self::Queue | Self::TempQueue)
    }

    /// The kind as grants know it; a temporary one counts as the lasting one.
    const fn granted(self) -> DestinationKind {
        if self.is_queue() { DestinationKind::Queue } else { DestinationKind::Topic }
    }
}

/// One destination. Its name is what its protocol calls the physical name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// What it does with an event.
    pub kind: Kind,
    /// Its name, without `?options`; elements are separated by `.`, and `*` and a final `>` are
    /// wildcards.
    pub name: String,
}

impl Destination {
    /// One destination. What follows a `?` is left off; [`Destination::options`] reads it.
    ///
    /// # Errors
    /// [`DestinationError::Name`].
    pub fn new(kind: Kind, text: &str) -> Result<Self, DestinationError> {
        let name = text.split_once('?').map_or(text, |(name, _)| name).trim();
        let destination = Self { kind, name: name.to_owned() };
        destination.check()?;
        Ok(destination)
    }

    /// The elements of a composite: separated by commas, each with `queue://`, `topic://`,
    /// `temp-queue://`, `temp-topic://` or of the kind `default`.
    ///
    /// # Errors
    /// [`DestinationError::Name`].
    pub fn parse_all(default: Kind, text: &str) -> Result<Vec<Self>, DestinationError> {
        let text = text.split_once('?').map_or(text, |(names, _)| names);
        let elements = text.split(',').take(MAX_ELEMENTS + 1).map(|element| {
            let element = element.trim();
            let scheme = Kind::SCHEMES
                .iter()
                .find_map(|(scheme, kind)| Some((*kind, element.strip_prefix(scheme)?)));
            let (kind, name) = scheme.unwrap_or((default, element));
            Self::new(kind, name)
        });
        let all = elements.collect::<Result<Vec<_>, _>>()?;
        if all.len() > MAX_ELEMENTS {
            return Err(DestinationError::Name("has too many elements"));
        }
        Ok(all)
    }

    /// The options behind the `?` of a destination's text, in order.
    pub fn options(text: &str) -> impl Iterator<Item = (&str, &str)> {
        let options = text.split_once('?').map_or("", |(_, options)| options);
        options.split('&').filter_map(|option| option.split_once('='))
    }

    /// The destination that a stream is, whoever made it.
    #[must_use]
    pub fn of_stream(stream: &StreamName) -> Self {
        name::destination(stream.as_str())
    }

    /// The queue that a subscription is; `None` for others.
    #[must_use]
    pub fn of_subscription(subscription: &Subscription) -> Option<Self> {
        name::queue(subscription.name().as_str())
    }

    /// Whether it stands for more than one name.
    #[must_use]
    pub fn has_wildcards(&self) -> bool {
        has_wildcards(&self.name)
    }

    /// Whether names accept it, whether it exists or not.
    fn check(&self) -> Result<(), DestinationError> {
        let refused = |reason| Err(DestinationError::Name(reason));
        if self.name.is_empty() {
            return refused("is empty");
        }
        if self.name.chars().any(char::is_control) {
            return refused("has control characters");
        }
        if self.kind.is_temporary() && self.has_wildcards() {
            return refused("is temporary and has wildcards");
        }
        // An empty destination id would be a queue that nothing feeds.
        if self.kind == Kind::Queue && self.name.split('.').any(str::is_empty) {
            return refused("has an empty element");
        }
        let mut elements = self.name.split('.').rev();
        elements.next();
        if elements.any(|element| element == ">") {
            return refused("has `>` before its end");
        }
        name::of_stream(self).map(drop)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.scheme(), self.name)
    }
}

/// Whether a name stands for several.
fn has_wildcards(name: &str) -> bool {
    name.split('.').any(|element| matches!(element, "*" | ">"))
}
