//! Drives one session: bytes in, commands to the session, its work to the hub, answers and bytes out.
//!
//! One task per connection, one timer in it. Several batches are on their way to the disk at once;
//! a question that must be answered before the next command makes commands wait, but not messages,
//! signs of life or what is being written. Nothing is read, and no message taken, while too much
//! waits to be written or committed: a slow client or disk slows its own connection only.
//!
//! Invariant: an idle connection holds no buffers.

mod begin;
mod time;

use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use outflow_face::{Drain, Phase};
use outflow_hub::destination::{ClaimNews, ClientClaim};
use outflow_hub::subscription::{Browse, ConsumerId, Consumers, Delivered};
use outflow_hub::{CloseReason, Delivery, Hub};
use outflow_model::ErrorCode;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::batch::Batch;
use crate::failure::Failure;
use crate::flight::{self, Flight};
use crate::heart::{Heart, Rhythm};
use crate::limits::Limits;
use crate::link::{self, Io, Link, Moved, READ_BYTES};
use crate::pool::{Pool, Share};
use crate::session::{Input, Opening as _, Outbox as _, Read, Session, Step, Work};
use crate::wait::{self, Browsed};
use crate::work::{Asker, Done, Job};

/// How long a closed connection's last bytes may take.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections of a face are held to.
#[derive(Debug)]
pub struct Terms {
    /// The hub.
    pub hub: Hub,
    /// When connections end.
    pub drain: Drain,
    /// What they may cost.
    pub limits: Limits,
    /// What they may hold together.
    pub pool: Arc<Pool>,
    /// Counts connections cut because nothing came from the client for too long.
    pub silent: Counter,
    /// Counts connections cut because the client took no bytes.
    pub stalled: Counter,
    /// Counts connections ended because the rest of a frame did not come.
    pub unfinished: Counter,
}

/// What woke the connection.
enum Event<S: Session> {
    Moved(Moved),
    Landed,
    Done(Done<S>),
    Delivered(Delivered),
    Browsed(Browsed),
    Claim(ClaimNews),
    News,
    QueuesMade,
    Timer,
    Stop,
    Cut,
}

/// What waits until it can be begun.
enum Queued<S: Session> {
    Batch(Batch<S::Answers>),
    Work(Work<S>),
    /// Add consumers of the queues that were made since, for a subscription with wildcards.
    Widen(u32, Box<crate::wish::Wish>),
}

impl<S: Session> Queued<S> {
    /// The subscription that it adds consumers for.
    const fn widens(&self) -> Option<u32> {
        match self {
            Self::Widen(number, _) => Some(*number),
            Self::Batch(_) | Self::Work(_) => None,
        }
    }
}

/// See the module.
pub struct Connection<L, S: Session> {
    link: L,
    terms: Arc<Terms>,
    session: S,
    input: BytesMut,
    /// What it has of a frame that has not come whole.
    held: Share,
    /// The size of the next read.
    chunk: usize,
    /// Whether there is no whole command at hand.
    starved: bool,
    out: S::Outbox,
    consumers: Option<Consumers>,
    messages: Option<(ConsumerId, std::vec::IntoIter<Delivery>)>,
    browsers: VecDeque<(ConsumerId, Browse)>,
    next_browser: u32,
    /// Changes with every queue that is made; only where a subscription has wildcards.
    queues_made: Option<watch::Receiver<u64>>,
    flights: VecDeque<Flight<S::Answers>>,
    /// The consumers whose last acks may not be on the disk.
    lingering: BTreeSet<ConsumerId>,
    queued: VecDeque<Queued<S>>,
    job: Option<Job<S>>,
    /// Whether the job is a commit whose answer comes before what it makes ready.
    commits: bool,
    heart: Heart,
    /// When the socket last took bytes, or had none to take.
    took: Instant,
    deadline: Option<Instant>,
    /// Until when more of a frame has to come that has begun.
    frame_due: Option<Instant>,
    claim: Option<ClientClaim>,
    /// Whether somebody asked if the client still lives, and it has said nothing since.
    asked: bool,
    closing: bool,
}

impl<L: Link<S::Outbox>, S: Session> Connection<L, S> {
    /// A connection that has said nothing yet.
    pub fn new(link: L, session: S, out: S::Outbox, terms: Arc<Terms>) -> Self {
        let now = Instant::now();
        Self {
            link,
            session,
            input: BytesMut::new(),
            held: terms.pool.share(None),
            chunk: READ_BYTES,
            starved: true,
            out,
            consumers: None,
            messages: None,
            browsers: VecDeque::new(),
            next_browser: u32::MAX,
            queues_made: None,
            flights: VecDeque::new(),
            lingering: BTreeSet::new(),
            queued: VecDeque::new(),
            job: None,
            commits: false,
            heart: Heart::new(Rhythm::default(), now),
            took: now,
            deadline: Some(now + terms.limits.connect_timeout),
            frame_due: None,
            claim: None,
            asked: false,
            closing: false,
            terms,
        }
    }

    /// Talks until either side is done.
    pub async fn run(mut self) {
        self.session.greet(&mut self.out);
        let ended = self.talk().await;
        self.leave().await;
        if ended {
            // Whoever takes longer has lost nothing that was promised.
            let _ = tokio::time::timeout(LINGER, link::linger(&mut self.link)).await;
        }
        tracing::debug!(session = %self.session.name(), "connection ended");
    }

    /// Talks to the end; false: it was cut.
    async fn talk(&mut self) -> bool {
        let terms = Arc::clone(&self.terms);
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut stop = std::pin::pin!(terms.drain.reached(Phase::Stopping));
        let mut cut = std::pin::pin!(terms.drain.reached(Phase::Now));
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
            && !self.is_writing()
    }

    /// The client is gone: nobody is to wait for what it has.
    fn die(&self) {
        if let Some(consumers) = &self.consumers {
            consumers.abandon();
        }
        if let Some(claim) = &self.claim {
            claim.dead();
        }
    }

    /// Gives back what the connection held in the hub.
    async fn leave(&mut self) {
        self.die();
        self.claim = None;
        self.consumers = None;
        let temporary = self.session.take_temporary();
        if let Some(asker) = self.asker() {
            for destination in temporary {
                let dropped = asker.hub.drop_temporary(&asker.grant, &destination).await;
                if let Err(error) = dropped {
                    tracing::warn!(%error, "a temporary destination was left behind");
                }
            }
        }
        self.session.left();
    }

    /// Does everything that needs no waiting for others.
    async fn advance(&mut self) {
        loop {
            self.write_messages();
            if self.job.is_some() {
                return;
            }
            if let Some(queued) = self.queued.front() {
                if is_barrier(queued) {
                    self.catch_up();
                    if !self.flights.is_empty() {
                        return;
                    }
                }
                if let Some(queued) = self.queued.pop_front() {
                    self.begin(queued);
                }
                continue;
            }
            if self.starved || !self.takes_commands() {
                return;
            }
            match self.session.read(&mut self.input, &mut self.out) {
                Read::Starved(step) => {
                    self.starved = true;
                    self.follow(step);
                    self.hold_input();
                }
                Read::More(step) => self.follow(step),
            }
        }
    }

    /// Counts what has come of the next frame among what all connections hold; without room for it the
    /// connection ends. More of it has to come in time.
    fn hold_input(&mut self) {
        if self.closing {
            self.frame_due = None;
            return;
        }
        if !self.held.hold(self.input.len()) {
            let message = "The server holds as much of unfinished frames as it may; try again";
            return self.give_up_frame(&Failure::fatal(ErrorCode::Unavailable, message));
        }
        // A login has a time of its own.
        let is_begun = !self.input.is_empty() && self.deadline.is_none();
        self.frame_due = is_begun.then(|| Instant::now() + self.terms.limits.frame_timeout);
    }

    /// Ends the connection over a frame that did not come whole.
    fn give_up_frame(&mut self, failure: &Failure) {
        self.frame_due = None;
        self.input = BytesMut::new();
        let _less = self.held.hold(0);
        let step = self.session.refuse(failure, &mut self.out);
        self.follow(step);
    }

    /// Whether commands may come: not while one waits for an answer, nor while too much is under way.
    fn takes_commands(&self) -> bool {
        !self.closing
            && self.job.is_none()
            && self.queued.is_empty()
            && self.flights.len() < self.terms.limits.max_in_flight
            && self.out.len() < self.terms.limits.output_bytes
    }

    /// Writes messages that were taken from the hub, while there is room.
    fn write_messages(&mut self) {
        let Some((consumer, messages)) = &mut self.messages else { return };
        while self.out.len() < self.terms.limits.output_bytes {
            let Some(delivery) = messages.next() else {
                self.messages = None;
                return self.follow(Step::Done);
            };
            let input = Input::Delivered { consumer: *consumer, delivery: &delivery };
            let _done = self.session.apply(input, &mut self.out);
        }
    }

    /// Queues what follows from an input, behind what was gathered before.
    fn follow(&mut self, step: Step<S>) {
        if let Some(batch) = self.session.take_batch() {
            self.queued.push_back(Queued::Batch(batch));
        }
        match step {
            Step::Done | Step::Again(Work::Flush) | Step::Then(Work::Flush) => {}
            Step::Then(Work::Keep(rhythm)) => self.heart = Heart::new(rhythm, Instant::now()),
            Step::Then(work) | Step::Again(work) => self.queued.push_back(Queued::Work(work)),
        }
    }

    fn apply(&mut self, input: Input<'_, S>) {
        let step = self.session.apply(input, &mut self.out);
        self.follow(step);
    }

    fn asker(&self) -> Option<Asker> {
        let grant = Arc::clone(self.session.opened()?.grant());
        Some(Asker { hub: self.terms.hub.clone(), grant })
    }

    fn client(&self) -> Option<String> {
        Some(self.session.opened()?.client()?.to_owned())
    }

    /// Takes what happened; false: the connection is at its end.
    async fn take(&mut self, event: Event<S>) -> bool {
        match event {
            Event::Moved(Moved::Read(0)) => {
                // The client may have closed its side only, and wait for answers; but its id is
                // free for whoever asks.
                self.die();
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
                tracing::debug!(session = %self.session.name(), %error, "the socket is broken");
                return false;
            }
            Event::Landed => {
                if let Some(flight) = self.flights.pop_front() {
                    let (landing, outcome) = flight.land();
                    self.apply(Input::Landed { landing, outcome });
                }
            }
            Event::Done(done) => {
                (self.job, self.commits) = (None, false);
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
            Event::Claim(ClaimNews::TakenOver) | Event::Cut => return false,
            Event::Claim(ClaimNews::Asked) => {
                // A byte that nobody acknowledges ends the connection of a client that is gone.
                self.asked = true;
                self.session.ask_for_life(&mut self.out);
            }
            Event::News => match self.session.heard(&mut self.out) {
                Some(step) => self.follow(step),
                None => return false,
            },
            Event::QueuesMade => {
                // A look that has not begun sees all that is made until it does.
                let waiting: BTreeSet<u32> =
                    self.queued.iter().filter_map(Queued::widens).collect();
                let wide = self.session.widen().into_iter();
                let wide = wide.filter(|(number, _)| !waiting.contains(number));
                self.queued.extend(wide.map(|(number, wish)| Queued::Widen(number, wish)));
            }
            Event::Timer => return self.tick(),
            Event::Stop => {
                self.apply(Input::Closed { consumer: None, reason: CloseReason::Draining });
            }
        }
        true
    }

    async fn finish(&mut self, done: Done<S>) {
        match done {
            Done::Enqueued { parcels, acks, landing } => {
                let acks = flight::settle(self.consumers.as_mut(), &acks, true);
                self.flights.push_back(Flight::new(parcels, acks, landing));
            }
            Done::Claimed { opening, claim } => self.opened(opening, Some(claim)),
            Done::Found { ask, wish, found } => {
                let consumers = match found {
                    Ok(found) => self.subscribe(&wish, found).await,
                    Err(failure) => Err(failure),
                };
                self.apply(Input::Subscribed { ask, wish, consumers });
            }
            Done::Widened { number, wish, found } => self.widen(number, &wish, found).await,
            Done::Told(input) => self.apply(input),
        }
    }

    /// Waits for what happens next.
    async fn next(&mut self, timer: Pin<&mut Sleep>) -> Event<S> {
        let reads = self.takes_commands();
        let delivers = self.out.len() < self.terms.limits.output_bytes
            && !self.closing
            && !self.commits
            && self.messages.is_none();
        // Of a client that nobody knows, no more than a login needs is read at once.
        let is_known = self.session.opened().is_some();
        let most = self.terms.limits.read_bytes;
        let most = if is_known { most } else { most.min(READ_BYTES) };
        let Self { link, out, input, chunk, consumers, browsers, flights, job, .. } = self;
        let Self { claim, session, queues_made, .. } = self;
        let io = Io { link, out, input, chunk, most, reads };
        tokio::select! {
            // A client that never stops sending keeps nothing else from happening, its revocation
            // least of all; what else happens ends when the output is full. What a client has sent
            // comes before the time that it should have come at, which reading looks at, too.
            biased;
            () = wait::landed(flights) => Event::Landed,
            done = wait::answered(job) => Event::Done(done),
            news = wait::claim_news(claim.as_ref()) => Event::Claim(news),
            () = session.news(delivers) => Event::News,
            () = wait::queues_made(queues_made) => Event::QueuesMade,
            delivered = wait::delivered(consumers), if delivers => Event::Delivered(delivered),
            browsed = wait::browsed(browsers), if delivers => Event::Browsed(browsed),
            moved = io.next() => Event::Moved(moved),
            () = timer => Event::Timer,
        }
    }
}

/// Whether everything before it has to be answered first.
const fn is_barrier<S: Session>(queued: &Queued<S>) -> bool {
    match queued {
        Queued::Batch(_) | Queued::Widen(..) => false,
        // An answer in order is written at once, so all before it must have been.
        Queued::Work(Work::Subscribe { .. }) => S::IN_ORDER,
        Queued::Work(
            Work::Resolve { .. }
            | Work::Prefetch { .. }
            | Work::Keep(_)
            | Work::Make { .. }
            | Work::Flush,
        ) => false,
        Queued::Work(
            Work::Open(_)
            | Work::Remove { .. }
            | Work::Unmake { .. }
            | Work::Commit { .. }
            | Work::Prepare { .. }
            | Work::Conclude { .. }
            | Work::Close,
        ) => true,
    }
}
