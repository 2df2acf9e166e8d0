//! The two threads of an engine: `outflow-commit` writes the journal, `outflow-keep` seals,
//! trims, sweeps and rewrites. They hold nothing of their own that a restart would miss.
//!
//! The keeper never waits for the committer, because the committer may wait for the keeper to
//! free a journal file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outflow_store::{AppendError, Batch, Durability};

use crate::committer::{Committer, Room};
use crate::queue::{Kind, Queue, Request};
use crate::shared::Shared;
use crate::{compaction, log, retention, sealer};

/// How long the committer waits before it asks again whether there is room, in milliseconds.
const ROOM_MS: u64 = 100;
/// How long the keeper rests at most, in milliseconds.
const REST_MS: u64 = 1000;
/// After how many bytes the keeper is slowed down.
const PACE_BYTES: u64 = 1 << 20;

/// Fails what is queued if its thread dies.
struct Guard {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = self.shared.health.stop("a thread of the engine died");
            self.queue.fail(&reason);
        }
    }
}

/// The commit thread: ends when the queue is closed and empty, or the engine has stopped.
pub(crate) fn commit(shared: &Arc<Shared>, queue: &Arc<Queue>, mut committer: Committer) {
    let guard = Guard { shared: shared.clone(), queue: queue.clone() };
    let options = &shared.options;
    let max_bytes = options.group_bytes.min(options.max_batch_bytes());
    let mut group = Vec::new();
    let mut waiting = Vec::new();
    while queue.take(&mut group, options.group_batches, max_bytes) {
        commit_group(shared, &mut committer, &mut group, &mut waiting);
        if let Some(reason) = shared.health.stopped() {
            queue.fail(&reason);
            break;
        }
    }
    if let Err(error) = log::close(shared, &committer) {
        shared.poison("closing", &error);
    }
    drop(guard);
}

type Answer = tokio::sync::oneshot::Sender<Result<(), AppendError>>;

fn commit_group(
    shared: &Shared,
    committer: &mut Committer,
    group: &mut Vec<Request>,
    waiting: &mut Vec<Answer>,
) {
    if group.iter().all(|request| request.kind == Kind::Mark) {
        let marked = committer.mark();
        for Request { answer, .. } in group.drain(..) {
            // Nobody may be waiting any more.
            let _ = answer.send(marked.clone());
        }
        return;
    }
    let max = shared.options.max_batch_bytes();
    // What is larger than a journal file is refused when it is staged.
    let bytes = group.iter().map(|request| request.bytes).filter(|&bytes| bytes <= max).sum();
    let refused = loop {
        match committer.prepare(bytes) {
            Ok(Room::Yes) => break None,
            Ok(Room::Later) => {
                let limit = shared.options.pending_generations;
                shared.pending.wait(ROOM_MS, |waiting| waiting < limit);
            }
            Ok(Room::Full) => break Some(AppendError::Full),
            Err(error) => break Some(error),
        }
    };
    let hands_over = group.iter().any(|request| request.kind == Kind::HandOver);
    for Request { batch, kind, answer, .. } in group.drain(..) {
        let is_relaxed = batch.durability == Durability::Relaxed;
        let is_internal = kind != Kind::Usual;
        let staged = refused.clone().map_or_else(|| committer.stage(batch, is_internal), Err);
        match staged {
            Ok(()) if !is_relaxed => waiting.push(answer),
            // Nobody may be waiting any more, here and below.
            staged => drop(answer.send(staged)),
        }
    }
    let committed = if refused.is_none() { committer.commit() } else { Ok(()) };
    if hands_over && committed.is_ok() {
        committer.hand_over();
    }
    for answer in waiting.drain(..) {
        let _ = answer.send(committed.clone());
    }
}

/// Lets publishers and readers go first where processors are scarce: compressing sealed blocks can
/// wait, and the bound on waiting generations holds publishers back before it waits for ever.
fn yield_to_others() {
    const NICE: i32 = 10;
    // On Linux the priority is the thread's own. Without the right to change it all goes on as is.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
}

/// The keeper's thread: ends when `ended` is set and it was woken.
pub(crate) fn keep(shared: &Arc<Shared>, queue: &Arc<Queue>, ended: &AtomicBool) {
    yield_to_others();
    let guard = Guard { shared: shared.clone(), queue: queue.clone() };
    // Not at once: what has just been opened is first served as it was.
    let mut retained_at = shared.parts.clock.now().millis();
    let mut marks = Marks::default();
    while !ended.load(Ordering::Acquire) && shared.health.stopped().is_none() {
        let keeping = shared.keeping.lock();
        // A failure has stopped the engine: the loop ends.
        let Ok(sealed) = sealer::step(shared, &mut pace(shared, ended)) else { break };
        shared.make_next();
        let now = shared.parts.clock.now().millis();
        let interval = shared.options.retention_interval_ms as i64;
        // A clock that went back must not stop retention.
        if (now - retained_at).abs() >= interval {
            retained_at = now;
            if retain(shared, queue).is_err() {
                break;
            }
        }
        let rewritten = compaction::step(shared, &mut pace(shared, ended));
        drop(keeping);
        if matches!(rewritten, Ok(true)) || sealed {
            continue;
        }
        if marks.is_due(shared.committed.load(Ordering::Relaxed)) {
            // Not waited for: what fails stops the engine.
            drop(queue.submit(Batch::default(), Kind::Mark));
        }
        let rest = REST_MS.min(shared.options.retention_interval_ms);
        shared.pending.wait(rest, |waiting| waiting > 0 && !shared.health.is_full());
        if shared.health.is_full() {
            if shared.pending.is_spare_spent() {
                shared.keep_spare();
            }
            shared.check_space();
        }
    }
    drop(guard);
}

/// When to note how far the journal goes: once after commits have rested.
#[derive(Debug, Default)]
struct Marks {
    seen: u64,
    marked: u64,
}

impl Marks {
    /// Whether nothing was committed since the last call, and that is not noted yet.
    fn is_due(&mut self, committed: u64) -> bool {
        let rests = std::mem::replace(&mut self.seen, committed) == committed;
        rests && std::mem::replace(&mut self.marked, committed) != committed
    }
}

fn retain(shared: &Shared, queue: &Queue) -> std::io::Result<()> {
    shared.check_space();
    let now = shared.parts.clock.now();
    if retention::is_overdue(shared, now) {
        // Not waited for: it is sealed when it is there.
        drop(queue.submit(Batch::default(), Kind::HandOver));
    }
    for ops in retention::plan(shared, now).chunks(retention::OPS) {
        let batch = Batch { ops: ops.to_vec(), ..Batch::default() };
        // Not waited for: what is refused, or not there yet, is planned again the next time.
        drop(queue.submit(batch, Kind::Internal));
    }
    retention::sweep(shared)
}

/// Slows the keeper down to the rate chosen, unless more waits to be sealed.
fn pace<'a>(shared: &'a Shared, ended: &'a AtomicBool) -> impl FnMut(u64) + 'a {
    let mut written = 0;
    move |bytes| {
        written += bytes;
        let rate = shared.options.seal_bytes_per_second;
        if written < PACE_BYTES || rate == 0 || ended.load(Ordering::Acquire) {
            return;
        }
        shared.pending.wait(written * 1000 / rate, |waiting| waiting > 1);
        written = 0;
    }
}
