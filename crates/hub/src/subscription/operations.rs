//! What the hub offers of subscriptions: the interface that faces use.
//!
//! Calls the files beside it, each of which says how.

use std::sync::Arc;
use std::time::Duration;

use outflow_model::{Draft, Grant, Offset, ProjectId, StreamId, StreamName, Timestamp};
use outflow_store::Durability;

use super::{
    Browse, ConsumeError, Consumers, Delivery, EventRef, EventState, LeaseError, NewSubscription,
    Peeked, Settle, SettleError, Source, StreamBacklog, Subscription, SubscriptionSettings,
    SubscriptionStats, Transaction, TransactionError, ages, browse, change, clockwork, mailbox,
    oldest, peek, purge, transaction, writing,
};
use crate::catalog::turn::{Change, in_turn};
use crate::publish::{self, Publishing};
use crate::selector::Selector;
use crate::{CatalogError, Hub, PublishError, Stream};

impl Hub {
    /// Creates a subscription. Durable when this returns, as all changes here are.
    ///
    /// # Errors
    /// [`CatalogError`]: `Exists` when the name is taken.
    pub fn create_subscription(
        &self,
        project: &ProjectId,
        new: NewSubscription,
    ) -> Change<Arc<Subscription>> {
        let project = project.clone();
        in_turn(self.inner(), |inner| change::create(inner, project, new))
    }

    /// The subscription with this name.
    #[must_use]
    pub fn subscription(&self, project: &ProjectId, name: &str) -> Option<Arc<Subscription>> {
        self.inner().subscriptions.directory.read().find(project, name)
    }

    /// The subscriptions of a project, in order of name.
    #[must_use]
    pub fn subscriptions(&self, project: &ProjectId) -> Vec<Arc<Subscription>> {
        self.inner().subscriptions.directory.read().of_project(project)
    }

    /// Changes a subscription's settings. A new selector counts for what was not looked at yet.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn update_subscription(
        &self,
        subscription: &Arc<Subscription>,
        settings: SubscriptionSettings,
    ) -> Change<()> {
        let subscription = subscription.clone();
        in_turn(self.inner(), |inner| change::update(inner, subscription, settings))
    }

    /// Adds a source; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn add_source(&self, subscription: &Arc<Subscription>, source: Source) -> Change<()> {
        let subscription = subscription.clone();
        in_turn(self.inner(), |inner| change::add_source(inner, subscription, source))
    }

    /// Removes a source with its place; says whether there was one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn remove_source(
        &self,
        subscription: &Arc<Subscription>,
        stream: &StreamName,
    ) -> Change<bool> {
        let (subscription, stream) = (subscription.clone(), stream.clone());
        in_turn(self.inner(), |inner| change::remove_source(inner, subscription, stream))
    }

    /// Deletes a subscription and ends its consumers.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn delete_subscription(&self, subscription: &Arc<Subscription>) -> Change<()> {
        change::delete(self.inner(), subscription)
    }

    /// Settles all events there are now but those that are held; says how many.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub async fn purge_subscription(
        &self,
        subscription: &Arc<Subscription>,
    ) -> Result<u64, CatalogError> {
        purge::purge(self.inner(), subscription).await
    }

    /// Moves up to `limit` events of a subscription to another stream; says how many.
    ///
    /// # Errors
    /// [`TransactionError`].
    pub async fn move_dead(
        &self,
        grant: &Grant,
        from: &Arc<Subscription>,
        to: &Arc<Stream>,
        limit: usize,
    ) -> Result<u64, TransactionError> {
        transaction::move_dead(self, grant, from, to, limit).await
    }

    /// How a subscription stands.
    #[must_use]
    pub fn subscription_stats(&self, subscription: &Subscription) -> SubscriptionStats {
        subscription.stats(self.inner())
    }

    /// When the oldest event that is not settled was taken, be it in memory or not; `None` also
    /// where that cannot be said.
    pub async fn oldest_waiting(&self, subscription: &Subscription) -> Option<Timestamp> {
        oldest::oldest(self.inner(), subscription).await
    }

    /// Looks up how old what waits is of the subscriptions that metrics show, so far as that needs a read;
    /// before metrics are shown. Without it those are left out.
    pub async fn look_up_ages(&self) {
        ages::look_up(self.inner()).await;
    }

    /// What waits of each of a subscription's streams.
    pub async fn waiting_by_stream(&self, subscription: &Subscription) -> Vec<StreamBacklog> {
        oldest::by_stream(self.inner(), subscription).await
    }

    /// The consumers of one connection, none yet. They end with the credential.
    #[must_use]
    pub fn consumers(&self, grant: &Grant) -> Consumers {
        Consumers::new(self.inner().clone(), grant)
    }

    /// Looks at the unsettled events as of now, held ones included, without taking them.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn browse(
        &self,
        grant: &Grant,
        subscription: &Arc<Subscription>,
        selector: Option<Selector>,
    ) -> Result<Browse, ConsumeError> {
        browse::browse(self.inner(), grant, subscription, selector).await
    }

    /// A transaction, empty yet.
    #[must_use]
    pub fn transaction(&self, grant: &Grant) -> Transaction {
        Transaction::new(self.inner().clone(), grant)
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
        durability: Option<Durability>,
    ) -> Result<Publishing, PublishError> {
        publish::enqueue(self.inner(), grant, stream, draft, durability).await
    }

    /// Looks for the next event, waiting up to `wait` for one. Holds nothing.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn peek(
        &self,
        grant: &Grant,
        subscription: &Arc<Subscription>,
        wait: Duration,
    ) -> Result<Peeked, ConsumeError> {
        peek::peek(self.inner(), grant, subscription, wait).await
    }

    /// How an event stands. Changes nothing. That it is settled is said when that is durable.
    ///
    /// # Errors
    /// [`ConsumeError`].
    pub async fn event_state(
        &self,
        grant: &Grant,
        subscription: &Arc<Subscription>,
        stream: StreamId,
        offset: Offset,
    ) -> Result<EventState, ConsumeError> {
        mailbox::state(self.inner(), grant, subscription, stream, offset).await
    }

    /// Takes the event, for so long (at least 1 ms).
    ///
    /// # Errors
    /// [`LeaseError`].
    pub async fn lease(
        &self,
        grant: &Grant,
        subscription: &Arc<Subscription>,
        event: &EventRef,
        hold: Duration,
    ) -> Result<Delivery, LeaseError> {
        mailbox::lease(self.inner(), grant, subscription, event, hold).await
    }

    /// Settles a lease that [`Hub::lease`] gave, durably. `AckThrough` acks the one event. Gives
    /// the new deadline of an extended lease.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle_lease(
        &self,
        grant: &Grant,
        subscription: &Arc<Subscription>,
        answer: Settle,
    ) -> Result<Option<Timestamp>, SettleError> {
        mailbox::settle(self.inner(), grant, subscription, answer).await
    }

    /// Notes exactly how far events were handed out: when nobody consumes any more, before the engine
    /// is closed. After an end without it more of them are said to have been.
    pub async fn end(&self) {
        writing::end(self.inner()).await;
    }

    /// Does what is due by the clock: ends leases, shows scheduled events, expires what is idle.
    /// The hub does so by itself every second; for those who move the clock by hand.
    pub async fn tick(&self) {
        for task in clockwork::tick(self.inner()).await {
            // One that was cut short is begun again in the next round.
            let _ = task.await;
        }
    }
}
