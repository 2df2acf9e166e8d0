//! Begins the session's work at the hub: what needs an answer becomes the connection's one job, what
//! only has to become durable goes on its way.
//!
//! Called by [`super`] with what the session asked for, in its order.

use outflow_hub::destination::{ClientClaim, ClientIdTaken};
use outflow_hub::subscription::{
    ConsumeError, ConsumerId, ConsumerOptions, SettleError, Transaction as Ready,
};

use super::{Connection, Queued};
use crate::batch::{Answers as _, Batch, Landing};
use crate::failure::Failure;
use crate::flight::{self, Flight, Settled};
use crate::link::Link;
use crate::session::{Added, Input, Opening as _, Seen, Session, Work};
use crate::transaction::Transaction;
use crate::wish::Wish;
use crate::work::{self, Asker, Found};

impl<L: Link<S::Outbox>, S: Session> Connection<L, S> {
    /// Begins what was queued.
    pub(super) fn begin(&mut self, queued: Queued<S>) {
        let work = match queued {
            Queued::Batch(batch) => return self.begin_batch(batch),
            Queued::Widen(number, wish) => {
                self.job = self.asker().map(|asker| asker.widen(number, wish));
                return;
            }
            Queued::Work(Work::Open(opening)) => return self.open(opening),
            Queued::Work(work) => work,
        };
        // Before the login there is no other work but the end.
        let Some(asker) = self.asker() else {
            self.closing = true;
            return;
        };
        match work {
            Work::Resolve { spelling, destinations, temporary } => {
                self.job = Some(asker.resolve(spelling, destinations, temporary));
            }
            Work::Subscribe { ask, wish, temporary } => {
                if self.queues_made.is_none() && wish.grows() {
                    // Before they are looked up, so that none is made unseen.
                    self.queues_made = asker.hub.queues_made(&asker.grant);
                }
                self.job = Some(asker.find(self.client(), ask, wish, temporary));
            }
            Work::Remove { consumers, durable, asked } => {
                for (consumer, seen) in consumers {
                    self.secure(&asker, consumer);
                    self.remove(consumer, seen);
                }
                match durable {
                    None => self.apply(Input::Removed { asked, result: Ok(()) }),
                    Some((client, name)) => self.job = Some(asker.delete(client, name, asked)),
                }
            }
            Work::Prefetch { consumers, prefetch } => {
                if let Some(hub) = &mut self.consumers {
                    consumers.iter().for_each(|consumer| hub.set_credit(*consumer, prefetch));
                }
            }
            Work::Make { destination, asked } => self.job = Some(asker.make(destination, asked)),
            Work::Unmake { destination, asked } => {
                self.job = Some(asker.unmake(destination, asked));
            }
            Work::Commit { mut transaction, asked } => {
                let ready = self.gather(&asker, &mut transaction);
                self.commits = S::IN_ORDER;
                self.job = Some(work::commit(ready, transaction, asked));
            }
            Work::Prepare { mut transaction, name, asked } => {
                let ready = self.gather(&asker, &mut transaction);
                self.job = Some(work::prepare(ready, transaction, name, asked));
            }
            Work::Conclude { name, own, commits, asked } => {
                self.job = Some(asker.conclude(name, own, commits, asked));
            }
            Work::Close => {
                self.closing = true;
                // What was not acked goes back at once, not when the client closes the socket.
                self.consumers = None;
                self.messages = None;
                self.browsers.clear();
                self.claim = None;
            }
            Work::Open(_) | Work::Flush | Work::Keep(_) => {}
        }
    }

    /// Keeps what open transactions acked of a consumer that goes.
    fn secure(&mut self, asker: &Asker, leaving: ConsumerId) {
        let Some(consumers) = &mut self.consumers else { return };
        self.session.each_transaction(&mut |transaction| {
            transaction.secure(&asker.hub, &asker.grant, consumers, leaving);
        });
    }

    /// Puts a transaction together.
    fn gather(&mut self, asker: &Asker, transaction: &mut Transaction) -> Result<Ready, Failure> {
        match &mut self.consumers {
            Some(consumers) => transaction.gather(&asker.hub, &asker.grant, consumers),
            None => Err(SettleError::NotFound.into()),
        }
    }

    fn remove(&mut self, consumer: ConsumerId, seen: Seen) {
        if self.messages.as_ref().is_some_and(|(of, _)| *of == consumer) {
            self.messages = None;
        }
        self.browsers.retain(|(of, _)| *of != consumer);
        let Some(consumers) = &mut self.consumers else { return };
        match seen {
            Seen::Unknown => consumers.remove(consumer),
            Seen::Through(seen) => consumers.remove_unseen(consumer, seen),
        }
    }

    /// The login was right: takes the client id, where there is one.
    fn open(&mut self, opening: Box<S::Opening>) {
        match opening.client().map(str::to_owned) {
            Some(client) => {
                let (hub, patience) = (self.terms.hub.clone(), self.terms.limits.client_id_wait);
                self.job = Some(work::claim(hub, opening, client, patience));
            }
            None => self.opened(opening, None),
        }
    }

    /// Goes on as logged in, unless the client id is another's.
    pub(super) fn opened(
        &mut self,
        opening: Box<S::Opening>,
        claim: Option<Result<ClientClaim, ClientIdTaken>>,
    ) {
        let taken = match claim.transpose() {
            Err(taken) => Some(taken),
            Ok(claim) => {
                self.claim = claim;
                self.deadline = None;
                self.consumers = Some(self.terms.hub.consumers(opening.grant()));
                self.held = self.terms.pool.share(Some(opening.grant()));
                None
            }
        };
        self.apply(Input::Opened { opening, taken });
    }

    fn begin_batch(&mut self, mut batch: Batch<S::Answers>) {
        if let Some(consumers) = &mut self.consumers {
            for (consumer, n) in &batch.credit {
                consumers.change_credit(*consumer, *n);
            }
        }
        let landing = batch.landing();
        let is_answered = !landing.answers.is_empty();
        // An answer in order tells of all before it.
        if is_answered && S::IN_ORDER {
            self.catch_up();
        }
        if let (false, Some(asker)) = (batch.parcels.is_empty(), self.asker()) {
            self.job = Some(asker.enqueue(batch.parcels, batch.acks, landing));
            return;
        }
        let acks = flight::settle(self.consumers.as_mut(), &batch.acks, is_answered);
        if is_answered || !acks.iter().all(Settled::is_over) {
            self.flights.push_back(Flight::new(Vec::new(), acks, landing));
        } else {
            self.lingering.extend(batch.acks.iter().map(|acks| acks.consumer));
        }
    }

    /// Sees to it that what was acked before is on the disk when the next answer is given.
    pub(super) fn catch_up(&mut self) {
        let lingering = std::mem::take(&mut self.lingering);
        if !lingering.is_empty() {
            let acks = flight::write(self.consumers.as_mut(), lingering);
            self.flights.push_back(Flight::new(Vec::new(), acks, Landing::default()));
        }
    }

    /// Adds consumers of the queues that a subscription with wildcards has none of yet.
    pub(super) async fn widen(
        &mut self,
        number: u32,
        wish: &Wish,
        found: Result<Vec<Found>, Failure>,
    ) {
        let consumers = match found {
            Ok(mut found) => {
                let known = self.session.subscriptions_of(number);
                found.retain(|one| !known.contains(&one.subscription.id()));
                self.subscribe(wish, found).await
            }
            Err(failure) => Err(failure),
        };
        self.apply(Input::Widened { number, consumers });
    }

    /// Adds the consumers that serve a subscription.
    pub(super) async fn subscribe(&mut self, wish: &Wish, found: Vec<Found>) -> Added {
        let (name, client) = (self.session.consumer_name(), self.client());
        let Some(consumers) = &mut self.consumers else {
            return Err(SettleError::NotFound.into());
        };
        let mut added = Vec::with_capacity(found.len());
        for Found { subscription, selects, browse } in found {
            if let Some(browse) = browse {
                // Numbers from above: the hub's own come from below.
                let consumer = ConsumerId(self.next_browser);
                self.next_browser = self.next_browser.wrapping_sub(1);
                self.browsers.push_back((consumer, browse));
                added.push((consumer, subscription));
                continue;
            }
            let options = ConsumerOptions {
                credit: wish.prefetch,
                priority: wish.priority,
                exclusive: wish.exclusive,
                alone: wish.durable.is_some(),
                auto_ack: wish.auto_ack,
                name: name.clone(),
                lease: None,
                selector: wish.selector.clone().filter(|_| selects),
            };
            match consumers.add(&subscription, options).await {
                Ok(consumer) => added.push((consumer, subscription)),
                Err(error) => {
                    added.iter().for_each(|(consumer, _)| consumers.remove(*consumer));
                    return Err(match (error, &wish.durable) {
                        (ConsumeError::InUse, Some(durable)) => {
                            Failure::durable_in_use(client.as_deref(), durable)
                        }
                        (error, _) => error.into(),
                    });
                }
            }
        }
        Ok(added)
    }
}
