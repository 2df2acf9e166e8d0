//! One endpoint as a state machine: what is sent next, and what becomes of it.
//!
//! Driven by `post`, which has the sockets, the hub and the clock; tested against a model
//! without any of them. `lane` holds what has come and the batches that are made of it.
//!
//! Events of one lane are sent in order: nothing of a lane that a batch holds is sent before that
//! batch is settled. By default an endpoint has one lane; with lanes by key each key is one. A batch
//! that failed keeps its events, so that it is the same when it is sent again: while the endpoint waits
//! it holds their offsets only, and takes the events up again when it comes back.
//! A batch that is not full could be cut elsewhere after a crash, so it is noted before it is sent; a full
//! one is the same again because the hub hands out what there is well within the linger.
//!
//! Invariants: events of one lane are settled in order, none is skipped; a batch that is sent
//! again has the same events, but those that retention has taken meanwhile; nothing is sent while
//! the endpoint is paused or disabled; what it holds is bounded by [`Session::credit`].

mod lane;

use std::time::Duration;

use outflow_model::{Offset, Rng, Timestamp};

use crate::health::{Alert, Failing, Health};
use crate::outcome::Outcome;
use crate::schedule::Schedule;
use crate::wire::BatchSize;
use lane::Lanes;
pub use lane::{BatchId, Held};

/// A partial batch is sent when its first event has waited so long (seed 001).
const LINGER: Duration = Duration::from_secs(1);
/// How many events it takes at least, so that small batches do not wait for the hub.
const LEAST_CREDIT: usize = 8;
/// Pauses above this are not worth the memory of what was taken already.
const SHORT: Duration = Duration::from_secs(2);
/// After so many failures a batch of several keys is sent key by key, so that one that is never
/// taken holds up its own key only.
const APART_AFTER: u32 = 3;

/// What an endpoint's settings say of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How many events a request has at most.
    pub size: BatchSize,
    /// How many bytes of lines, but for one event.
    pub max_bytes: usize,
    /// How many requests may be under way; above 1 only with lanes by key.
    pub lanes: usize,
    /// Whether each key is a lane.
    pub by_key: bool,
    /// How many events wait at most behind those of their key, with lanes by key.
    pub max_apart: usize,
    /// When to try again.
    pub schedule: Schedule,
    /// After how long of failure only the endpoint is disabled.
    pub disable_after: Duration,
    /// Whether nothing is sent for now.
    pub is_paused: bool,
}

/// Why nothing is sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disabled {
    /// The endpoint said so (410).
    Gone,
    /// It has failed for as long as is allowed.
    Failing,
}

impl Disabled {
    /// The word for it in what is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// The reason of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Gone, Self::Failing].into_iter().find(|one| one.as_str() == word)
    }
}

/// What happens to an endpoint.
#[derive(Debug)]
pub enum Input<E> {
    /// Events have come, in order.
    Arrived(Vec<E>),
    /// An attempt has ended.
    Ended(BatchId, Outcome),
    /// Time has passed.
    Due,
    /// What was taken has gone back by itself: the consumer is no more.
    Lost,
    /// The place was moved: what is known of batches counts no more.
    Moved,
    /// The settings are others.
    Changed(Rules),
    /// What failed is tried now.
    Retry,
    /// What was disabled begins again.
    Resumed,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<E> {
    /// Take events, from the first that is not settled on.
    Join,
    /// Take none, and give back what was taken.
    Leave,
    /// Send a batch; [`Session::batch`] has it. Where it could be cut elsewhere another time, what
    /// [`Session::note`] says is stored before.
    Send {
        /// Which.
        batch: BatchId,
        /// Whether the note is stored before.
        is_noted: bool,
    },
    /// These events are done.
    Done(Vec<E>),
    /// These will never be taken: they are set aside, with the status of the answer.
    Park(Vec<E>, u16),
    /// Operators hear of this.
    Alert(Alert),
    /// Nothing is sent any more.
    Disable(Disabled),
    /// What [`Session::note`] says is to be stored.
    Store,
}

/// See the module.
#[derive(Debug)]
pub struct Session<E> {
    rules: Rules,
    health: Health,
    disabled: Option<(Disabled, Timestamp)>,
    /// Whether it takes events now.
    is_joined: bool,
    lanes: Lanes<E>,
    /// What is to be done, while it is found out.
    outputs: Vec<Output<E>>,
}

/// What of an endpoint outlasts the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// Since when it fails.
    pub failing: Option<Failing>,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// Why it is disabled, and since when.
    pub disabled: Option<(Disabled, Timestamp)>,
    /// The offsets of the batch that is sent next, where it could be cut elsewhere.
    pub at_hand: Vec<Offset>,
}

impl<E: Held> Session<E> {
    /// An endpoint as it was noted. It does nothing before [`Input::Due`].
    #[must_use]
    pub fn new(rules: Rules, note: Note) -> Self {
        let failures = note.failing.map_or(0, |failing| failing.failures);
        let mut lanes = Lanes::default();
        lanes.hold_off(note.next_attempt, failures);
        if !rules.by_key {
            lanes.recall(note.at_hand);
        }
        let health = Health::new(note.failing);
        let (disabled, outputs) = (note.disabled, Vec::new());
        Self { rules, health, disabled, is_joined: false, lanes, outputs }
    }

    /// What is to be stored.
    #[must_use]
    pub fn note(&self) -> Note {
        // With lanes by key, and one event a batch, there is nothing to be cut elsewhere.
        let is_cut = self.rules.size.is_array() && !self.rules.by_key;
        let at_hand = if is_cut { self.lanes.at_hand().to_vec() } else { Vec::new() };
        let failing = self.health.failing();
        Note { failing, next_attempt: self.next_attempt(), disabled: self.disabled, at_hand }
    }

    /// How many events it takes at once.
    #[must_use]
    pub const fn credit(&self) -> usize {
        let batches = self.rules.size.get() * (self.rules.lanes + 1);
        let batches = if batches > LEAST_CREDIT { batches } else { LEAST_CREDIT };
        if self.rules.by_key { batches + self.rules.max_apart } else { batches }
    }

    /// A batch that is to be sent, and how often it has failed.
    #[must_use]
    pub fn batch(&self, id: BatchId) -> Option<(&[E], u32)> {
        self.lanes.batch(id)
    }

    /// When the next attempt is made, while it waits for one.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.lanes.next_attempt()
    }

    /// When it wants [`Input::Due`], if ever.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let alert = self.health.next_alert(self.rules.disable_after);
        let sends = self.next_attempt().into_iter().chain(self.lingers_until());
        // With no room, what lands is waited for, and not a time.
        let room = if self.is_joined { self.rules.lanes } else { 1 };
        let has_room = self.lanes.flying() < room;
        let sends = sends.filter(|_| has_room).min();
        sends.into_iter().chain(alert).min().filter(|_| self.is_open())
    }

    /// Whether it sends.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.disabled.is_none() && !self.rules.is_paused
    }

    /// The settings.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes in what happened; gives what is to be done, in order.
    pub fn apply(&mut self, input: Input<E>, now: Timestamp, rng: &dyn Rng) -> Vec<Output<E>> {
        match input {
            Input::Arrived(events) => {
                if self.is_joined {
                    self.lanes.arrive(events, now);
                }
            }
            Input::Ended(batch, outcome) => self.end(batch, &outcome, now, rng),
            Input::Due => {}
            Input::Lost => {
                self.is_joined = false;
                self.lanes.let_go();
            }
            Input::Moved => {
                self.leave();
                self.lanes.forget();
                self.outputs.push(Output::Store);
            }
            Input::Changed(rules) => {
                if rules.by_key != self.rules.by_key {
                    // What is held has other lanes now.
                    self.leave();
                    self.lanes.forget();
                }
                let goes_on = self.rules.is_paused && !rules.is_paused;
                self.rules = rules;
                if goes_on {
                    self.begin_anew();
                }
            }
            Input::Retry => self.lanes.hurry(now),
            Input::Resumed => {
                self.disabled = None;
                self.begin_anew();
                self.lanes.hurry(now);
            }
        }
        self.look_at_health(now);
        self.go_on(now);
        std::mem::take(&mut self.outputs)
    }

    /// The time in which nothing was sent is no time of failure.
    fn begin_anew(&mut self) {
        self.health = Health::default();
        self.outputs.push(Output::Store);
    }

    /// An attempt has ended.
    fn end(&mut self, batch: BatchId, outcome: &Outcome, now: Timestamp, rng: &dyn Rng) {
        let is_news = match outcome {
            Outcome::Taken => {
                let done = self.lanes.take(batch);
                self.outputs.extend(done.map(Output::Done));
                self.health.succeed()
            }
            Outcome::Refused { status } => {
                let parked = self.lanes.take(batch);
                self.outputs.extend(parked.map(|events| Output::Park(events, *status)));
                // It did nothing but refuse: that is failing, though nothing waits for it.
                self.health.fail(now) == 1
            }
            Outcome::Gone => {
                self.health.fail(now);
                self.lanes.fail(batch, now);
                self.disable(Disabled::Gone, now);
                true
            }
            Outcome::Again { wish, .. } => {
                let count = self.health.fail(now);
                let Some(failures) = self.lanes.failures(batch) else {
                    // It is one of before the place was moved.
                    self.lanes.take(batch);
                    return;
                };
                let pause = self.rules.schedule.pause(failures + 1, *wish, rng);
                let until = now.plus_millis(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
                self.lanes.fail(batch, until);
                if self.rules.by_key && failures + 1 >= APART_AFTER {
                    self.lanes.part(batch);
                }
                if !self.rules.by_key && pause > SHORT {
                    self.leave();
                }
                count == 1 || pause > SHORT
            }
        };
        if is_news {
            self.outputs.push(Output::Store);
        }
    }

    fn look_at_health(&mut self, now: Timestamp) {
        if !self.is_open() {
            return;
        }
        if let Some(alert) = self.health.alert(now, self.rules.disable_after) {
            self.outputs.push(Output::Alert(alert));
            if alert.disables() {
                self.disable(Disabled::Failing, now);
            }
            self.outputs.push(Output::Store);
        }
    }

    fn disable(&mut self, why: Disabled, now: Timestamp) {
        self.disabled = Some((why, now));
        self.outputs.push(Output::Disable(why));
    }

    fn leave(&mut self) {
        if std::mem::replace(&mut self.is_joined, false) {
            self.outputs.push(Output::Leave);
        }
        self.lanes.let_go();
    }

    /// Sends what can be sent.
    fn go_on(&mut self, now: Timestamp) {
        if !self.is_open() {
            // What is under way may still be taken.
            if self.is_joined && self.lanes.flying() == 0 {
                self.leave();
            }
            return;
        }
        if !self.is_joined {
            let waits = self.next_attempt().is_some_and(|at| at > now);
            if waits || self.lanes.flying() > 0 {
                return;
            }
            self.is_joined = true;
            self.lanes.come();
            self.outputs.push(Output::Join);
        }
        while self.lanes.flying() < self.rules.lanes {
            let next = match self.lanes.next_due(now) {
                Some(batch) => Some((batch, true)),
                None => self.lanes.cut(&self.rules, now, LINGER),
            };
            let Some((batch, is_full)) = next else { break };
            self.outputs.push(Output::Send { batch, is_noted: !is_full && !self.rules.by_key });
        }
    }

    fn lingers_until(&self) -> Option<Timestamp> {
        self.lanes.lingers_until(&self.rules, LINGER)
    }
}

/// The offsets of events.
pub(crate) fn offsets<E: Held>(events: &[E]) -> Vec<Offset> {
    events.iter().map(Held::offset).collect()
}
