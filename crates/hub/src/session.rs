//! A read session: one reader's pass over a stream.
//!
//! Opened by [`Hub::open_read`](crate::Hub::open_read), driven by a face that calls
//! [`ReadSession::next`] until it is closed. A session is *behind*, reading chunks from the engine,
//! or *live*, taking shared blocks from the stream's tail; it changes over where it has read all
//! there is, and back when it falls out of the tail's ring.
//!
//! Invariants: events come in order, none is left out that the view shows; what is held is at most
//! one chunk, and nothing when idle; a call of `next` that is dropped loses nothing; a filter that costs
//! much holds up no other session and no heartbeat.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use outflow_model::{Filter, Offset, Subset, Timestamp};
use outflow_store::{Block, EngineFuture, Read, ReadError};
use tokio::time::{Instant, Sleep};

use crate::Stream;
use crate::aside::{Look, Seen, Sight};
use crate::drain::Signal;
use crate::hub::Inner;
use crate::limits::Slot;
use crate::tail::{Found, Seat};
use crate::view::View;

/// Where a read begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first event still retained.
    Earliest,
    /// After the last event there is now.
    Latest,
    /// After this offset: exclusive, as clients resume. Older than what is retained: begins at the
    /// earliest and [`Started::trimmed`] says so. At or beyond the end: waits at the end.
    After(Offset),
    /// At the first event taken at or after this time.
    At(Timestamp),
}

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// The stream.
    pub stream: Arc<Stream>,
    /// Where to begin.
    pub start: Start,
    /// Which events.
    pub filter: Arc<Filter>,
    /// Which part of them.
    pub subset: Option<Subset>,
    /// This type only: `Some("COMPLIANCE")` needs [`Action::Compliance`](outflow_model::Action)
    /// instead of `Read`.
    pub only_type: Option<&'static str>,
    /// After how much silence [`ReadSession::next`] yields a heartbeat; at least 10 ms.
    pub heartbeat: Duration,
    /// The client's address, for logs.
    pub peer: String,
    /// Lets one reader more than the integration's limit in: for a client that asks again on a
    /// connection whose former read is about to end.
    pub slack: bool,
}

/// Where a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The first offset it may yield.
    pub from: Offset,
    /// The place asked for was older than what is retained, so events may be missing.
    pub trimmed: bool,
    /// The first offset past damaged events that the session passed over before it began.
    pub damaged: Option<Offset>,
}

/// What a session yields.
#[derive(Debug, Clone)]
pub enum ReadEvent {
    /// Events, in order.
    Batch(Arc<Block>),
    /// Nothing was yielded for the heartbeat interval.
    Heartbeat {
        /// The last offset sent or filtered out.
        considered: Offset,
    },
    /// The session is over; end the connection cleanly. Yielded again on every further call.
    Closed(CloseReason),
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The credential or its integration was revoked.
    Revoked,
    /// The credential has come to its end.
    Expired,
    /// The stream, project or integration was deleted.
    Deleted,
    /// The server is going away; connect again.
    Draining,
    /// Retention overtook this slow reader. Resuming says so explicitly, by [`Started::trimmed`].
    Trimmed,
    /// Stored events are damaged here. The next session that begins here goes on past them and
    /// says so, by [`Started::damaged`].
    Damaged(String),
    /// The storage cannot be read; connect again later. The text is for the log.
    Failed(String),
}

/// How long [`ReadSession::prime`] may take: clients wait for the answer meanwhile.
const PRIMING: Duration = Duration::from_millis(500);

/// Everything a session needs to begin; made by `open`.
pub(crate) struct Opening {
    pub(crate) inner: Arc<Inner>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) view: View,
    pub(crate) started: Started,
    /// The place asked for is "the earliest", whatever that is by the time of the first read.
    pub(crate) from_earliest: bool,
    pub(crate) heartbeat: Duration,
    pub(crate) id: u64,
    pub(crate) signal: Arc<Signal>,
    pub(crate) slot: Option<Slot>,
}

/// A read session. See the module.
pub struct ReadSession {
    inner: Arc<Inner>,
    stream: Arc<Stream>,
    view: Arc<View>,
    started: Started,
    from_earliest: bool,
    id: u64,
    signal: Arc<Signal>,
    /// Blocks read from the engine and not yet looked at.
    queue: VecDeque<Arc<Block>>,
    /// The read under way, kept over calls of `next` that are dropped.
    reading: Option<EngineFuture<'static, Result<Read, ReadError>>>,
    /// The look under way at events that cost much, kept likewise.
    look: Option<Look>,
    /// The place at the tail, when live.
    seat: Option<Seat>,
    /// Where to look next.
    place: Offset,
    /// Where the engine was read up to, and whether that was all there is.
    reached: (Offset, bool),
    /// Whether a block was yielded.
    has_yielded: bool,
    /// What [`ReadSession::prime`] found to yield first.
    held: Option<Arc<Block>>,
    /// Whether the session began where damage was known of.
    primed: bool,
    /// Whether the client was told where the session began.
    is_answered: bool,
    heartbeat: Duration,
    deadline: Instant,
    /// The deadline before the last block was yielded.
    deadline_before: Instant,
    timer: Pin<Box<Sleep>>,
    _slot: Option<Slot>,
}

impl fmt::Debug for ReadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = self.seat.is_some();
        write!(
            f,
            "ReadSession {{ id: {}, stream: {}, place: {}, live: {live} }}",
            self.id, self.stream.id, self.place
        )
    }
}

impl ReadSession {
    pub(crate) fn new(opening: Opening) -> Self {
        let Opening { inner, stream, view, started, from_earliest, heartbeat, id, signal, slot } =
            opening;
        stream.lane.readers.fetch_add(1, Ordering::Relaxed);
        inner.metrics.readers.inc();
        let heartbeat = heartbeat.max(Duration::from_millis(10));
        let deadline = Instant::now() + heartbeat;
        Self {
            inner,
            stream,
            view: Arc::new(view),
            started,
            from_earliest,
            id,
            signal,
            queue: VecDeque::new(),
            reading: None,
            look: None,
            seat: None,
            place: started.from,
            reached: (started.from, false),
            has_yielded: false,
            held: None,
            primed: false,
            is_answered: false,
            heartbeat,
            deadline,
            deadline_before: deadline,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
            _slot: slot,
        }
    }

    /// Waits for events, a heartbeat's silence, or the end. Dropping the future loses nothing.
    pub async fn next(&mut self) -> ReadEvent {
        loop {
            // Filtered-out data must neither hold up the heartbeat nor hog the thread.
            tokio::task::consume_budget().await;
            if let Some(reason) = self.signal.reason() {
                let reason = reason.clone();
                self.let_go();
                return ReadEvent::Closed(reason);
            }
            let now = Instant::now();
            // What is held was counted as considered: no heartbeat may come before it.
            if now >= self.deadline && self.held.is_none() {
                self.deadline = now + self.heartbeat;
                return ReadEvent::Heartbeat { considered: self.considered() };
            }
            let found = match self.held.take() {
                Some(held) => Some(held),
                None => self.find().await,
            };
            if let Some(block) = found {
                self.has_yielded = true;
                self.deadline_before = self.deadline;
                self.deadline = Instant::now() + self.heartbeat;
                self.inner.metrics.events_sent.inc_by(u64::from(block.count));
                self.inner.metrics.bytes_sent.inc_by(block.plain_len() as u64);
                return ReadEvent::Batch(block);
            }
        }
    }

    /// Says that the block yielded last had nothing for the client after all: the silence before it
    /// goes on, and so the next heartbeat comes when it would have without that block.
    pub const fn stay_silent(&mut self) {
        self.deadline = self.deadline_before;
    }

    /// What there is at the place, if the view shows it.
    async fn find(&mut self) -> Option<Arc<Block>> {
        if self.look.is_some() {
            return self.look_on().await;
        }
        match self.queue.pop_front() {
            Some(block) => self.look_at(&block, block.last.next()).await,
            None if self.seat.is_some() => self.follow().await,
            None => self.catch_up().await,
        }
    }

    /// Reads up to the first event to yield, before the client is answered, so that the answer can
    /// say what damage was passed over. Called where damage is known of, as it costs the client the
    /// time of a read.
    pub(crate) async fn prime(&mut self) {
        self.primed = true;
        self.deadline = Instant::now() + PRIMING;
        while self.seat.is_none()
            && self.signal.reason().is_none()
            && Instant::now() < self.deadline
        {
            self.held = self.find().await;
            if self.held.is_some() {
                break;
            }
        }
        self.deadline = Instant::now() + self.heartbeat;
        self.is_answered = true;
    }

    /// Where it began.
    #[must_use]
    pub const fn start(&self) -> Started {
        self.started
    }

    /// The last offset sent or filtered out, never ahead of it: resuming after it loses nothing.
    #[must_use]
    pub const fn considered(&self) -> Offset {
        Offset::new(self.place.get().saturating_sub(1))
    }

    /// Whether it has yielded or filtered out all that was committed when it last looked.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let bounds = self.stream.bounds(&*self.inner.engine);
        let next = bounds.map_or(self.place, |bounds| bounds.next);
        self.place >= next
    }

    /// Its number, unique since the server started: for logs.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// What the view shows of a block, from the session's place on; `next` is where to look next.
    async fn look_at(&mut self, block: &Arc<Block>, next: Offset) -> Option<Arc<Block>> {
        if block.last < self.place {
            self.place = self.place.max(next);
            return None;
        }
        let cut = if block.first < self.place {
            block.tail_from(self.place).map(|cut| cut.map(Arc::new))
        } else {
            Ok(Some(block.clone()))
        };
        match cut {
            Ok(Some(cut)) => self.look(Sight::Block(cut), next).await,
            Ok(None) => self.looked(Ok(None), next, false),
            Err(error) => self.looked(Err(error), next, false),
        }
    }

    /// What the view shows: at once, or when it was looked at aside.
    async fn look(&mut self, sight: Sight, next: Offset) -> Option<Arc<Block>> {
        let now = self.inner.clock.now();
        if sight.is_costly(&self.view) {
            let (turns, project) = (&self.inner.looks, &self.stream.project);
            self.look = Some(Look::new(turns, project, &self.view, sight, next, now));
            return self.look_on().await;
        }
        let seen = sight.seen_by(&self.view, now, &mut || ());
        self.looked(seen, next, matches!(sight, Sight::Round(_)))
    }

    /// Waits for the look under way, while heartbeats go on.
    async fn look_on(&mut self) -> Option<Arc<Block>> {
        let look = self.look.as_mut()?;
        let seen = tokio::select! {
            biased;
            () = self.signal.closed() => return None,
            seen = &mut look.seen => seen,
            () = until(&mut self.timer, self.deadline) => return None,
        };
        let (next, is_live) = (look.next, look.is_live);
        self.look = None;
        self.looked(seen, next, is_live)
    }

    fn looked(&mut self, seen: Seen, next: Offset, is_live: bool) -> Option<Arc<Block>> {
        match seen {
            Ok(seen) => {
                self.place = next;
                seen
            }
            Err(_) if is_live => {
                self.seat = None;
                None
            }
            Err(error) => {
                self.damaged(&error.to_string(), next);
                None
            }
        }
    }

    /// Behind: reads the next chunk, or joins the tail when there is none.
    async fn catch_up(&mut self) -> Option<Arc<Block>> {
        let (reached, is_end) = self.reached;
        if is_end {
            self.place = self.place.max(reached);
            self.reached.1 = false;
            self.seat = Seat::take(&self.inner.tails, &self.stream.lane, self.place);
            // An empty queue keeps its memory otherwise, and this reader may now idle for long.
            self.queue = VecDeque::new();
            return None;
        }
        let reading = self.reading.get_or_insert_with(|| {
            self.inner.metrics.catch_up_reads.inc();
            let (engine, stream) = (self.inner.engine.clone(), self.stream.id);
            let (place, chunk) = (self.place, self.inner.options.read_chunk_bytes);
            Box::pin(async move { engine.read(stream, place, chunk).await })
        });
        let result = tokio::select! {
            biased;
            () = self.signal.closed() => return None,
            result = reading => result,
            () = until(&mut self.timer, self.deadline) => return None,
        };
        self.reading = None;
        match result {
            Ok(read) => {
                if read.blocks.is_empty() {
                    self.place = self.place.max(read.next);
                }
                self.reached = (read.next, read.next >= read.bounds.next);
                self.queue.extend(read.blocks);
            }
            Err(error) => self.failed(error),
        }
        None
    }

    /// Live: takes the next round from the tail, or waits for it.
    async fn follow(&mut self) -> Option<Arc<Block>> {
        let seat = self.seat.as_mut()?;
        match seat.find(self.place) {
            Found::Round(round) => {
                if round.block.first < self.place {
                    // Joined in the middle of a round: this once, a piece of its own.
                    let next = round.next.max(round.block.last.next());
                    return self.look_at(&round.block, next).await;
                }
                let next = round.next;
                self.look(Sight::Round(round), next).await
            }
            Found::Behind => {
                self.seat = None;
                None
            }
            Found::Nothing => {
                tokio::select! {
                    biased;
                    () = self.signal.closed() => {}
                    () = seat.grown() => {}
                    () = until(&mut self.timer, self.deadline) => {}
                }
                None
            }
        }
    }

    fn failed(&mut self, error: ReadError) {
        match error {
            ReadError::Trimmed { start } if self.from_earliest && !self.has_yielded => {
                self.place = self.place.max(start);
            }
            ReadError::Trimmed { .. } => {
                self.inner.metrics.reads_trimmed.inc();
                self.signal.close(CloseReason::Trimmed);
            }
            ReadError::UnknownStream(_) => self.signal.close(CloseReason::Deleted),
            ReadError::Damaged { detail, resume } => self.damaged(&detail, resume),
            ReadError::Io(reason) => self.signal.close(CloseReason::Failed(reason)),
        }
    }

    /// Ends the session at the damage, so that the loss is not silent: the next one that begins
    /// here knows of it, goes on past it and says so. A primed session that finds nothing to yield
    /// for so long that its client had to be answered goes on past it as well, or it would come
    /// here for ever.
    fn damaged(&mut self, detail: &str, resume: Offset) {
        self.inner.metrics.reads_damaged.inc();
        tracing::warn!(stream = %self.stream.id, session = self.id, %detail, %resume, "met damaged events");
        self.stream.lane.damaged.store(true, Ordering::Relaxed);
        if !self.primed || self.has_yielded || resume <= self.place {
            self.signal.close(CloseReason::Damaged(detail.into()));
            return;
        }
        self.place = resume;
        self.reached = (resume, false);
        if !self.is_answered {
            self.started = Started { from: resume, damaged: Some(resume), ..self.started };
        }
    }

    /// Gives back at once what a closed session holds.
    fn let_go(&mut self) {
        self.queue = VecDeque::new();
        (self.held, self.reading, self.seat) = (None, None, None);
        self.look = None;
    }
}

/// Waits until `deadline`. The timer is set anew only when it has gone off too early, so that
/// moving the deadline, which every block does, costs nothing.
async fn until(timer: &mut Pin<Box<Sleep>>, deadline: Instant) {
    loop {
        timer.as_mut().await;
        if Instant::now() >= deadline {
            return;
        }
        timer.as_mut().reset(deadline);
    }
}

impl Drop for ReadSession {
    fn drop(&mut self) {
        self.inner.registry.leave(self.id);
        self.inner.metrics.readers.dec();
        self.stream.lane.readers.fetch_sub(1, Ordering::Relaxed);
    }
}
