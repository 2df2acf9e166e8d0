//! Drives one session: bytes in, frames to the session, its work to the hub, frames and bytes out.
//!
//! One task per connection, one timer in it. Several batches are on their way to the disk at once;
//! a question that must be answered before the next frame makes frames wait, but not messages,
//! heart-beats or what is being written. Nothing is read, and no message taken, while too much waits
//! to be written or committed: a slow client or disk slows its own connection only.
//!
//! Invariant: an idle connection holds no buffers.

mod begin;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use outflow_face::{Drain, Phase};
use outflow_hub::destination::{ClaimNews, ClientClaim};
use outflow_hub::subscription::{Browse, ConsumerId, Consumers, Delivered};
use outflow_hub::{CloseReason, Delivery};
use outflow_model::Grant;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::flight::{self, Flight};
use super::link::Link;
use super::wait::{self, Browsed, Io, Moved, READ_BYTES};
use super::work::{Done, Job};
use crate::session::batch::Batch;
use crate::session::heart::{Due, Heart, Promise};
use crate::session::{Face, Input, Outbox, Session, Step, Work};
use crate::wire::{Decoded, Decoder};

/// How many messages are taken from the hub at once.
pub(super) const MESSAGES: usize = 256;
/// How long a closed connection's last bytes may take.
const LINGER: Duration = Duration::from_secs(1);

/// What woke the connection.
enum Event {
    Moved(Moved),
    Landed,
    Done(Done),
    Delivered(Delivered),
    Browsed(Browsed),
    Claim(ClaimNews),
    QueuesMade,
    Timer,
    Stop,
    Cut,
}

/// What waits until it can be begun.
enum Queued {
    Batch(Batch),
    Work(Work),
}

/// See the module.
pub(super) struct Connection<L> {
    link: L,
    face: Arc<Face>,
    drain: Drain,
    session: Session,
    decoder: Decoder,
    input: BytesMut,
    /// The size of the next read.
    chunk: usize,
    /// Whether `input` holds no whole frame.
    starved: bool,
    out: Outbox,
    consumers: Option<Consumers>,
    messages: Option<(ConsumerId, std::vec::IntoIter<Delivery>)>,
    browsers: VecDeque<(ConsumerId, Browse)>,
    next_browser: u32,
    /// Changes with every queue that is made; only where a subscription has wildcards.
    queues_made: Option<watch::Receiver<u64>>,
    flights: VecDeque<Flight>,
    queued: VecDeque<Queued>,
    job: Option<Job>,
    heart: Heart,
    /// When the socket last took bytes, or had none to take.
    took: Instant,
    deadline: Option<Instant>,
    claim: Option<ClientClaim>,
    /// Whether somebody asked if the client still lives, and it has said nothing since.
    asked: bool,
    closing: bool,
}

impl<L: Link> Connection<L> {
    pub(super) fn new(link: L, session: Session, face: Arc<Face>, drain: Drain) -> Self {
        let now = Instant::now();
        Self {
            link,
            decoder: Decoder::new(face.options.frame),
            session,
            drain,
            input: BytesMut::new(),
            chunk: READ_BYTES,
            starved: true,
            out: Outbox::new(L::BY_FRAME),
            consumers: None,
            messages: None,
            browsers: VecDeque::new(),
            next_browser: u32::MAX,
            queues_made: None,
            flights: VecDeque::new(),
            queued: VecDeque::new(),
            job: None,
            heart: Heart::new(Promise::default(), face.options.heart_beat_grace, now),
            took: now,
            deadline: Some(now + face.options.connect_timeout),
            claim: None,
            asked: false,
            closing: false,
            face,
        }
    }

    /// Talks until either side is done.
    pub(super) async fn run(mut self) {
        let ended = self.talk().await;
        self.leave().await;
        if ended {
            // Whoever takes longer has lost nothing that was promised.
            let _ = tokio::time::timeout(LINGER, wait::linger(&mut self.link)).await;
        }
        tracing::debug!(session = self.session.name(), "connection ended");
    }

    /// Talks to the end; false: it was cut.
    async fn talk(&mut self) -> bool {
        let drain = self.drain.clone();
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut stop = std::pin::pin!(drain.reached(Phase::Stopping));
        let mut cut = std::pin::pin!(drain.reached(Phase::Now));
        let mut stopped = false;
        loop {
            self.advance().await;
            if self.is_over() {
                return true;
            }
            self.set_timer(timer.as_mut());
            let event = tokio::select! {
                biased;
                () = cut.as_mut() => Event::Cut,
                () = stop.as_mut(), if !stopped => Event::Stop,
                event = self.next(timer.as_mut()) => event,
            };
            stopped |= matches!(event, Event::Stop);
            if !self.take(event).await {
                return false;
            }
        }
    }

    /// Whether all is said.
    fn is_over(&self) -> bool {
        self.closing
            && self.queued.is_empty()
            && self.job.is_none()
            && self.flights.is_empty()
            && self.out.is_empty()
            && !self.link.has_unsent()
    }

    /// Gives back what the connection held in the hub.
    async fn leave(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.dead();
        }
        self.consumers = None;
        let temporary = self.session.take_temporary();
        if let Some(opened) = self.session.opened() {
            for destination in temporary {
                let dropped = self.face.hub.drop_temporary(&opened.grant, &destination).await;
                if let Err(error) = dropped {
                    tracing::warn!(%error, "a temporary destination was left behind");
                }
            }
        }
    }

    /// Does everything that needs no waiting for others.
    async fn advance(&mut self) {
        loop {
            self.write_messages();
            if self.job.is_some() {
                return;
            }
            if let Some(queued) = self.queued.front() {
                if !self.flights.is_empty() && is_barrier(queued) {
                    return;
                }
                if let Some(queued) = self.queued.pop_front() {
                    self.begin(queued).await;
                }
                continue;
            }
            if self.starved || !self.takes_frames() {
                return;
            }
            self.read_frames();
        }
    }

    /// Whether frames may come: not while one waits for an answer, nor while too much is under way.
    fn takes_frames(&self) -> bool {
        let options = &self.face.options;
        !self.closing
            && self.job.is_none()
            && self.queued.is_empty()
            && self.flights.len() < options.max_in_flight
            && self.out.len() < options.output_bytes
    }

    /// Gives the session the whole frames of the input.
    fn read_frames(&mut self) {
        let mut used = 0;
        let step = loop {
            let rest = self.input.get(used..).unwrap_or_default();
            match self.decoder.decode(rest) {
                Ok(Decoded::Incomplete) => {
                    self.starved = true;
                    break Step::Done;
                }
                Ok(Decoded::Idle(count)) => used += count,
                Ok(Decoded::Frame(frame, len)) => {
                    match self.session.apply(Input::Frame(&frame), &mut self.out) {
                        Step::Done => used += len,
                        again @ Step::Again(_) => break again,
                        then @ Step::Then(_) => {
                            used += len;
                            break then;
                        }
                    }
                }
                Err(error) => {
                    used = self.input.len();
                    break self.session.apply(Input::Fault(error), &mut self.out);
                }
            }
        };
        self.input.advance(used);
        self.follow(step);
    }

    /// Writes messages that were taken from the hub, while there is room.
    fn write_messages(&mut self) {
        let Some((consumer, messages)) = &mut self.messages else { return };
        while self.out.len() < self.face.options.output_bytes {
            let Some(delivery) = messages.next() else {
                self.messages = None;
                return self.follow(Step::Done);
            };
            let input = Input::Delivered { consumer: *consumer, delivery: &delivery };
            let _done = self.session.apply(input, &mut self.out);
        }
    }

    /// Queues what follows from an input, behind what was gathered before.
    fn follow(&mut self, step: Step) {
        if let Some(batch) = self.session.take_batch() {
            self.queued.push_back(Queued::Batch(batch));
        }
        match step {
            Step::Done | Step::Again(Work::Flush) | Step::Then(Work::Flush) => {}
            Step::Then(work) | Step::Again(work) => self.queued.push_back(Queued::Work(work)),
        }
    }

    fn apply(&mut self, input: Input<'_>) {
        let step = self.session.apply(input, &mut self.out);
        self.follow(step);
    }

    fn grant(&self) -> Option<Arc<Grant>> {
        self.session.opened().map(|opened| Arc::clone(&opened.grant))
    }

    fn client(&self) -> Option<String> {
        self.session.opened().and_then(|opened| opened.client.clone())
    }

    /// Takes what happened; false: the connection is at its end.
    async fn take(&mut self, event: Event) -> bool {
        match event {
            Event::Moved(Moved::Read(0)) => {
                // The client may have closed its side only, and wait for receipts; but its id is
                // free for whoever asks.
                if let Some(claim) = &self.claim {
                    claim.dead();
                }
                self.closing = true;
                self.queued.push_back(Queued::Work(Work::Close));
            }
            Event::Moved(Moved::Read(_)) => {
                self.starved = false;
                self.heart.read(Instant::now());
                if let (true, Some(claim)) = (std::mem::take(&mut self.asked), &self.claim) {
                    claim.alive();
                }
                return self.tick();
            }
            Event::Moved(Moved::Wrote) => {
                self.took = Instant::now();
                self.heart.wrote(self.took);
                self.out.shrink();
            }
            Event::Moved(Moved::Broken(error)) => {
                tracing::debug!(session = self.session.name(), %error, "the socket is broken");
                return false;
            }
            Event::Landed => {
                if let Some(flight) = self.flights.pop_front() {
                    let (landing, outcome) = flight.land();
                    self.apply(Input::Landed { landing, outcome });
                }
            }
            Event::Done(done) => {
                self.job = None;
                self.finish(done).await;
            }
            Event::Delivered(Delivered::Events { consumer, events }) => {
                self.messages = Some((consumer, events.into_iter()));
            }
            Event::Delivered(Delivered::Closed { consumer, reason }) => {
                if consumer.is_none() {
                    self.consumers = None;
                }
                self.apply(Input::Closed { consumer, reason });
            }
            Event::Browsed((consumer, delivery)) => {
                if delivery.is_none() {
                    self.browsers.pop_front();
                }
                self.apply(Input::Browsed { consumer, delivery: delivery.as_deref() });
            }
            Event::Claim(ClaimNews::TakenOver) => return false,
            Event::Claim(ClaimNews::Asked) => {
                // A byte that nobody acknowledges ends the connection of a client that is gone.
                self.asked = true;
                if self.out.is_empty() {
                    self.out.beat();
                }
            }
            Event::QueuesMade => {
                let work = self.session.widen();
                self.queued.extend(work.into_iter().map(Queued::Work));
            }
            Event::Timer => return self.tick(),
            Event::Stop => {
                self.apply(Input::Closed { consumer: None, reason: CloseReason::Draining });
            }
            Event::Cut => return false,
        }
        true
    }

    async fn finish(&mut self, done: Done) {
        match done {
            Done::Enqueued { parcels, acks, landing } => {
                let acks = flight::settle(self.consumers.as_mut(), &acks);
                self.flights.push_back(Flight::new(parcels, acks, landing));
            }
            Done::Claimed { opening, claim } => self.opened(opening, Some(claim)),
            Done::Resolved { spelling, streams } => {
                self.apply(Input::Resolved { spelling, streams });
            }
            Done::Found { wish, destinations, found } => {
                let consumers = match found {
                    Ok(found) => self.subscribe(&wish, found).await,
                    Err(failure) => Err(failure),
                };
                self.apply(Input::Subscribed { wish, destinations, consumers });
            }
            Done::Widened { number, wish, found } => self.widen(number, &wish, found).await,
            Done::Deleted { receipt, result } => {
                self.apply(Input::Unsubscribed { receipt, result });
            }
            Done::Committed { transaction, receipt, result } => {
                self.apply(Input::Committed { transaction, receipt, result });
            }
        }
    }

    /// The timer fired; false: the client is gone or of no use.
    fn tick(&mut self) -> bool {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            tracing::info!(session = self.session.name(), "no CONNECT came in time");
            return false;
        }
        if self.is_writing() && self.took + self.face.options.write_stall <= now {
            self.face.metrics.stalled.inc();
            tracing::info!(session = self.session.name(), "the client took no bytes for too long");
            return false;
        }
        match self.heart.due(now) {
            Due::At(_) => {}
            // What was not read cannot be missed.
            Due::Silent if !self.takes_frames() => self.heart.read(now),
            Due::Silent => {
                self.face.metrics.silent.inc();
                tracing::info!(session = self.session.name(), "the client broke its heart-beats");
                return false;
            }
            Due::Beat => {
                // Bytes that wait say more than a beat behind them.
                if self.out.is_empty() {
                    self.out.beat();
                }
                self.heart.wrote(now);
            }
        }
        true
    }

    /// Whether bytes wait for the socket.
    fn is_writing(&self) -> bool {
        !self.out.is_empty() || self.link.has_unsent()
    }

    /// Sets the timer to what is due next, if that is earlier than what it is set to.
    fn set_timer(&mut self, timer: Pin<&mut Sleep>) {
        let now = Instant::now();
        if !self.is_writing() {
            self.took = now;
        }
        let due = match self.heart.due(now) {
            Due::At(at) => at,
            Due::Beat | Due::Silent => now,
        };
        let stall = self.is_writing().then(|| self.took + self.face.options.write_stall);
        let due = [Some(due), self.deadline, stall].into_iter().flatten().min().unwrap_or(due);
        if timer.is_elapsed() || due < timer.deadline() {
            timer.reset(due);
        }
    }

    /// Waits for what happens next.
    async fn next(&mut self, timer: Pin<&mut Sleep>) -> Event {
        let reads = self.takes_frames();
        let delivers = self.out.len() < self.face.options.output_bytes
            && !self.closing
            && self.messages.is_none();
        let most = self.face.options.read_bytes;
        let Self { link, out, input, chunk, consumers, browsers, flights, job, .. } = self;
        let Self { claim, queues_made, .. } = self;
        let io = Io { link, out, input, chunk, most, reads };
        tokio::select! {
            // A client that never stops sending keeps nothing else from happening, its revocation
            // least of all; what else happens ends when the output is full. What a client has sent
            // comes before the time that it should have come at, which reading looks at, too.
            biased;
            () = wait::landed(flights) => Event::Landed,
            done = wait::answered(job) => Event::Done(done),
            news = wait::claim_news(claim.as_ref()) => Event::Claim(news),
            () = wait::queues_made(queues_made) => Event::QueuesMade,
            delivered = wait::delivered(consumers), if delivers => Event::Delivered(delivered),
            browsed = wait::browsed(browsers), if delivers => Event::Browsed(browsed),
            moved = io.next() => Event::Moved(moved),
            () = timer => Event::Timer,
        }
    }
}

/// Whether everything before it has to be answered first: what it leads to is written at once.
const fn is_barrier(queued: &Queued) -> bool {
    match queued {
        Queued::Batch(_)
        | Queued::Work(Work::Resolve { .. } | Work::Widen { .. } | Work::Flush) => false,
        Queued::Work(
            Work::Open(_)
            | Work::Subscribe { .. }
            | Work::Unsubscribe { .. }
            | Work::Commit { .. }
            | Work::Close,
        ) => true,
    }
}
