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
    in_turn_then(inner, change, |_| std::future::ready(()))
}

/// Runs a change in its turn, and once it was made and its turn is over, what comes `after` it; whoever
/// asked hears of it when both are done. To the end of both even when they go away.
pub(crate) fn in_turn_then<T, F, A>(
    inner: &Arc<Inner>,
    change: impl FnOnce(Arc<Inner>) -> F,
    after: impl FnOnce(Arc<Inner>) -> A,
) -> Change<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CatalogError>> + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let after = after(inner.clone());
    let change = change(inner.clone());
    let inner = inner.clone();
    to_the_end(async move {
        let turn = inner.changes.lock().await;
        let done = change.await;
        drop(turn);
        if done.is_ok() {
            after.await;
        }
        done
    })
}

/// Runs a change in its turn, with what comes `before` and `after` it, both out of its turn and whatever
/// comes of the change: what comes after is given what that gave, if it was made. To the end of all of them
/// even when they go away.
pub(crate) fn in_turn_between<T, F, A>(
    inner: &Arc<Inner>,
    before: impl Future<Output = ()> + Send + 'static,
    change: impl FnOnce(Arc<Inner>) -> F,
    after: impl FnOnce(Arc<Inner>, Option<T>) -> A + Send + 'static,
) -> Change<T>
where
    T: Copy + Send + 'static,
    F: Future<Output = Result<T, CatalogError>> + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let change = change(inner.clone());
    let inner = inner.clone();
    to_the_end(async move {
        before.await;
        let turn = inner.changes.lock().await;
        let done = change.await;
        drop(turn);
        after(inner, done.as_ref().ok().copied()).await;
        done
    })
}

/// Runs it to its end, also when nobody waits for it any more.
fn to_the_end<T, F>(whole: F) -> Change<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, CatalogError>> + Send + 'static,
{
    let (answer, outcome) = oneshot::channel();
    // Boxed, so that the runtime's part of a task is compiled for one kind of change and not for each.
    let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        // Whoever asked may have gone away.
        let _ = answer.send(whole.await);
    });
    tokio::spawn(task);
    Change(outcome)
}
