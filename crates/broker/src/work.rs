//! What takes time: the questions that a session has for the hub, as futures that own what they
//! need.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::destination::{
    ClientClaim, ClientIdTaken, ConsumeWish, Destination, DestinationError,
};
use outflow_hub::publish::Publishing;
use outflow_hub::subscription::{Browse, PreparedId, Transaction as Ready};
use outflow_hub::{Durability, Hub, Selector, Stream, Subscription};
use outflow_model::{ErrorCode, Grant};

use crate::batch::{Acks, Landing, Parcel};
use crate::failure::Failure;
use crate::session::{Input, Opening, Session};
use crate::transaction::Transaction;
use crate::wish::Wish;

/// A question under way: one at a time per connection.
pub(crate) type Job<S> = Pin<Box<dyn Future<Output = Done<S>> + Send>>;

/// An answer.
pub(crate) enum Done<S: Session> {
    /// The events have their places; acks come next.
    Enqueued {
        parcels: Vec<Result<Publishing, Failure>>,
        acks: Vec<Acks>,
        landing: Landing<S::Answers>,
    },
    /// The client id of a login is this connection's, or another's.
    Claimed { opening: Box<S::Opening>, claim: Result<ClientClaim, ClientIdTaken> },
    /// The subscriptions of a destination; consumers come next.
    Found { ask: S::Ask, wish: Box<Wish>, found: Result<Vec<Found>, Failure> },
    /// The subscriptions that a destination with wildcards has now.
    Widened { number: u32, wish: Box<Wish>, found: Result<Vec<Found>, Failure> },
    /// What the session is told as it is.
    Told(Input<'static, S>),
}

/// A subscription to consume, or to look at.
pub(crate) struct Found {
    pub(crate) subscription: Arc<Subscription>,
    /// Whether the consumer selects, because the subscription does not.
    pub(crate) selects: bool,
    pub(crate) browse: Option<Browse>,
}

/// Who asks the hub, and for whom.
#[derive(Clone)]
pub(crate) struct Asker {
    pub(crate) hub: Hub,
    pub(crate) grant: Arc<Grant>,
}

/// Takes the client id of a login.
pub(crate) fn claim<S: Session>(
    hub: Hub,
    opening: Box<S::Opening>,
    client: String,
    patience: Duration,
) -> Job<S> {
    Box::pin(async move {
        opening.is_free().await;
        let claim = hub.claim_client(&opening.grant().credential, &client, patience).await;
        Done::Claimed { opening, claim }
    })
}

impl Asker {
    /// Gives the events of a batch their places, in order.
    pub(crate) fn enqueue<S: Session>(
        self,
        parcels: Vec<Parcel>,
        acks: Vec<Acks>,
        landing: Landing<S::Answers>,
    ) -> Job<S> {
        Box::pin(async move {
            let mut placed = Vec::with_capacity(parcels.len());
            for parcel in parcels {
                let Parcel { stream, synced, draft, recurrence } = parcel;
                let durability = if synced { Durability::Synced } else { Durability::Relaxed };
                let stream = match stream.is_gone() {
                    false => stream,
                    // Deleted while the batch was gathered; in a box, as it is rare and large.
                    true => match Box::pin(self.hub.sent_to(&self.grant, &stream)).await {
                        Ok(again) => again,
                        Err(error) => {
                            placed.push(Err(error.into()));
                            continue;
                        }
                    },
                };
                let placing = match recurrence {
                    None => self.hub.enqueue(&self.grant, &stream, draft, Some(durability)).await,
                    Some(recurrence) => {
                        self.hub.schedule(&self.grant, &stream, draft, recurrence).await
                    }
                };
                placed.push(placing.map_err(Failure::from));
            }
            Done::Enqueued { parcels: placed, acks, landing }
        })
    }

    /// Finds where sends go.
    pub(crate) fn resolve<S: Session>(
        self,
        spelling: S::Spelling,
        destinations: Vec<Destination>,
        temporary: Vec<Destination>,
    ) -> Job<S> {
        Box::pin(async move {
            let streams = match self.make_all(&temporary).await {
                Ok(()) => self.streams(&destinations).await,
                Err(failure) => Err(failure),
            };
            Done::Told(Input::Resolved { spelling, streams })
        })
    }

    async fn make_all(&self, temporary: &[Destination]) -> Result<(), Failure> {
        for destination in temporary {
            self.hub.make_temporary(&self.grant, destination).await?;
        }
        Ok(())
    }

    async fn streams(&self, destinations: &[Destination]) -> Result<Vec<Arc<Stream>>, Failure> {
        let mut streams: Vec<Arc<Stream>> = Vec::new();
        for destination in destinations {
            for stream in self.hub.send_targets(&self.grant, destination).await? {
                if !streams.iter().any(|known| known.id == stream.id) {
                    streams.push(stream);
                }
            }
        }
        if streams.is_empty() {
            return Err(Failure::new(ErrorCode::NotFound, "The destination matches nothing"));
        }
        Ok(streams)
    }

    /// Finds what a wish stands for, and begins to look where it only looks.
    pub(crate) fn find<S: Session>(
        self,
        client: Option<String>,
        ask: S::Ask,
        wish: Box<Wish>,
        temporary: Vec<Destination>,
    ) -> Job<S> {
        Box::pin(async move {
            let found = match self.make_all(&temporary).await {
                Ok(()) => self.found(client, &wish).await,
                Err(failure) => Err(failure),
            };
            Done::Found { ask, wish, found }
        })
    }

    /// Finds what a wish with wildcards stands for now, for a subscription that is there.
    pub(crate) fn widen<S: Session>(self, number: u32, wish: Box<Wish>) -> Job<S> {
        Box::pin(async move {
            let found = self.found(None, &wish).await;
            Done::Widened { number, wish, found }
        })
    }

    async fn found(&self, client: Option<String>, wish: &Wish) -> Result<Vec<Found>, Failure> {
        let (hub, grant) = (&self.hub, &self.grant);
        let durable = wish.durable.clone().and_then(|name| Some((client?, name)));
        let consume = |selector: Option<Selector>| ConsumeWish {
            durable: durable.clone(),
            selector,
            retroactive: wish.retroactive,
            no_local: wish.no_local,
        };
        let mut targets = Vec::new();
        if let Some((client, name)) = &durable {
            // One place over all of its topics.
            let consume = consume(wish.selector.clone());
            let target = hub.durable_target(grant, &wish.destinations, &consume).await;
            let target = target.map_err(|error| match error {
                DestinationError::InUse => Failure::durable_in_use(Some(client), name),
                error => error.into(),
            })?;
            targets.push((target, false));
        } else {
            for destination in &wish.destinations {
                // A queue's messages are shared, so there the consumer selects; a topic's
                // subscription is the subscriber's own.
                let selects = destination.kind.is_queue();
                let consume = consume(wish.selector.clone().filter(|_| !selects));
                let found = hub.consume_targets(grant, destination, &consume).await?;
                targets.extend(found.into_iter().map(|one| (one, selects)));
            }
        }
        let mut all = Vec::with_capacity(targets.len());
        for (subscription, selects) in targets {
            let browse = match wish.browser {
                true => Some(hub.browse(grant, &subscription, wish.selector.clone()).await?),
                false => None,
            };
            all.push(Found { subscription, selects, browse });
        }
        Ok(all)
    }

    /// Deletes a durable subscription.
    pub(crate) fn delete<S: Session>(
        self,
        client: Option<String>,
        name: String,
        asked: S::Asked,
    ) -> Job<S> {
        Box::pin(async move {
            let deleted = match &client {
                Some(client) => self.hub.delete_durable(&self.grant, client, &name).await,
                None => Ok(false),
            };
            let result = match deleted {
                Ok(true) => Ok(()),
                Ok(false) => {
                    let message = format!("No durable subscription exists for: {name}");
                    Err(Failure::new(ErrorCode::NotFound, message))
                }
                // ActiveMQ's words.
                Err(DestinationError::InUse) => {
                    Err(Failure::new(ErrorCode::Conflict, "Durable consumer is in use"))
                }
                Err(error) => Err(error.into()),
            };
            Done::Told(Input::Removed { asked, result })
        })
    }

    /// Makes a temporary destination.
    pub(crate) fn make<S: Session>(self, destination: Destination, asked: S::Asked) -> Job<S> {
        Box::pin(async move {
            let result = self.hub.make_temporary(&self.grant, &destination).await;
            let result = result.map_err(Failure::from);
            Done::Told(Input::Made { asked, destination, result })
        })
    }

    /// Removes a temporary destination.
    pub(crate) fn unmake<S: Session>(self, destination: Destination, asked: S::Asked) -> Job<S> {
        Box::pin(async move {
            let result = self.hub.drop_temporary(&self.grant, &destination).await;
            let result = result.map_err(Failure::from);
            Done::Told(Input::Unmade { asked, destination, result })
        })
    }
}

impl Asker {
    /// Ends a transaction that was prepared.
    pub(crate) fn conclude<S: Session>(
        self,
        name: Vec<u8>,
        own: Option<PreparedId>,
        commits: bool,
        asked: S::Asked,
    ) -> Job<S> {
        Box::pin(async move {
            let result = if commits {
                self.hub.commit_prepared(&self.grant, &name).await.map(drop)
            } else {
                self.hub.roll_back_prepared(&self.grant, &name, own).await
            };
            let result = result.map_err(Failure::from);
            Done::Told(Input::Concluded { name, commits, asked, result })
        })
    }
}

/// What is to be stored, once what was deleted since of where it goes is there again.
async fn found_again(ready: Result<Ready, Failure>) -> Result<Ready, Failure> {
    let mut ready = ready?;
    ready.find_again().await?;
    Ok(ready)
}

/// Stores what `ready` holds of `transaction`.
pub(crate) fn prepare<S: Session>(
    ready: Result<Ready, Failure>,
    transaction: Box<Transaction>,
    name: Vec<u8>,
    asked: S::Asked,
) -> Job<S> {
    Box::pin(async move {
        let result = match found_again(ready).await {
            Ok(ready) => ready.prepare(&name).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        Done::Told(Input::Prepared { transaction, name, asked, result })
    })
}

/// Commits what `ready` holds of `transaction`.
pub(crate) fn commit<S: Session>(
    ready: Result<Ready, Failure>,
    transaction: Box<Transaction>,
    asked: S::Asked,
) -> Job<S> {
    Box::pin(async move {
        let result = match found_again(ready).await {
            Ok(ready) => ready.commit().await.map(drop).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        Done::Told(Input::Committed { transaction, asked, result })
    })
}
