//! Begins the session's work at the hub: what needs an answer becomes the connection's one job, what
//! only has to become durable goes on its way.
//!
//! Called by [`super`] with what the session asked for, in its order.

use super::super::flight;
use super::super::flight::Flight;
use super::super::link::Link;
use super::super::work;
use super::super::work::Found;
use super::Connection;
use super::Queued;
use crate::error::Failure;
use crate::session::Input;
use crate::session::Opening;
use crate::session::Work;
use crate::session::batch::Batch;
use crate::session::heart::Heart;
use crate::translate::wish::AckMode;
use crate::translate::wish::Wish;
use outflow_hub::Subscription;
use outflow_hub::destination::{ClientClaim, ClientIdTaken};
use outflow_hub::subscription::ConsumerId;
use outflow_hub::subscription::ConsumerOptions;
use outflow_hub::subscription::SettleError;
use outflow_model::ErrorCode;
use std::sync::Arc;
use tokio::time::Instant;

impl<L: Link> Connection<L> {
    /// Begins what was queued.
    pub(super) async fn begin(&mut self, queued: Queued) {
        let hub = self.face.hub.clone();
        let work = match queued {
            Queued::Batch(batch) => return self.begin_batch(batch),
            Queued::Work(Work::Open(opening)) => return self.open(opening),
            Queued::Work(work) => work,
        };
        // Before CONNECT there is no other work but the end.
        let Some(grant) = self.grant() else {
            self.closing = true;
            return;
        };
        match work {
            Work::Resolve { spelling, destinations } => {
                let session = self.session.name().to_owned();
                self.job = Some(work::resolve(hub, grant, session, spelling, destinations));
            }
            Work::Subscribe { wish, destinations } => {
                if self.queues_made.is_none() && wish.grows_with(&destinations).next().is_some() {
                    // Before they are looked up, so that none is made unseen.
                    self.queues_made = hub.queues_made(&grant);
                }
                let (session, client) = (self.session.name().to_owned(), self.client());
                self.job = Some(work::find(hub, grant, session, client, wish, destinations));
            }
            Work::Widen { number, wish, destinations } => {
                self.job = Some(work::widen(hub, grant, number, wish, destinations));
            }
            Work::Unsubscribe { consumers, durable, receipt } => {
                for consumer in consumers {
                    self.remove(consumer);
                }
                match durable {
                    None => self.apply(Input::Unsubscribed { receipt, result: Ok(()) }),
                    Some(name) => {
                        let client = self.client();
                        self.job = Some(work::delete(hub, grant, client, name, receipt));
                    }
                }
            }
            Work::Commit { mut transaction, receipt } => {
                let ready = match &mut self.consumers {
                    Some(consumers) => work::gather(&hub, &grant, consumers, &mut transaction),
                    None => Err(SettleError::NotFound.into()),
                };
                self.job = Some(work::commit(ready, transaction, receipt));
            }
            Work::Close => {
                self.closing = true;
                // What was not acked goes back at once, not when the client closes the socket.
                self.consumers = None;
                self.messages = None;
                self.browsers.clear();
                self.claim = None;
            }
            Work::Open(_) | Work::Flush => {}
        }
    }

    fn remove(&mut self, consumer: ConsumerId) {
        if self.messages.as_ref().is_some_and(|(of, _)| *of == consumer) {
            self.messages = None;
        }
        self.browsers.retain(|(of, _)| *of != consumer);
        if let Some(consumers) = &mut self.consumers {
            consumers.remove(consumer);
        }
    }

    /// The login was right: takes the client id, then speaks as agreed.
    fn open(&mut self, opening: Box<Opening>) {
        let hub = self.face.hub.clone();
        match opening.client.clone() {
            Some(client) => {
                let patience = self.face.options.client_id_wait;
                self.job = Some(work::claim(hub, opening, client, patience));
            }
            None => self.opened(opening, None),
        }
    }

    /// Speaks as agreed, unless the client id is another's.
    pub(super) fn opened(
        &mut self,
        opening: Box<Opening>,
        claim: Option<Result<ClientClaim, ClientIdTaken>>,
    ) {
        let refused = match claim {
            Some(Err(taken)) => {
                let client = opening.client.as_deref().unwrap_or_default();
                let message = format!("Client: {client} already connected: {taken}");
                Some(Failure::fatal(ErrorCode::Conflict, message))
            }
            Some(Ok(claim)) => {
                self.claim = Some(claim);
                None
            }
            None => None,
        };
        if refused.is_none() {
            self.decoder.speak(opening.version);
            let grace = self.face.options.heart_beat_grace;
            self.heart = Heart::new(opening.promise, grace, Instant::now());
            self.deadline = None;
            self.consumers = Some(self.face.hub.consumers(&opening.grant));
        }
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

    /// Adds the consumers that serve a SUBSCRIBE.
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
                auto_ack: wish.mode == AckMode::Auto,
                name: client.clone().unwrap_or_else(|| self.session.name().to_owned()),
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
