//! Places on their way to the disk, and what becomes of them.
//!
//! Made wherever places are written. Whoever asked for the write may go away: [`Orphans`] waits for
//! those that nobody waits for.
//!
//! Invariant: every write's end is taken note of, so that one that failed is made again.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outflow_model::clock::Moment;
use outflow_store::{AppendError, Batch, Commit};
use tokio::sync::mpsc;

use super::Subscription;
use super::queue::{Alarm, Queue};
use super::timetable::after;
use crate::hub::Inner;

/// How many subscriptions' places are written in one batch at the hub's end.
const AT_ONCE: usize = 1_000;
/// After how long places that could not be written are written again.
const RETRY: Duration = Duration::from_secs(1);

/// Which writes of a subscription have not ended: those of the page before, and those of this one.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    number: u64,
    before: usize,
    this: usize,
}

impl Queue {
    /// Takes note that places are written; gives the page.
    pub(crate) fn began(&mut self) -> u64 {
        self.pages.this += 1;
        self.pages.number
    }

    /// Takes note of how a write ended that began on this page. What has failed is written again
    /// after a while, or with the next answer.
    pub(crate) fn landed(&mut self, page: u64, is_written: bool, now: Moment) {
        let pages = &mut self.pages;
        let open = if page == pages.number { &mut pages.this } else { &mut pages.before };
        *open = open.saturating_sub(1);
        if !is_written {
            self.feeds.iter_mut().for_each(|feed| feed.place.doubt());
            if !std::mem::replace(&mut self.write_failed, true) {
                self.alarms.insert(after(now, RETRY), Alarm::Write);
            }
        }
        // Once for this page, and once more when it has no write under way either.
        for _ in 0..2 {
            if self.pages.before == 0 {
                self.pages.number += 1;
                self.pages.before = std::mem::take(&mut self.pages.this);
                self.feeds.iter_mut().for_each(|feed| feed.place.turn_page());
            }
        }
    }
}

/// A write under way. See the module.
pub(crate) struct Writing {
    /// `None`: it has ended.
    commit: Option<Commit>,
    inner: Weak<Inner>,
    orphans: mpsc::UnboundedSender<Self>,
    /// Whose places, and the page of each on which it began.
    parties: Vec<(Arc<Subscription>, u64)>,
}

impl Writing {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        commit: Commit,
        parties: Vec<(Arc<Subscription>, u64)>,
    ) -> Self {
        let orphans = inner.subscriptions.orphans.0.clone();
        Self { commit: Some(commit), inner: Arc::downgrade(inner), orphans, parties }
    }

    fn end(&mut self, result: &Result<(), AppendError>) {
        self.commit = None;
        let parties = std::mem::take(&mut self.parties);
        let Some(inner) = self.inner.upgrade() else { return };
        for (subscription, page) in parties {
            let mut queue = subscription.queue.lock();
            queue.landed(page, result.is_ok(), inner.clock.passed());
            if result.is_err() {
                drop(subscription.finish(&inner, queue));
            }
        }
    }
}

impl Future for Writing {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(commit) = &mut self.commit else { return Poll::Ready(Ok(())) };
        let result = ready!(commit.as_mut().poll(context));
        self.end(&result);
        Poll::Ready(result)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let Some(commit) = self.commit.take() else { return };
        let (inner, orphans) = (self.inner.clone(), self.orphans.clone());
        let parties = std::mem::take(&mut self.parties);
        let rest = Self { commit: Some(commit), inner, orphans: orphans.clone(), parties };
        if let Err(mpsc::error::SendError(mut rest)) = orphans.send(rest) {
            // The hub is gone, and nobody would write it again.
            rest.commit = None;
        }
    }
}

/// Where writes go that nobody waits for.
#[derive(Debug)]
pub(crate) struct Orphans(mpsc::UnboundedSender<Writing>);

impl Orphans {
    /// With what [`wait`] takes them from.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Writing>) {
        let (give, take) = mpsc::unbounded_channel();
        (Self(give), take)
    }
}

/// Waits for the writes that nobody waits for, until the hub is gone: one task for all of them. The
/// engine's commit queue bounds how many there are.
pub(crate) async fn wait(mut orphans: mpsc::UnboundedReceiver<Writing>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            orphan = orphans.recv() => match orphan {
                Some(orphan) => under_way.push(orphan),
                None => break,
            },
            Some(_) = under_way.next(), if !under_way.is_empty() => {}
        }
    }
}

/// See [`Hub::end`](crate::Hub::end).
pub(crate) async fn end(inner: &Arc<Inner>) {
    let all = inner.subscriptions.directory.read().all();
    for some in all.chunks(AT_ONCE) {
        let (mut ops, mut parties) = (Vec::new(), Vec::new());
        for subscription in some.iter().filter(|one| one.is_durable()) {
            let mut queue = subscription.queue.lock();
            // Each of them ends, whatever the others have to write.
            let feeds = queue.feeds.iter_mut();
            let due = feeds.map(|feed| feed.place.end_giving()).filter(|due| *due).count();
            if (due > 0 || queue.lingers) && !queue.on_hold && !queue.closed {
                subscription.write_places(&mut queue, &mut ops);
                parties.push((subscription.clone(), queue.began()));
            }
        }
        if ops.is_empty() {
            continue;
        }
        let commit = inner.engine.submit(Batch { ops, ..Batch::default() });
        if let Err(error) = Writing::new(inner, commit, parties).await {
            tracing::warn!(%error, "how far events were handed out was not written; more of them will be said to have been");
            return;
        }
    }
}
