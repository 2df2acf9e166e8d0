//! Changes of the catalog, one after another.
//!
//! Called by [`Hub`](crate::Hub) for everything that creates, changes or deletes; runs what
//! [`super::change`] and the subscriptions' changes say. A change runs to its end even when its
//! caller goes away, so the catalog in memory is always what is durable.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::CatalogError;
use crate::hub::Inner;

/// A change of the catalog on its way: await it for its outcome. Durable once that is there; it
/// goes on when this is dropped.
///
/// A type of its own and not an `async fn`, so that what changes do is compiled in this crate once
/// and not again in each that calls it.
#[derive(Debug)]
#[must_use = "whether the change was made is known only when it is awaited"]
pub struct Change<T>(oneshot::Receiver<Result<T, CatalogError>>);

impl<T> Future for Change<T> {
    type Output = Result<T, CatalogError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let cut_short = || CatalogError::Unavailable("the change was cut short".into());
        Pin::new(&mut self.0).poll(context).map(|done| done.unwrap_or_else(|_| Err(cut_short())))
    }
}

/// Runs a change in its turn, to its end even when its caller goes away.
pub(crate) fn in_turn<T, F>(inner: &Arc<Inner>, change: impl FnOnce(Arc<Inner>) -> F) -> Change<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CatalogError>> + Send + 'static,
{
    let change = change(inner.clone());
    let inner = inner.clone();
    let (answer, outcome) = oneshot::channel();
    // Boxed, so that the runtime's part of a task is compiled for one kind of change and not for each.
    let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        let _turn = inner.changes.lock().await;
        // Nobody waits any more when the caller went away.
        let _ = answer.send(change.await);
    });
    tokio::spawn(task);
    Change(outcome)
}
