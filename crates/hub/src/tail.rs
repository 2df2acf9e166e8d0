//! The live end of a stream: blocks of recent events, built once and shared by all its readers.
//!
//! A stream with live readers has one task. Woken by the engine's commits, it takes all that is
//! new as one block a round, puts it into the ring and wakes every reader, then pauses in
//! proportion to their number: one reader gets events at once, a thousand share each wake-up.
//! Streams without live readers have no task and no ring.
//!
//! Invariants: the ring covers a contiguous range of offsets up to `end`; its bytes are bounded; a
//! reader that falls out of it goes back to the engine, so a slow one costs nothing here.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::{Block, BlockError, CommitObserver, Engine};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

use crate::metrics::Metrics;
use crate::stream::Lane;
use crate::view::View;
use crate::{Options, join};

/// How long a live stream must be silent before its ring is emptied.
const QUIET: Duration = Duration::from_secs(5);
/// The pause after a round, per live reader: about what sending to one costs.
const PAUSE_PER_READER: Duration = Duration::from_micros(2);
/// Timers are no finer than this; shorter pauses only let others run.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
/// How many views' results a block keeps; further views compute their own.
const MAX_SHARED_VIEWS: usize = 64;

/// What a view makes of a block, computed by whoever comes first.
type Shared = Arc<OnceLock<Result<Option<Arc<Block>>, BlockError>>>;

/// One round's events.
#[derive(Debug)]
pub(crate) struct Round {
    /// The offsets it covers: from here …
    from: Offset,
    /// … to before here.
    pub(crate) next: Offset,
    pub(crate) block: Arc<Block>,
    views: Mutex<Vec<(u128, Shared)>>,
    /// What views' results hold, so that they stay in proportion to the block.
    view_bytes: AtomicUsize,
}

impl Round {
    fn new(from: Offset, next: Offset, block: Arc<Block>) -> Arc<Self> {
        Arc::new(Self {
            from,
            next,
            block,
            views: Mutex::default(),
            view_bytes: AtomicUsize::new(0),
        })
    }

    /// What `view` shows of it, computed once for all readers with the same view, with calls of `step`.
    pub(crate) fn seen_by(
        &self,
        view: &View,
        now: Timestamp,
        step: &mut impl FnMut(),
    ) -> Result<Option<Arc<Block>>, BlockError> {
        if view.is_all() {
            return Ok(Some(self.block.clone()));
        }
        let Some(shared) = view.fingerprint().and_then(|fingerprint| self.shared(fingerprint))
        else {
            return view.apply(&self.block, now, step);
        };
        let result = shared.get_or_init(|| {
            let result = view.apply(&self.block, now, step);
            if let Ok(Some(block)) = &result
                && !Arc::ptr_eq(block, &self.block)
            {
                self.view_bytes.fetch_add(block.plain_len(), Ordering::Relaxed);
            }
            result
        });
        result.clone()
    }

    fn shared(&self, fingerprint: u128) -> Option<Shared> {
        let mut views = self.views.lock();
        if let Some((_, shared)) = views.iter().find(|(known, _)| *known == fingerprint) {
            return Some(shared.clone());
        }
        let holds = self.view_bytes.load(Ordering::Relaxed);
        if views.len() >= MAX_SHARED_VIEWS || holds > 2 * self.block.plain_len() {
            return None;
        }
        let shared = Shared::default();
        views.push((fingerprint, shared.clone()));
        Some(shared)
    }
}

/// What all tails share.
#[derive(Debug)]
pub(crate) struct Tails {
    engine: Arc<dyn Engine>,
    options: Options,
    metrics: Metrics,
    /// The tails that have a task, by stream.
    running: RwLock<HashMap<StreamId, Arc<Lane>>>,
}

impl Tails {
    pub(crate) fn new(engine: Arc<dyn Engine>, options: Options, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { engine, options, metrics, running: RwLock::default() })
    }

    /// A ring holds so many bytes more.
    fn held(&self, bytes: usize) {
        self.metrics.tail_bytes.inc_by(count(bytes));
    }

    /// A ring holds so many bytes less.
    fn released(&self, bytes: usize) {
        self.metrics.tail_bytes.dec_by(count(bytes));
    }

    /// Whether all rings together hold more than they may.
    fn is_over(&self) -> bool {
        self.metrics.tail_bytes.get() > count(self.options.tail_total_bytes)
    }
}

impl CommitObserver for Tails {
    fn committed(&self, streams: &[(StreamId, Offset)]) {
        let running = self.running.read();
        if running.is_empty() {
            return;
        }
        for (stream, _) in streams {
            if let Some(lane) = running.get(stream) {
                lane.tail.wake.notify_one();
            }
        }
    }
}

/// A stream's live end.
#[derive(Debug)]
pub(crate) struct Tail {
    stream: StreamId,
    ring: Mutex<Ring>,
    /// Wakes the task: something was committed, or the last reader left.
    wake: Notify,
    /// Wakes the readers: the ring has grown.
    grown: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Ring {
    rounds: VecDeque<Arc<Round>>,
    bytes: usize,
    /// The ring covers the offsets from here …
    start: Offset,
    /// … to before here.
    end: Offset,
    readers: usize,
    running: bool,
}

/// What a live reader finds at its place.
pub(crate) enum Found {
    /// Events.
    Round(Arc<Round>),
    /// Nothing yet.
    Nothing,
    /// It has fallen out of the ring.
    Behind,
}

impl Tail {
    pub(crate) fn new(stream: StreamId) -> Self {
        Self { stream, ring: Mutex::default(), wake: Notify::new(), grown: watch::Sender::new(()) }
    }

    /// What is at `place`.
    pub(crate) fn find(&self, place: Offset) -> Found {
        let ring = self.ring.lock();
        if place < ring.start || !ring.running {
            return Found::Behind;
        }
        let at = ring.rounds.partition_point(|round| round.next <= place);
        ring.rounds.get(at).map_or(Found::Nothing, |round| Found::Round(round.clone()))
    }
}

/// A live reader's place at the tail. Dropping it leaves the tail.
#[derive(Debug)]
pub(crate) struct Seat {
    lane: Arc<Lane>,
    grown: watch::Receiver<()>,
}

impl Seat {
    /// Joins the tail at `place`, up to which the reader has read; `None` when the ring has
    /// already moved past it, and the reader must read on from the engine.
    pub(crate) fn take(tails: &Arc<Tails>, lane: &Arc<Lane>, place: Offset) -> Option<Self> {
        let mut ring = lane.tail.ring.lock();
        if !ring.running {
            (ring.start, ring.end, ring.running) = (place, place, true);
            // Entered before the first read, so that no commit falls between the two.
            tails.running.write().insert(lane.tail.stream, lane.clone());
            tokio::spawn(run(tails.clone(), lane.clone()));
        } else if place < ring.start {
            return None;
        }
        ring.readers += 1;
        Some(Self { lane: lane.clone(), grown: lane.tail.grown.subscribe() })
    }

    /// What is at `place`; growth after this call wakes [`Seat::grown`].
    pub(crate) fn find(&mut self, place: Offset) -> Found {
        self.grown.mark_unchanged();
        self.lane.tail.find(place)
    }

    /// Resolves when the ring has grown.
    pub(crate) async fn grown(&mut self) {
        // The sender lives as long as the lane, which this seat holds.
        let _ = self.grown.changed().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut ring = self.lane.tail.ring.lock();
        ring.readers = ring.readers.saturating_sub(1);
        if ring.readers == 0 {
            self.lane.tail.wake.notify_one();
        }
    }
}

/// The task of one stream's tail.
async fn run(tails: Arc<Tails>, lane: Arc<Lane>) {
    let tail = &lane.tail;
    while let Some((from, readers)) = tail.turn(&tails) {
        let chunk = tails.options.read_chunk_bytes;
        let read = match tails.engine.read(tail.stream, from, chunk).await {
            Ok(read) => read,
            Err(error) => {
                tracing::debug!(stream = %tail.stream, %error, "the live end cannot be read");
                return tail.stop(&tails);
            }
        };
        if read.next <= from {
            if tokio::time::timeout(QUIET, tail.wake.notified()).await.is_err() {
                tail.empty(&tails);
                tail.wake.notified().await;
            }
            continue;
        }
        match join::join(&read.blocks, from, read.next) {
            Ok(blocks) => tail.push(&tails, blocks, read.next),
            Err(error) => {
                tracing::debug!(stream = %tail.stream, %error, "the live end cannot be read");
                return tail.stop(&tails);
            }
        }
        let pause = PAUSE_PER_READER * u32::try_from(readers).unwrap_or(u32::MAX);
        if pause < SHORTEST_PAUSE {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(pause.min(tails.options.tail_linger_max)).await;
        }
    }
}

impl Tail {
    /// Where the task goes on and for how many readers; `None` when there are none left, and the
    /// tail has stopped.
    fn turn(&self, tails: &Tails) -> Option<(Offset, usize)> {
        let mut ring = self.ring.lock();
        if ring.readers > 0 {
            return Some((ring.end, ring.readers));
        }
        self.halt(&mut ring, tails);
        None
    }

    /// Stops with readers still there: they go back to the engine and meet the fault themselves.
    fn stop(&self, tails: &Tails) {
        self.halt(&mut self.ring.lock(), tails);
        self.grown.send_replace(());
    }

    fn halt(&self, ring: &mut Ring, tails: &Tails) {
        tails.running.write().remove(&self.stream);
        tails.released(ring.bytes);
        ring.rounds = VecDeque::new();
        (ring.bytes, ring.start, ring.running) = (0, ring.end, false);
    }

    /// Empties the ring of a stream that has become quiet.
    fn empty(&self, tails: &Tails) {
        let mut ring = self.ring.lock();
        tails.released(ring.bytes);
        ring.rounds = VecDeque::new();
        (ring.bytes, ring.start) = (0, ring.end);
    }

    /// Adds a round's blocks, which reach up to `next`, and wakes the readers.
    fn push(&self, tails: &Tails, blocks: Vec<Arc<Block>>, next: Offset) {
        let mut ring = self.ring.lock();
        let count = blocks.len();
        for (index, block) in blocks.into_iter().enumerate() {
            let reach = if index + 1 == count { next } else { block.last.next() };
            let bytes = weight(&block);
            let from = std::mem::replace(&mut ring.end, reach);
            ring.rounds.push_back(Round::new(from, reach, block));
            ring.bytes += bytes;
            tails.held(bytes);
            tails.metrics.tail_blocks.inc();
        }
        ring.end = next;
        let max = tails.options.tail_blocks_bytes;
        while ring.rounds.len() > 1 && (ring.bytes > max || tails.is_over()) {
            let Some(old) = ring.rounds.pop_front() else { break };
            let bytes = weight(&old.block);
            ring.bytes = ring.bytes.saturating_sub(bytes);
            tails.released(bytes);
        }
        ring.start = ring.rounds.front().map_or(ring.end, |round| round.from);
        drop(ring);
        self.grown.send_replace(());
    }
}

/// Bytes as the gauge counts them, which is also what bounds them.
fn count(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn weight(block: &Block) -> usize {
    block.plain_len() + block.count as usize * outflow_model::meta::META_BYTES
}
