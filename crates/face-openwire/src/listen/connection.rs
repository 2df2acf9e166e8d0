//! Drives one session: bytes in, commands to the session, its work to the hub, commands and bytes out.
//!
//! One task per connection, one timer in it. Several batches are on their way to the disk at once;
//! a question that must be answered before the next command makes commands wait, but not messages,
//! keep-alives or what is being written. Nothing is read, and no message taken, while too much waits
//! to be written or committed: a slow client or disk slows its own connection only.
//!
//! Invariant: an idle connection holds no buffers.

mod begin;
mod time;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use outflow_face::{Drain, Phase};
use outflow_hub::destination::{ClaimNews, ClientClaim};
use outflow_hub::subscription::{Browse, ConsumerId, Consumers, Delivered};
use outflow_hub::{CloseReason, Delivery};
use outflow_model::Grant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use super::flight::{self, Flight};
use super::socket::Socket;
use super::wait::{self, Browsed, Io, Moved, READ_BYTES};
use super::work::{Done, Job};
use crate::session::batch::Batch;
use crate::session::heart::Heart;
use crate::session::{Advice, Face, Input, News, Outbox, Seat, Session, Step, Work};
use crate::wire::{Command, Decoder, WireFormat};

/// How many messages are taken from the hub at once.
pub(super) const MESSAGES: usize = 256;
/// How long a closed connection's last bytes may take.
const LINGER: Duration = Duration::from_secs(1);
/// The largest frame of who has not logged in yet, in bytes.
const BEFORE_LOGIN: u64 = 64 * 1024;

/// What woke the connection.
enum Event {
    Moved(Moved),
    Landed,
    Done(Done),
    Delivered(Delivered),
    Browsed(Browsed),
    Claim(ClaimNews),
    TakenOver,
    Told(Vec<Advice>),
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
pub(super) struct Connection<S> {
    socket: Socket<S>,
    face: Arc<Face>,
    drain: Drain,
    session: Session,
    decoder: Decoder,
    input: BytesMut,
    /// The size of the next read.
    chunk: usize,
    /// Whether there is no whole command at hand.
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
    seat: Option<Seat>,
    news: Option<News>,
    /// The command that waits for its work.
    again: Option<Command>,
    /// Whether somebody asked if the client still lives, and it has said nothing since.
    asked: bool,
    closing: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    pub(super) fn new(socket: Socket<S>, session: Session, face: Arc<Face>, drain: Drain) -> Self {
        let now = Instant::now();
        let mut decoder = Decoder::new(WireFormat::initial(face.options.max_frame_bytes as u64));
        decoder.bound(BEFORE_LOGIN);
        Self {
            socket,
            decoder,
            session,
            drain,
            input: BytesMut::new(),
            chunk: READ_BYTES,
            starved: true,
            out: Outbox::new(face.options.max_frame_bytes as u64),
            consumers: None,
            messages: None,
            browsers: VecDeque::new(),
            next_browser: u32::MAX,
            queues_made: None,
            flights: VecDeque::new(),
            queued: VecDeque::new(),
            job: None,
            heart: Heart::new(Duration::ZERO, now),
            took: now,
            deadline: Some(now + face.options.connect_timeout),
            claim: None,
            seat: None,
            news: None,
            again: None,
            asked: false,
            closing: false,
            face,
        }
    }

    /// Talks until either side is done.
    pub(super) async fn run(mut self) {
        self.session.greet(&mut self.out);
        let ended = self.talk().await;
        self.leave().await;
        if ended {
            // Whoever takes longer has lost nothing that was promised.
            let _ = tokio::time::timeout(LINGER, wait::linger(&mut self.socket)).await;
        }
        tracing::debug!(session = self.session.number(), "connection ended");
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
            && !self.socket.has_unsent()
    }

    /// Gives back what the connection held in the hub.
    async fn leave(&mut self) {
        if let Some(claim) = self.claim.take() {
            claim.dead();
        }
        self.consumers = None;
        self.drop_temporary().await;
        // Whoever took the id over waits until all is given back.
        self.seat = None;
    }

    async fn drop_temporary(&mut self) {
        let temporary = self.session.take_temporary();
        let Some(opened) = self.session.opened() else { return };
        for destination in temporary {
            let dropped = self.face.hub.drop_temporary(&opened.grant, &destination).await;
            if let Err(error) = dropped {
                tracing::warn!(%error, "a temporary destination was left behind");
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
            if self.starved || !self.takes_commands() {
                return;
            }
            self.read_commands();
        }
    }

    /// Whether commands may come: not while one waits for an answer, nor while too much is under way.
    fn takes_commands(&self) -> bool {
        let options = &self.face.options;
        !self.closing
            && self.job.is_none()
            && self.queued.is_empty()
            && self.flights.len() < options.max_in_flight
            && self.out.len() < options.output_bytes
    }

    /// Gives the session the whole commands of the input.
    fn read_commands(&mut self) {
        let step = loop {
            let command = match self.again.take() {
                Some(command) => command,
                None => match self.decoder.read(&mut self.input) {
                    Ok(Some(command)) => command,
                    Ok(None) => {
                        self.starved = true;
                        break Step::Done;
                    }
                    Err(error) => {
                        // What follows bytes that are no frame cannot be told apart.
                        self.input.clear();
                        break self.session.apply(Input::Fault(error), &mut self.out);
                    }
                },
            };
            match self.session.apply(Input::Command(&command), &mut self.out) {
                // What a few bytes ask for may be much: the rest waits until it is written.
                Step::Done if self.out.len() >= self.face.options.output_bytes => break Step::Done,
                Step::Done => {}
                again @ Step::Again(_) => {
                    self.again = Some(command);
                    break again;
                }
                then @ Step::Then(_) => break then,
            }
        };
        self.follow(step);
        if let Some(news) = self.session.take_news() {
            self.news = Some(news);
        }
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
            // The next frame is read so already.
            Step::Then(Work::Speak { format, inactivity }) => {
                self.decoder.speak(format);
                self.heart = Heart::new(inactivity, Instant::now());
            }
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

    fn client(&self) -> String {
        self.session.opened().map(|opened| opened.client.clone()).unwrap_or_default()
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
                tracing::debug!(session = self.session.number(), %error, "the socket is broken");
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
            Event::Claim(ClaimNews::TakenOver) | Event::TakenOver | Event::Cut => return false,
            Event::Claim(ClaimNews::Asked) => {
                // A byte that nobody acknowledges ends the connection of a client that is gone.
                self.asked = true;
                self.session.ask_for_life(&mut self.out);
            }
            Event::Told(advice) => {
                if advice.is_empty() {
                    self.news = None;
                }
                self.apply(Input::Told(advice));
            }
            Event::QueuesMade => {
                let work = self.session.widen();
                self.queued.extend(work.into_iter().map(Queued::Work));
            }
            Event::Timer => return self.tick(),
            Event::Stop => {
                self.apply(Input::Closed { consumer: None, reason: CloseReason::Draining });
            }
        }
        true
    }

    async fn finish(&mut self, done: Done) {
        match done {
            Done::Enqueued { parcels, acks, landing } => {
                let acks = flight::settle(self.consumers.as_mut(), &acks);
                self.flights.push_back(Flight::new(parcels, acks, landing));
            }
            Done::Claimed { opening, seat, claim } => {
                self.seat = Some(seat);
                self.opened(opening, claim);
            }
            Done::Resolved { destination, streams } => {
                self.apply(Input::Resolved { destination, streams });
            }
            Done::Found { wish, found } => {
                let consumers = match found {
                    Ok(found) => self.subscribe(&wish, found).await,
                    Err(failure) => Err(failure),
                };
                self.apply(Input::Subscribed { wish, consumers });
            }
            Done::Widened { number, wish, found } => self.widen(number, &wish, found).await,
            Done::Answered { asked, result } => self.apply(Input::Answered { asked, result }),
            Done::Made { asked, destination, result } => {
                self.apply(Input::Made { asked, destination, result });
            }
            Done::Committed { transaction, asked, result } => {
                self.apply(Input::Committed { transaction, asked, result });
            }
        }
    }

    /// Waits for what happens next.
    async fn next(&mut self, timer: Pin<&mut Sleep>) -> Event {
        let reads = self.takes_commands();
        let delivers = self.out.len() < self.face.options.output_bytes
            && !self.closing
            && self.messages.is_none();
        let most = self.face.options.read_bytes;
        let Self { socket, out, input, chunk, consumers, browsers, flights, job, .. } = self;
        let Self { claim, seat, news, queues_made, .. } = self;
        let io = Io { socket, out, input, chunk, most, reads };
        tokio::select! {
            // A client that never stops sending keeps nothing else from happening, its revocation
            // least of all; what else happens ends when the output is full. What a client has sent
            // comes before the time that it should have come at, which reading looks at, too.
            biased;
            () = wait::landed(flights) => Event::Landed,
            done = wait::answered(job) => Event::Done(done),
            news = wait::claim_news(claim.as_ref()) => Event::Claim(news),
            () = wait::taken_over(seat.as_ref()) => Event::TakenOver,
            () = wait::queues_made(queues_made) => Event::QueuesMade,
            delivered = wait::delivered(consumers), if delivers => Event::Delivered(delivered),
            browsed = wait::browsed(browsers), if delivers => Event::Browsed(browsed),
            advice = wait::told(news), if delivers => Event::Told(advice),
            moved = io.next() => Event::Moved(moved),
            () = timer => Event::Timer,
        }
    }
}

/// Whether everything before it has to be answered first.
const fn is_barrier(queued: &Queued) -> bool {
    match queued {
        Queued::Batch(_)
        | Queued::Work(
            Work::Resolve { .. }
            | Work::Widen { .. }
            | Work::Prefetch { .. }
            | Work::Speak { .. }
            | Work::Subscribe(_)
            | Work::Make { .. }
            | Work::Flush,
        ) => false,
        Queued::Work(
            Work::Open(_)
            | Work::Remove { .. }
            | Work::Delete { .. }
            | Work::Unmake { .. }
            | Work::Commit { .. }
            | Work::Close,
        ) => true,
    }
}
