//! Begins the session's work at the hub: what needs an answer becomes the connection's one job, what
//! only has to become durable goes on its way.
//!
//! Called by [`super`] with what the session asked for, in its order.

use std::sync::Arc;

use outflow_hub::Subscription;
use outflow_hub::destination::{ClientClaim, ClientIdTaken};
use outflow_hub::subscription::{ConsumerId, ConsumerOptions, SettleError};
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::flight::{self, Flight};
use super::super::work::{self, Found};
use super::{Connection, Queued};
use crate::error::Failure;
use crate::session::batch::Batch;
use crate::session::{Input, Opening, Seen, Work};
use crate::translate::wish::Wish;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    /// Begins what was queued.
    pub(super) async fn begin(&mut self, queued: Queued) {
        let hub = self.face.hub.clone();
        let work = match queued {
            Queued::Batch(batch) => return self.begin_batch(batch),
            Queued::Work(Work::Open(opening)) => {
                let seat = self.face.live.sit(&opening.grant.credential, &opening.connection);
                let patience = self.face.options.client_id_wait;
                self.job = Some(work::claim(hub, opening, seat, patience));
                return;
            }
            Queued::Work(work) => work,
        };
        // Before the login there is no other work but the end.
        let Some(grant) = self.grant() else {
            self.closing = true;
            return;
        };
        match work {
            Work::Resolve { destination, destinations } => {
                self.job = Some(work::resolve(hub, grant, destination, destinations));
            }
            Work::Subscribe(wish) => {
                if self.queues_made.is_none() && wish.grows() {
                    // Before they are looked up, so that none is made unseen.
                    self.queues_made = hub.queues_made(&grant);
                }
                self.job = Some(work::find(hub, grant, self.client(), wish));
            }
            Work::Widen { number, wish } => {
                self.job = Some(work::widen(hub, grant, number, wish));
            }
            Work::Remove { consumers, asked } => {
                for (consumer, seen) in consumers {
                    self.remove(consumer, seen);
                }
                self.apply(Input::Answered { asked, result: Ok(()) });
            }
            Work::Prefetch { consumers, prefetch } => {
                if let Some(hub) = &mut self.consumers {
                    consumers.iter().for_each(|consumer| hub.set_credit(*consumer, prefetch));
                }
            }
            Work::Delete { client, name, asked } => {
                self.job = Some(work::delete(hub, grant, client, name, asked));
            }
            Work::Make { destination, asked } => {
                self.job = Some(work::make(hub, grant, destination, asked));
            }
            Work::Unmake { destination, asked } => {
                self.job = Some(work::unmake(hub, grant, destination, asked));
            }
            Work::Commit { mut transaction, asked } => {
                let ready = match &mut self.consumers {
                    Some(consumers) => work::gather(&hub, &grant, consumers, &mut transaction),
                    None => Err(SettleError::NotFound.into()),
                };
                self.job = Some(work::commit(ready, transaction, asked));
            }
            Work::Close => {
                self.closing = true;
                // What was not acked goes back at once, not when the client closes the socket.
                self.consumers = None;
                self.messages = None;
                self.browsers.clear();
                self.claim = None;
            }
            Work::Open(_) | Work::Flush | Work::Speak { .. } => {}
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

    /// Speaks as agreed, unless the client id is another's.
    pub(super) fn opened(
        &mut self,
        opening: Box<Opening>,
        claim: Result<ClientClaim, ClientIdTaken>,
    ) {
        let refused = match claim {
            Err(ClientIdTaken) => Some(self.session.client_id_taken(&opening.client)),
            Ok(claim) => {
                self.claim = Some(claim);
                self.decoder.bound(u64::MAX);
                self.deadline = None;
                self.consumers = Some(self.face.hub.consumers(&opening.grant));
                None
            }
        };
        self.apply(Input::Opened { opening, refused });
    }

    fn begin_batch(&mut self, mut batch: Batch) {
        if let Some(consumers) = &mut self.consumers {
            for (consumer, n) in &batch.credit {
                consumers.change_credit(*consumer, *n);
            }
        }
        let landing = batch.landing();
        if let (false, Some(grant)) = (batch.parcels.is_empty(), self.grant()) {
            let hub = self.face.hub.clone();
            self.job = Some(work::enqueue(hub, grant, batch.parcels, batch.acks, landing));
        } else {
            let acks = flight::settle(self.consumers.as_mut(), &batch.acks);
            self.flights.push_back(Flight::new(Vec::new(), acks, landing));
        }
    }

    /// Adds consumers of the queues that a consumer with wildcards has none of yet.
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

    /// Adds the consumers that serve a client's.
    pub(super) async fn subscribe(
        &mut self,
        wish: &Wish,
        found: Vec<Found>,
    ) -> Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure> {
        let client = self.client();
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
                auto_ack: false,
                name: client.clone(),
                lease: None,
                selector: wish.selector.clone().filter(|_| selects),
            };
            match consumers.add(&subscription, options).await {
                Ok(consumer) => added.push((consumer, subscription)),
                Err(error) => {
                    added.iter().for_each(|(consumer, _)| consumers.remove(*consumer));
                    return Err(error.into());
                }
            }
        }
        Ok(added)
    }
}
