//! Subscriptions: durable places in streams, with leases, acks and redelivery.
//!
//! Called by the faces through [`Hub`](crate::Hub). A subscription is a passive object behind one
//! lock; events are stored once, in their streams, and a subscription holds places only.

pub mod consumers;
pub mod delivery;
pub mod error;
pub mod event;
pub mod pattern;
pub mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::{
    Draft, Grant, Offset, ProjectId, StreamId, StreamName, SubscriptionName, Timestamp,
};
use outflow_store::Durability;

pub use consumers::{Consumers, Settling};
pub use delivery::{
    ConsumerId, ConsumerOptions, Delivered, Delivery, LeaseId, Settle, SubscriptionId,
};
pub use error::{ConsumeError, LeaseError, SettleError, TransactionError};
pub use event::{BodyView, EventView};
pub use pattern::{PatternError, StreamPattern};
pub use settings::{DeliveryOrder, NewSubscription, Source, Sources, SubscriptionSettings};

use crate::selector::Selector;
use crate::{CatalogError, Hub, PublishError, Receipt, Stream};

/// A durable, server-kept place in one or more streams.
pub struct Subscription {
    id: SubscriptionId,
    project: ProjectId,
    name: SubscriptionName,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({}, {}/{})", self.id, self.project, self.name)
    }
}

impl Subscription {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> SubscriptionId {
        self.id
    }

    /// Its project.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &SubscriptionName {
        &self.name
    }

    /// Its settings as of now.
    #[must_use]
    pub fn settings(&self) -> Arc<SubscriptionSettings> {
        Arc::default()
    }

    /// Its sources as of now.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources::Streams(Vec::new())
    }
}

/// How a subscription stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionStats {
    /// The events not settled yet, held ones included. With a selector or filter, those of what is
    /// not looked at yet count although some will be passed over.
    pub backlog: u64,
    /// When the oldest of them was taken, where that is known without a read.
    pub oldest: Option<Timestamp>,
    /// The events that consumers hold.
    pub in_flight: u64,
    /// How often an event was handed out again, since the server started.
    pub redelivered: u64,
    /// How many consumers it has now.
    pub consumers: usize,
    /// When a consumer last was there.
    pub last_used: Timestamp,
    /// How many events retention or damage took before they were settled, since the server started.
    pub lost: u64,
    /// Whether nobody has consumed for long while there is a backlog, or it will expire soon.
    pub abandoned: bool,
}

/// An event by its place, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRef {
    /// The stream's number.
    pub stream: StreamId,
    /// The stream's name.
    pub name: StreamName,
    /// Its place there.
    pub offset: Offset,
    /// Its id.
    pub id: String,
}

/// What a peek saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peeked {
    /// How many events are neither settled nor held; see [`SubscriptionStats::backlog`].
    pub available: u64,
    /// The first of them; `None`: nothing came in time.
    pub next: Option<EventRef>,
}

/// How one event stands in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Neither settled nor held.
    Waiting,
    /// Someone holds it.
    Held {
        /// By which it is settled.
        lease: LeaseId,
        /// When it comes back; `None`: when its consumer goes.
        until: Option<Timestamp>,
    },
    /// It was settled, or taken by retention, or stood in its stream before the subscription began.
    Settled,
    /// There is no such event in any of its sources, or not yet.
    Unknown,
}

/// A publish under way: resolves when its events are durable (or queued, when relaxed).
pub type Publishing =
    std::pin::Pin<Box<dyn Future<Output = Result<Receipt, PublishError>> + Send + 'static>>;

/// Publishes and answers that are stored together or not at all.
#[derive(Debug)]
pub struct Transaction {}

impl Transaction {
    /// Adds events to publish.
    ///
    /// # Errors
    /// [`TransactionError`]: it was not added; the rest stands.
    pub fn publish(
        &mut self,
        _stream: &Arc<Stream>,
        _draft: Draft,
    ) -> Result<(), TransactionError> {
        Err(SettleError::NotFound.into())
    }

    /// Adds answers. Their leases are no longer the consumer's until the transaction ends.
    ///
    /// # Errors
    /// [`SettleError`]: none was added; the rest stands.
    pub fn settle(
        &mut self,
        _consumers: &mut Consumers,
        _consumer: ConsumerId,
        _answers: &[Settle],
    ) -> Result<(), SettleError> {
        Err(SettleError::NotFound)
    }

    /// Stores all of it, and answers when it is durable: a receipt for each publish, in order.
    ///
    /// # Errors
    /// [`TransactionError`]: none of it was stored, and its leases are held again.
    pub async fn commit(self) -> Result<Vec<Receipt>, TransactionError> {
        Err(SettleError::NotFound.into())
    }

    /// Forgets it: its leases are held again. As dropping it does.
    pub fn abort(self) {}
}

/// A look at a subscription's events as of a moment.
#[derive(Debug)]
pub struct Browse {}

impl Browse {
    /// The next event; `None` at the end. Its lease settles nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        None
    }
}

impl Hub {
    /// Creates a subscription. Durable when this returns, as all changes here are.
    ///
    /// # Errors
    /// [`CatalogError`]: `Exists` when the name is taken.
    pub async fn create_subscription(
        &self,
        _project: &ProjectId,
        _new: NewSubscription,
    ) -> Result<Arc<Subscription>, CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// The subscription with this name.
    #[must_use]
    pub fn subscription(&self, _project: &ProjectId, _name: &str) -> Option<Arc<Subscription>> {
        None
    }

    /// The subscriptions of a project, in order of name.
    #[must_use]
    pub fn subscriptions(&self, _project: &ProjectId) -> Vec<Arc<Subscription>> {
        Vec::new()
    }

    /// Changes a subscription's settings. A new selector counts for what was not looked at yet.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn update_subscription(
        &self,
        _subscription: &Arc<Subscription>,
        _settings: SubscriptionSettings,
    ) -> Result<(), CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// Adds a source; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn add_source(
        &self,
        _subscription: &Arc<Subscription>,
        _source: Source,
    ) -> Result<(), CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// Removes a source with its place; says whether there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn remove_source(
        &self,
        _subscription: &Arc<Subscription>,
        _stream: &StreamName,
    ) -> Result<bool, CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// Deletes a subscription and ends its consumers.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn delete_subscription(
        &self,
        _subscription: &Arc<Subscription>,
    ) -> Result<(), CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// Settles all events there are now but those that are held; says how many.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn purge_subscription(
        &self,
        _subscription: &Arc<Subscription>,
    ) -> Result<u64, CatalogError> {
        Err(CatalogError::NotFound)
    }

    /// Moves up to `limit` events of a subscription to another stream; says how many.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub async fn move_dead(
        &self,
        _grant: &Grant,
        _from: &Arc<Subscription>,
        _to: &Arc<Stream>,
        _limit: usize,
    ) -> Result<u64, TransactionError> {
        Err(SettleError::NotFound.into())
    }

    /// How a subscription stands.
    #[must_use]
    pub fn subscription_stats(&self, _subscription: &Subscription) -> SubscriptionStats {
        SubscriptionStats {
            backlog: 0,
            oldest: None,
            in_flight: 0,
            redelivered: 0,
            consumers: 0,
            last_used: self.clock().now(),
            lost: 0,
            abandoned: false,
        }
    }

    /// The consumers of one connection, none yet. They end with the credential.
    #[must_use]
    pub fn consumers(&self, grant: &Grant) -> Consumers {
        Consumers::new(grant)
    }

    /// Looks at the unsettled events as of now, held ones included, without taking them.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn browse(
        &self,
        _grant: &Grant,
        _subscription: &Arc<Subscription>,
        _selector: Option<Selector>,
    ) -> Result<Browse, ConsumeError> {
        Ok(Browse {})
    }

    /// A transaction, empty yet.
    #[must_use]
    pub fn transaction(&self, _grant: &Grant) -> Transaction {
        Transaction {}
    }

    /// Gives the events of `draft` their offsets and queues them, in the order of these calls, and
    /// returns at once; await what it returns for the receipt. `durability` overrides the stream's.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn enqueue(
        &self,
        grant: &Grant,
        stream: &Arc<Stream>,
        draft: Draft,
        _durability: Option<Durability>,
    ) -> Result<Publishing, PublishError> {
        let (hub, grant, stream) = (self.clone(), grant.clone(), stream.clone());
        Ok(Box::pin(async move { hub.publish(&grant, &stream, draft).await }))
    }

    /// Looks for the next event, waiting up to `wait` for one. Holds nothing.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn peek(
        &self,
        _grant: &Grant,
        _subscription: &Arc<Subscription>,
        _wait: Duration,
    ) -> Result<Peeked, ConsumeError> {
        Err(ConsumeError::NotFound)
    }

    /// How an event stands. Changes nothing.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn event_state(
        &self,
        _grant: &Grant,
        _subscription: &Arc<Subscription>,
        _stream: StreamId,
        _offset: Offset,
    ) -> Result<EventState, ConsumeError> {
        Ok(EventState::Unknown)
    }

    /// Takes the event, for so long (at least 1 ms).
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn lease(
        &self,
        _grant: &Grant,
        _subscription: &Arc<Subscription>,
        _event: &EventRef,
        _hold: Duration,
    ) -> Result<Delivery, LeaseError> {
        Err(LeaseError::NotFound)
    }

    /// Settles a lease that [`Hub::lease`] gave, durably. `AckThrough` acks the one event. Gives
    /// the new deadline of an extended lease.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle_lease(
        &self,
        _grant: &Grant,
        _subscription: &Arc<Subscription>,
        _answer: Settle,
    ) -> Result<Option<Timestamp>, SettleError> {
        Err(SettleError::NotFound)
    }

    /// Does what is due by the clock: ends leases, shows scheduled events, expires what is idle.
    /// The hub does so by itself every second; for those who move the clock by hand.
    pub async fn tick(&self) {}
}
