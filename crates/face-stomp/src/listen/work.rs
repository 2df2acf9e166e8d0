//! What takes time: the questions that a session has for the hub, as futures that own what they
//! need.

use std::pin::Pin;
use std::sync::Arc;

use outflow_hub::destination::{ConsumeWish, Destination};
use outflow_hub::publish::Publishing;
use outflow_hub::subscription::{Browse, Consumers};
use outflow_hub::{Durability, Hub, Settle, Stream, Subscription};
use outflow_model::{ErrorCode, Grant};

use crate::error::Failure;
use crate::session::Transaction;
use crate::session::batch::{Acks, Landing, Parcel};
use crate::translate::wish::Wish;

/// A question under way: one at a time per connection.
pub(super) type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// An answer.
pub(super) enum Done {
    /// The events have their places; acks come next.
    Enqueued { parcels: Vec<Result<Publishing, Failure>>, acks: Vec<Acks>, landing: Landing },
    /// The streams of a destination.
    Resolved { spelling: String, streams: Result<Vec<Arc<Stream>>, Failure> },
    /// The subscriptions of a destination; consumers come next.
    Found { wish: Box<Wish>, found: Result<Vec<Found>, Failure> },
    /// A durable subscription is deleted.
    Deleted { receipt: Option<String>, result: Result<(), Failure> },
    /// A transaction is over.
    Committed {
        transaction: Box<Transaction>,
        receipt: Option<String>,
        result: Result<(), Failure>,
    },
}

/// A subscription to consume, or to look at.
pub(super) struct Found {
    pub(super) subscription: Arc<Subscription>,
    /// Whether the consumer selects, because the subscription does not.
    pub(super) selects: bool,
    pub(super) browse: Option<Browse>,
}

/// Gives the events of a batch their places, in order.
pub(super) fn enqueue(
    hub: Hub,
    grant: Arc<Grant>,
    parcels: Vec<Parcel>,
    acks: Vec<Acks>,
    landing: Landing,
) -> Job {
    Box::pin(async move {
        let mut placed = Vec::with_capacity(parcels.len());
        for parcel in parcels {
            let durability = if parcel.synced { Durability::Synced } else { Durability::Relaxed };
            let placing = hub.enqueue(&grant, &parcel.stream, parcel.draft, Some(durability));
            placed.push(placing.await.map_err(Failure::from));
        }
        Done::Enqueued { parcels: placed, acks, landing }
    })
}

/// Finds where sends go.
pub(super) fn resolve(
    hub: Hub,
    grant: Arc<Grant>,
    spelling: String,
    destinations: Vec<Destination>,
) -> Job {
    Box::pin(async move {
        let streams = streams(&hub, &grant, &destinations).await;
        Done::Resolved { spelling, streams }
    })
}

async fn streams(
    hub: &Hub,
    grant: &Grant,
    destinations: &[Destination],
) -> Result<Vec<Arc<Stream>>, Failure> {
    let mut streams: Vec<Arc<Stream>> = Vec::new();
    for destination in destinations {
        for stream in hub.send_targets(grant, destination).await? {
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

/// Finds what a SUBSCRIBE consumes, and begins to look where it only looks.
pub(super) fn find(
    hub: Hub,
    grant: Arc<Grant>,
    client: Option<String>,
    wish: Box<Wish>,
    destinations: Vec<Destination>,
) -> Job {
    Box::pin(async move {
        let found = found(&hub, &grant, client, &wish, &destinations).await;
        Done::Found { wish, found }
    })
}

async fn found(
    hub: &Hub,
    grant: &Grant,
    client: Option<String>,
    wish: &Wish,
    destinations: &[Destination],
) -> Result<Vec<Found>, Failure> {
    let durable = wish.durable.clone().and_then(|name| Some((client?, name)));
    let mut all = Vec::new();
    for destination in destinations {
        // A queue's messages are shared, so there the consumer selects; a topic's subscription is
        // the subscriber's own.
        let selects = destination.kind.is_queue();
        let consume = ConsumeWish {
            durable: durable.clone(),
            selector: wish.selector.clone().filter(|_| !selects),
            retroactive: wish.retroactive,
        };
        for subscription in hub.consume_targets(grant, destination, &consume).await? {
            let browse = match wish.browser {
                true => Some(hub.browse(grant, &subscription, wish.selector.clone()).await?),
                false => None,
            };
            all.push(Found { subscription, selects, browse });
        }
    }
    Ok(all)
}

/// Deletes a durable subscription.
pub(super) fn delete(
    hub: Hub,
    grant: Arc<Grant>,
    client: Option<String>,
    name: String,
    receipt: Option<String>,
) -> Job {
    Box::pin(async move {
        let missing = || Failure::new(ErrorCode::NotFound, "No durable subscription matched.");
        let result = match &client {
            None => Err(missing()),
            Some(client) => match hub.delete_durable(&grant, client, &name).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(missing()),
                Err(error) => Err(error.into()),
            },
        };
        Done::Deleted { receipt, result }
    })
}

/// Puts a transaction together: what it sends, then what it acks.
pub(super) fn gather(
    hub: &Hub,
    grant: &Grant,
    consumers: &mut Consumers,
    transaction: &mut Transaction,
) -> Result<outflow_hub::subscription::Transaction, Failure> {
    let mut ready = hub.transaction(grant);
    for (stream, draft) in transaction.sends.drain(..) {
        ready.publish(&stream, draft)?;
    }
    let mut acks = transaction.acks.as_slice();
    while let Some(first) = acks.first() {
        let same = acks.iter().take_while(|ack| ack.consumer == first.consumer).count();
        let (now, later) = acks.split_at(same);
        let answers: Vec<Settle> = now.iter().map(|ack| ack.answer.clone()).collect();
        ready.settle(consumers, first.consumer, &answers)?;
        acks = later;
    }
    Ok(ready)
}

/// Commits what `ready` holds of `transaction`.
pub(super) fn commit(
    ready: Result<outflow_hub::subscription::Transaction, Failure>,
    transaction: Box<Transaction>,
    receipt: Option<String>,
) -> Job {
    Box::pin(async move {
        let result = match ready {
            Ok(ready) => ready.commit().await.map(drop).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        Done::Committed { transaction, receipt, result }
    })
}
