//! What a connection waits for besides its socket. Each wait can be dropped and begun anew: nothing
//! is lost.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};

use outflow_hub::Delivery;
use outflow_hub::destination::{ClaimNews, ClientClaim};
use outflow_hub::subscription::{Browse, ConsumerId, Consumers, Delivered};
use tokio::sync::watch;

use crate::flight::Flight;
use crate::session::Session;
use crate::work::{Done, Job};

/// How many messages are taken from the hub at once.
const MESSAGES: usize = 256;

/// Waits until the first flight is over.
pub(crate) async fn landed<A>(flights: &mut VecDeque<Flight<A>>) {
    match flights.front_mut() {
        Some(flight) => poll_fn(|cx| flight.poll(cx)).await,
        None => pending().await,
    }
}

/// Waits for the answer to the question under way.
pub(crate) async fn answered<S: Session>(job: &mut Option<Job<S>>) -> Done<S> {
    match job {
        Some(job) => job.as_mut().await,
        None => pending().await,
    }
}

/// Waits until another connection asks for the client id, or has it.
pub(crate) async fn claim_news(claim: Option<&ClientClaim>) -> ClaimNews {
    match claim {
        Some(claim) => claim.news().await,
        None => pending().await,
    }
}

/// Waits until a queue was made.
pub(crate) async fn queues_made(made: &mut Option<watch::Receiver<u64>>) {
    let changed = match made {
        Some(made) => made.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        // Nobody asks; the hub, which tells of them, lives longer than the connection.
        pending::<()>().await;
    }
}

/// Waits for messages.
pub(crate) async fn delivered(consumers: &mut Option<Consumers>) -> Delivered {
    match consumers {
        Some(consumers) => consumers.next(MESSAGES).await,
        None => pending().await,
    }
}

/// A browser with its next message; `None`: it has seen all.
pub(crate) type Browsed = (ConsumerId, Option<Box<Delivery>>);

/// Waits for the next message of the first browser.
pub(crate) async fn browsed(browsers: &mut VecDeque<(ConsumerId, Browse)>) -> Browsed {
    match browsers.front_mut() {
        Some((consumer, browse)) => (*consumer, browse.next().await.map(Box::new)),
        None => pending().await,
    }
}
