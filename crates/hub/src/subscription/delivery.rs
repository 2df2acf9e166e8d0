//! What consumers get and what they answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::Timestamp;

use super::EventView;
use crate::selector::Selector;
use crate::{CloseReason, Stream};

/// A subscription's number, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub u32);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "u{}", self.0)
    }
}

/// One delivered, not yet settled event. Never used twice, nor after a restart; greater for what
/// one consumer got later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A consumer of one [`Consumers`](super::Consumers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u32);

/// What a consumer asks for.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How many events it may hold unsettled at once; 0: only by
    /// [`change_credit`](super::Consumers::change_credit).
    pub credit: u32,
    /// Consumers of higher priority are served first.
    pub priority: u8,
    /// Whether it wants all events for itself, as long as none of higher priority wants so too.
    pub exclusive: bool,
    /// Whether it is to be the only consumer: it is not added beside another whose connection lives.
    pub alone: bool,
    /// Whether events count as acked once they are handed out.
    pub auto_ack: bool,
    /// For people: shown to operators.
    pub name: String,
    /// For how long it holds an event, instead of the subscription's own.
    pub lease: Option<Duration>,
    /// Which of the subscription's events it takes; the others are left to other consumers.
    pub selector: Option<Selector>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            credit: 1_000,
            priority: 0,
            exclusive: false,
            alone: false,
            auto_ack: false,
            name: String::new(),
            lease: None,
            selector: None,
        }
    }
}

/// An event handed to a consumer.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// By which it is settled.
    pub lease: LeaseId,
    /// Whose event it is.
    pub subscription: SubscriptionId,
    /// The stream it stands in.
    pub stream: Arc<Stream>,
    /// The event.
    pub event: EventView,
    /// How often it was handed out since the server started, this time included: 1 on the first.
    pub deliveries: u32,
    /// Whether it was handed out before, or may have been before the server started.
    pub redelivered: bool,
    /// When it comes back if it is not settled; `None`: when the consumer goes.
    pub deadline: Option<Timestamp>,
    /// Whether it is the first of its group that this consumer gets.
    pub first_of_group: bool,
}

/// What [`Consumers::next`](super::Consumers::next) yields.
#[derive(Debug)]
pub enum Delivered {
    /// Events of one consumer, in order.
    Events {
        /// Whose.
        consumer: ConsumerId,
        /// At least one.
        events: Vec<Delivery>,
    },
    /// A consumer, or all of them, are no more.
    Closed {
        /// Which; `None`: all, and every further call says so again.
        consumer: Option<ConsumerId>,
        /// Why.
        reason: CloseReason,
    },
}

/// A consumer's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Done.
    Ack(LeaseId),
    /// Done, and so is all that the consumer got before it.
    AckThrough(LeaseId),
    /// Not done: give it out again, to its old place, at once or after a while.
    Requeue {
        /// Which.
        lease: LeaseId,
        /// After how long.
        delay: Option<Duration>,
    },
    /// Never to be done: to the dead letters; dropped where the subscription has none.
    DeadLetter {
        /// Which.
        lease: LeaseId,
        /// Why, for people.
        cause: String,
    },
    /// Not done yet: hold it for so long from now.
    Extend {
        /// Which.
        lease: LeaseId,
        /// For how long.
        by: Duration,
    },
}

impl Settle {
    /// The lease it names.
    #[must_use]
    pub const fn lease(&self) -> LeaseId {
        match self {
            Self::Ack(lease)
            | Self::AckThrough(lease)
            | Self::Requeue { lease, .. }
            | Self::DeadLetter { lease, .. }
            | Self::Extend { lease, .. } => *lease,
        }
    }
}
