//! Transactions: publishes and answers stored together or not at all.
//!
//! Made by [`Hub::transaction`](crate::Hub::transaction). Until it ends, the events of its answers
//! are nobody's: not the consumer's, nor to be handed out.
//!
//! Invariant: what is not too large to be taken in is not too large to be committed as one batch.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use outflow_model::{Draft, Grant};
use outflow_store::Op;
use tokio::sync::OwnedSemaphorePermit;

use super::burial;
use super::directory::Ordered;
use super::hand::Leased;
use super::joint::{self, Joint};
use super::queue::Queue;
use super::timetable::Now;
use super::{
    ConsumeError, ConsumerId, ConsumerOptions, Consumers, Delivered, Settle, SettleError,
    Subscription, TransactionError, headers,
};
use crate::destination::DestinationError;
use crate::hub::Inner;
use crate::schedule::{Coming, Recurrence};
use crate::{Hub, Receipt, Stream, publish};

/// How many events are moved in one batch.
const AT_ONCE: u64 = 256;
/// How long none may come until all are taken to be moved.
const QUIET: std::time::Duration = std::time::Duration::from_millis(500);
/// How many answers a transaction may hold.
const MAX_ANSWERS: usize = 100_000;

/// One answer, and the event that it is of.
pub(super) struct Answered {
    pub(super) subscription: Arc<Subscription>,
    /// Whose the event was.
    pub(super) hand: u64,
    pub(super) answer: Settle,
    pub(super) leased: Leased,
}

/// See the module. Dropping it aborts it.
pub struct Transaction {
    pub(super) inner: Arc<Inner>,
    pub(super) grant: Grant,
    pub(super) publishes: Vec<(Arc<Stream>, Draft)>,
    /// The schedules that begin with it.
    pub(super) schedules: Vec<Coming>,
    pub(super) bytes: usize,
    pub(super) answers: Vec<Answered>,
    /// How many bytes the dead letters of its answers may have.
    dead: usize,
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (publishes, answers) = (self.publishes.len(), self.answers.len());
        write!(f, "Transaction {{ publishes: {publishes}, answers: {answers} }}")
    }
}

impl Transaction {
    pub(crate) fn new(inner: Arc<Inner>, grant: &Grant) -> Self {
        let grant = grant.clone();
        let (publishes, schedules, answers) = (Vec::new(), Vec::new(), Vec::new());
        Self { inner, grant, publishes, schedules, bytes: 0, answers, dead: 0 }
    }

    /// Adds events to publish.
    ///
    /// # Errors
    /// [`TransactionError`]: they were not added; the rest stands.
    pub fn publish(&mut self, stream: &Arc<Stream>, draft: Draft) -> Result<(), TransactionError> {
        publish::may_publish(&self.grant, stream)?;
        self.bytes = self.with(draft.bytes())?;
        self.publishes.push((stream.clone(), draft));
        Ok(())
    }

    /// Sends what was to go to destinations that were deleted since to those that have their names now; they
    /// are made as a first message makes them.
    ///
    /// # Errors
    /// [`DestinationError`]: it cannot be committed.
    pub async fn find_again(&mut self) -> Result<(), DestinationError> {
        let hub = Hub::of(self.inner.clone());
        for (stream, _) in self.publishes.iter_mut().filter(|(stream, _)| stream.is_gone()) {
            // In a box, as it is rare and large.
            *stream = Box::pin(hub.sent_to(&self.grant, stream)).await?;
        }
        Ok(())
    }

    /// Adds a schedule of the one event of `draft`, which begins with the commit.
    ///
    /// # Errors
    /// [`TransactionError`]: it was not added; the rest stands.
    pub fn schedule(
        &mut self,
        stream: &Stream,
        draft: &Draft,
        recurrence: Recurrence,
    ) -> Result<(), TransactionError> {
        publish::may_publish(&self.grant, stream)?;
        let bytes = self.with(draft.bytes())?;
        let coming = Coming::new(&self.inner, &self.grant, stream, draft, recurrence)?;
        self.schedules.extend(coming);
        self.bytes = bytes;
        Ok(())
    }

    /// How many bytes of events it has with so many more, if there is room for them.
    fn with(&self, more: usize) -> Result<usize, TransactionError> {
        let most = most(&self.inner);
        let max = self.inner.options.max_transaction_bytes.min(most);
        let all = self.bytes + more;
        let fits = all <= max && all + self.dead <= most;
        if fits { Ok(all) } else { Err(TransactionError::TooLarge { max }) }
    }

    /// Adds answers. Their leases are no longer the consumer's until the transaction ends; an
    /// extension is made at once.
    ///
    /// # Errors
    /// [`SettleError`]: none was added; the rest stands.
    pub fn settle(
        &mut self,
        consumers: &mut Consumers,
        consumer: ConsumerId,
        answers: &[Settle],
    ) -> Result<(), SettleError> {
        if self.answers.len() + answers.len() > MAX_ANSWERS {
            return Err(SettleError::TooMany { max: MAX_ANSWERS });
        }
        let (subscription, hand) = consumers.entry(consumer).ok_or(SettleError::NotFound)?;
        let (extensions, answers): (Vec<Settle>, Vec<Settle>) =
            answers.iter().cloned().partition(|answer| matches!(answer, Settle::Extend { .. }));
        let mut queue = subscription.queue.lock();
        let dead = queue.dead_bytes(hand, &answers);
        let max = most(&self.inner);
        if self.bytes + self.dead + dead > max {
            return Err(SettleError::TooLarge { max });
        }
        let now = Now::of(&*self.inner.clock);
        let taken = queue.set_apart(hand, &answers, now.day)?;
        self.dead += dead;
        if !extensions.is_empty() {
            // What was extended and answered in one call needs no more time.
            let _ = queue.settle(hand, &extensions, now);
        }
        drop(subscription.finish(&self.inner, queue));
        self.answers.extend(taken.into_iter().map(|(answer, leased)| Answered {
            subscription: subscription.clone(),
            hand,
            answer,
            leased,
        }));
        Ok(())
    }

    /// Stores all of it, and answers when it is durable: a receipt for each publish, in order. It
    /// is stored to the end even when nobody waits any more.
    ///
    /// # Errors
    /// [`TransactionError`]: none of it was stored, and its leases are held again.
    pub async fn commit(mut self) -> Result<Vec<Receipt>, TransactionError> {
        let (inner, publishes) = (self.inner.clone(), std::mem::take(&mut self.publishes));
        let answers = std::mem::take(&mut self.answers);
        let mut schedules = std::mem::take(&mut self.schedules);
        let task = tokio::spawn(async move {
            let ops = schedules.iter_mut().flat_map(Coming::take_ops).collect();
            // Counted anew: a subscription may have been given its dead letters meanwhile.
            let stored = match publish::admit_reading(&inner, dead_bytes(&answers)).await {
                Ok(reading) => store(&inner, publishes, answers, ops, reading).await,
                Err(error) => Err((error.into(), answers)),
            };
            if stored.is_ok() {
                schedules.into_iter().for_each(Coming::begin);
            }
            stored.map_err(|(error, answers)| {
                give_back(&inner, answers);
                error
            })
        });
        let cut = |_| Err(SettleError::Uncertain("the commit was cut short".into()).into());
        task.await.unwrap_or_else(cut)
    }

    /// Forgets it: its leases are held again, as when it is dropped.
    pub fn abort(self) {}
}

impl Drop for Transaction {
    fn drop(&mut self) {
        give_back(&self.inner, std::mem::take(&mut self.answers));
    }
}

/// How many bytes of events and dead letters one may have: what may be on its way at once, and what the
/// engine takes as one batch. An eighth of that is left for the places of what is answered and for
/// the removal of its record, if it was prepared.
fn most(inner: &Inner) -> usize {
    let batch = inner.engine.max_batch_bytes();
    inner.options.inflight_bytes.min(batch - batch / 8)
}

/// Gives leases back to those who held them.
pub(super) fn give_back(inner: &Arc<Inner>, answers: Vec<Answered>) {
    for Answered { subscription, hand, leased, .. } in answers {
        let mut queue = subscription.queue.lock();
        queue.give_lease_back(hand, leased);
        drop(subscription.finish(inner, queue));
    }
}

/// How many bytes the dead letters of answers may have.
fn dead_bytes(answers: &[Answered]) -> usize {
    let refused = refused(answers);
    refused.iter().map(|one| one.bytes).sum()
}

/// Stores it with `ops`; `reading` is for what was read of it and its dead letters, and is given back
/// once they count among what is on its way. When it fails nothing was stored, and the answers are
/// still to be given.
pub(super) async fn store(
    inner: &Arc<Inner>,
    mut publishes: Vec<(Arc<Stream>, Draft)>,
    answers: Vec<Answered>,
    ops: Vec<Op>,
    reading: OwnedSemaphorePermit,
) -> Result<Vec<Receipt>, (TransactionError, Vec<Answered>)> {
    let count = publishes.len();
    let letters = match burial::letters(inner, &refused(&answers)).await {
        Ok(letters) => letters,
        Err(error) => return Err((error.into(), answers)),
    };
    publishes.extend(letters);
    // What was prepared may be more than there is room for since its dead letters came to it.
    let bytes: usize = publishes.iter().map(|(_, draft)| draft.bytes()).sum();
    let permit = match publish::admit(inner, bytes.min(inner.options.room())).await {
        Ok(permit) => permit,
        Err(error) => return Err((error.into(), answers)),
    };
    drop(reading);
    let mut joint = Joint { publishes, parts: BTreeMap::new(), ops };
    for answered in &answers {
        let part = joint.parts.entry(Ordered(answered.subscription.clone())).or_default();
        let offset = answered.leased.entry.as_ref().map(|entry| entry.offset);
        if !matches!(answered.answer, Settle::Requeue { .. }) {
            part.done.extend(offset.map(|offset| (answered.leased.feed, offset)));
        }
    }
    let done = |subscription: &Arc<Subscription>, queue: &mut Queue, stored: bool| {
        let own = answers.iter().filter(|one| Arc::ptr_eq(&one.subscription, subscription));
        for one in own.filter(|one| !matches!(one.answer, Settle::Requeue { .. })) {
            let Some(offset) = one.leased.entry.as_ref().map(|entry| entry.offset) else {
                continue;
            };
            if !stored {
                queue.undo(one.leased.feed, offset);
            } else if let Some(feed) = queue.feed_mut(one.leased.feed) {
                feed.apart.remove(&offset);
            }
        }
    };
    let outcome = joint::commit(inner, joint, permit, done).await;
    match outcome {
        Ok(mut receipts) => {
            receipts.truncate(count);
            requeue(inner, answers);
            Ok(receipts)
        }
        Err(error) => Err((error, answers)),
    }
}

impl Queue {
    /// How many bytes the dead letters of answers may have, where there are any.
    fn dead_bytes(&self, key: u64, answers: &[Settle]) -> usize {
        if self.settings.dead_letter.is_none() {
            return 0;
        }
        let Some(hand) = self.hands.get(&key) else { return 0 };
        let of = |answer: &Settle| {
            let Settle::DeadLetter { lease, cause } = answer else { return None };
            let entry = hand.leased.get(hand.find(lease.0)?)?.entry.as_ref()?;
            Some(burial::letter_bytes(entry, cause))
        };
        answers.iter().filter_map(of).sum()
    }
}

/// What is to be copied to the dead letters, where its subscription has any.
fn refused(answers: &[Answered]) -> Vec<burial::Refused<'_>> {
    let mut all = Vec::new();
    for one in answers {
        if let (Settle::DeadLetter { cause, .. }, Some(entry)) = (&one.answer, &one.leased.entry)
            && one.subscription.settings().dead_letter.is_some()
        {
            all.push(burial::Refused {
                subscription: &one.subscription,
                feed: one.leased.feed,
                offset: entry.offset,
                deliveries: entry.deliveries,
                bytes: burial::letter_bytes(entry, cause),
                cause,
            });
        }
    }
    all
}

/// Puts back what was answered so.
fn requeue(inner: &Arc<Inner>, answers: Vec<Answered>) {
    let now = inner.clock.passed();
    for Answered { subscription, answer, leased, .. } in answers {
        let (Settle::Requeue { delay, .. }, Some(entry)) = (answer, leased.entry) else { continue };
        let mut queue = subscription.queue.lock();
        if let Some(feed) = queue.feed_mut(leased.feed) {
            feed.apart.remove(&entry.offset);
        }
        queue.give_back(leased.feed, entry, delay, now);
        drop(subscription.finish(inner, queue));
    }
}

/// See [`Hub::move_dead`](crate::Hub::move_dead).
pub(crate) async fn move_dead(
    hub: &Hub,
    grant: &Grant,
    from: &Arc<Subscription>,
    to: &Arc<Stream>,
    limit: usize,
) -> Result<u64, TransactionError> {
    let mut consumers = hub.consumers(grant);
    let options = ConsumerOptions { name: "move-dead".into(), ..ConsumerOptions::default() };
    let consumer = consumers.add(from, options).await.map_err(|error| match error {
        ConsumeError::Forbidden => SettleError::Forbidden,
        ConsumeError::NotFound => SettleError::NotFound,
        other => SettleError::Unavailable(other.to_string()),
    })?;
    let mut moved = 0;
    // Those there are now: what is moved into the same queue must not be moved for ever.
    let mut left = hub.subscription_stats(from).backlog.min(limit as u64);
    while left > 0 {
        let wait = tokio::time::timeout(QUIET, consumers.next(left.min(AT_ONCE) as usize));
        let Ok(Delivered::Events { events, .. }) = wait.await else { break };
        let mut transaction = hub.transaction(grant);
        let (mut draft, mut answers) = (Draft::default(), Vec::with_capacity(events.len()));
        for delivery in &events {
            let event = &delivery.event;
            draft.push_copy(event.line(), event.meta(), &headers::RESERVED_NAMES, &[]);
            answers.push(Settle::Ack(delivery.lease));
        }
        transaction.publish(to, draft)?;
        transaction.settle(&mut consumers, consumer, &answers)?;
        transaction.commit().await?;
        moved += events.len() as u64;
        left = left.saturating_sub(events.len() as u64);
    }
    Ok(moved)
}
