//! What takes time: the questions that a session has for the hub, as futures that own what they
//! need.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::destination::{ClientClaim, ClientIdTaken, ConsumeWish, Destination};
use outflow_hub::publish::Publishing;
use outflow_hub::subscription::{Browse, Consumers, Transaction as Ready};
use outflow_hub::{Durability, Hub, Settle, Stream, Subscription};
use outflow_model::{ErrorCode, Grant};

use crate::error::Failure;
use crate::session::batch::{Acks, Landing, Parcel};
use crate::session::{Asked, Opening, Seat, Transaction};
use crate::translate::wish::Wish;
use crate::wire;

/// A question under way: one at a time per connection.
pub(super) type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// An answer.
pub(super) enum Done {
    /// The events have their places; acks come next.
    Enqueued { parcels: Vec<Result<Publishing, Failure>>, acks: Vec<Acks>, landing: Landing },
    /// The ids of a login are this connection's, or another's.
    Claimed { opening: Box<Opening>, seat: Seat, claim: Result<ClientClaim, ClientIdTaken> },
    /// The streams of a destination.
    Resolved { destination: wire::Destination, streams: Result<Vec<Arc<Stream>>, Failure> },
    /// The subscriptions of a destination; consumers come next.
    Found { wish: Box<Wish>, found: Result<Vec<Found>, Failure> },
    /// The subscriptions that a destination with wildcards has now.
    Widened { number: u32, wish: Box<Wish>, found: Result<Vec<Found>, Failure> },
    /// Something with nothing to tell but whether it worked.
    Answered { asked: Asked, result: Result<(), Failure> },
    /// A temporary destination is there.
    Made { asked: Asked, destination: Destination, result: Result<(), Failure> },
    /// A transaction is over.
    Committed { transaction: Box<Transaction>, asked: Asked, result: Result<(), Failure> },
}

/// A subscription to consume, or to look at.
pub(super) struct Found {
    pub(super) subscription: Arc<Subscription>,
    /// Whether the consumer selects, because the subscription does not.
    pub(super) selects: bool,
    pub(super) browse: Option<Browse>,
}

/// Takes the client id of a login, once the connection that had its connection id is gone.
pub(super) fn claim(hub: Hub, opening: Box<Opening>, seat: Seat, patience: Duration) -> Job {
    Box::pin(async move {
        seat.free().await;
        let (credential, client) = (&opening.grant.credential, &opening.client);
        let claim = hub.claim_client(credential, client, patience).await;
        Done::Claimed { opening, seat, claim }
    })
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
    destination: wire::Destination,
    destinations: Vec<Destination>,
) -> Job {
    Box::pin(async move {
        let streams = streams(&hub, &grant, &destinations).await;
        Done::Resolved { destination, streams }
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

/// Finds what a consumer consumes, and begins to look where it only looks.
pub(super) fn find(hub: Hub, grant: Arc<Grant>, client: String, wish: Box<Wish>) -> Job {
    Box::pin(async move {
        let found = found(&hub, &grant, &client, &wish).await;
        Done::Found { wish, found }
    })
}

/// Finds what a destination with wildcards stands for now, for a consumer that is there.
pub(super) fn widen(hub: Hub, grant: Arc<Grant>, number: u32, wish: Box<Wish>) -> Job {
    Box::pin(async move {
        let found = found(&hub, &grant, "", &wish).await;
        Done::Widened { number, wish, found }
    })
}

async fn found(hub: &Hub, grant: &Grant, client: &str, wish: &Wish) -> Result<Vec<Found>, Failure> {
    let durable = wish.durable.clone().map(|name| (client.to_owned(), name));
    let mut all = Vec::new();
    for destination in &wish.destinations {
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
    client: String,
    name: String,
    asked: Asked,
) -> Job {
    Box::pin(async move {
        let result = match hub.delete_durable(&grant, &client, &name).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let message = format!("No durable subscription exists for: {name}");
                Err(Failure::new(ErrorCode::NotFound, message))
            }
            Err(error) => Err(error.into()),
        };
        Done::Answered { asked, result }
    })
}

/// Makes a temporary destination.
pub(super) fn make(hub: Hub, grant: Arc<Grant>, destination: Destination, asked: Asked) -> Job {
    Box::pin(async move {
        let result = hub.make_temporary(&grant, &destination).await.map_err(Failure::from);
        Done::Made { asked, destination, result }
    })
}

/// Removes a temporary destination.
pub(super) fn unmake(hub: Hub, grant: Arc<Grant>, destination: Destination, asked: Asked) -> Job {
    Box::pin(async move {
        let result = hub.drop_temporary(&grant, &destination).await.map_err(Failure::from);
        Done::Answered { asked, result }
    })
}

/// Puts a transaction together: what it sends, then what it acks.
pub(super) fn gather(
    hub: &Hub,
    grant: &Grant,
    consumers: &mut Consumers,
    transaction: &mut Transaction,
) -> Result<Ready, Failure> {
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
    ready: Result<Ready, Failure>,
    transaction: Box<Transaction>,
    asked: Asked,
) -> Job {
    Box::pin(async move {
        let result = match ready {
            Ok(ready) => ready.commit().await.map(drop).map_err(Failure::from),
            Err(failure) => Err(failure),
        };
        Done::Committed { transaction, asked, result }
    })
}
