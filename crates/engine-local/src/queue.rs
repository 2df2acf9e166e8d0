//! The batches that wait for a commit, in the order of the `submit` calls.
//!
//! Filled by any task, emptied by the commit thread, which takes whatever came while the last
//! sync ran. Bounded by bytes: beyond them a batch is `Throttled` at once.

use std::collections::VecDeque;
use std::future::ready;

use outflow_store::{AppendError, Batch, Commit};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Whose a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A caller's.
    Usual,
    /// The engine's own: it may write the engine's own keys.
    Internal,
    /// The engine's own, after which what was committed is handed to the sealer.
    HandOver,
    /// Nothing: commits have rested, and how far the journal goes is to be noted in the state.
    Mark,
}

/// A batch that waits.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) batch: Batch,
    pub(crate) bytes: usize,
    pub(crate) kind: Kind,
    pub(crate) answer: oneshot::Sender<Result<(), AppendError>>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: VecDeque<Request>,
    bytes: usize,
    /// Why nothing more is taken.
    closed: Option<String>,
    /// Whether the commit thread waits: only then it is woken.
    is_waited_for: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    max_bytes: usize,
}

impl Queue {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { inner: Mutex::default(), filled: Condvar::new(), max_bytes }
    }

    /// Queues a batch. An empty queue takes any.
    pub(crate) fn submit(&self, batch: Batch, kind: Kind) -> Commit {
        let bytes = batch.bytes();
        let (answer, committed) = oneshot::channel();
        let mut inner = self.inner.lock();
        if let Some(reason) = &inner.closed {
            return Box::pin(ready(Err(AppendError::Stopped(reason.clone()))));
        }
        if !inner.requests.is_empty() && inner.bytes + bytes > self.max_bytes {
            return Box::pin(ready(Err(AppendError::Throttled)));
        }
        inner.bytes += bytes;
        inner.requests.push_back(Request { batch, bytes, kind, answer });
        let wake = std::mem::take(&mut inner.is_waited_for);
        drop(inner);
        if wake {
            self.filled.notify_one();
        }
        Box::pin(async move {
            let gone = |_| Err(AppendError::Stopped("the commit thread is gone".into()));
            committed.await.unwrap_or_else(gone)
        })
    }

    /// Moves the next group into `group`, waiting for one. `false`: closed, and nothing is left.
    pub(crate) fn take(
        &self,
        group: &mut Vec<Request>,
        max_batches: usize,
        max_bytes: usize,
    ) -> bool {
        let mut inner = self.inner.lock();
        while inner.requests.is_empty() {
            if inner.closed.is_some() {
                return false;
            }
            inner.is_waited_for = true;
            self.filled.wait(&mut inner);
        }
        let mut bytes = 0;
        while let Some(next) = inner.requests.front() {
            let is_full = group.len() >= max_batches || bytes + next.bytes > max_bytes;
            if is_full && !group.is_empty() {
                break;
            }
            bytes += next.bytes;
            group.extend(inner.requests.pop_front());
        }
        inner.bytes = inner.bytes.saturating_sub(bytes);
        true
    }

    /// Takes nothing more. What is queued is still committed.
    pub(crate) fn close(&self, reason: &str) {
        self.inner.lock().closed.get_or_insert_with(|| reason.into());
        self.filled.notify_all();
    }

    /// Fails everything queued, and everything to come.
    pub(crate) fn fail(&self, reason: &str) {
        self.close(reason);
        let requests = std::mem::take(&mut self.inner.lock().requests);
        for request in requests {
            // Nobody may be waiting any more.
            let _ = request.answer.send(Err(AppendError::Stopped(reason.into())));
        }
    }
}
