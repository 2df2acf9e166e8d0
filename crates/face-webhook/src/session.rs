//! One endpoint as a state machine: what is sent next, and what becomes of it.
//!
//! Driven by `post`, which has the sockets, the hub and the clock; tested against a model
//! without any of them. `lane` holds what has come and the batches that are made of it, `batch` is one
//! of these and `batches` all of them, `behind` those that stand behind what comes again, `strays` what was
//! given back while it was under way; `ending` is what becomes of what was sent, `entitled` of what may be sent no
//! more, `stuck` what operators hear of keys that are never taken; `rules` are the settings, `step` what happens and what is to be done, `noted` what outlasts the server.
//!
//! Events of one lane are sent in order: nothing of a lane that a batch holds is sent before that
//! batch is settled. By default an endpoint has one lane; with lanes by key each key is one. A batch
//! that failed keeps its events, so that it is the same when it is sent again: while the endpoint waits
//! it holds their offsets only, and takes the events up again when it comes back.
//! A batch that is not full could be cut elsewhere after a crash, so it is noted before it is sent; a full
//! one is the same again because the hub hands out what there is well within the linger; where it takes longer,
//! nothing less is cut first. Settings that change leave it as it is, and it is noted then.
//!
//! Invariants: events of one lane are settled in order, none is skipped; a batch that is sent
//! again has the same events, but those that retention has taken meanwhile; nothing is sent while
//! the endpoint is paused or disabled; what it holds is bounded, in events and in bytes, by
//! [`Session::credit`].

mod batch;
mod batches;
mod behind;
mod ending;
mod entitled;
mod lane;
mod noted;
mod queue;
mod rules;
mod step;
mod strays;
mod stuck;

use std::time::Duration;

use outflow_model::{Offset, Rng, Timestamp};

use crate::health::Health;
use crate::outcome::Outcome;
pub use batch::{BatchId, Sending, UnderWay};
pub use lane::Held;
use lane::Lanes;
pub use noted::Note;
pub use rules::{Disabled, Rules};
pub use step::{Input, Output};
pub use stuck::Stuck;

/// A partial batch is sent when its first event has waited so long: less than the second that it may take
/// (seed 001), so that it is there by then.
const LINGER: Duration = Duration::from_millis(950);
/// How many events it takes at least, so that small batches do not wait for the hub.
const LEAST_CREDIT: usize = 8;
/// What is missing of a batch, and not shown to be gone by what comes after it, is waited for so long once the
/// hub looks for nothing more: a batch without it is another message.
const PATIENCE: Duration = Duration::from_secs(5);
/// A batch of which nothing comes, though there is room for it, is no more after this: what it was of was
/// hidden, or retention has taken it. Long, as what is only late would be another message.
const ABSENCE: Duration = Duration::from_secs(30);
/// Pauses above this are not worth the memory of what was taken already.
const SHORT: Duration = Duration::from_secs(2);
/// For how long an endpoint takes nothing when there is no room for it; up to twice that, so that those
/// that went together do not come back together.
const AWAY: Duration = Duration::from_secs(5);
/// After so many failures a batch of several keys is sent key by key, so that one that is never
/// taken holds up its own key only. One with which the endpoint says that it came to grief is so at once;
/// one that found nobody to take it stays one message while that may be over soon.
const APART_AFTER: u32 = 3;

/// See the module.
#[derive(Debug)]
pub struct Session<E> {
    rules: Rules,
    health: Health,
    disabled: Option<(Disabled, Timestamp)>,
    /// Whether it takes events now.
    is_joined: bool,
    /// Whether it takes none before its next attempt, though others of its lanes may have something to
    /// send: there was no room for that.
    is_resting: bool,
    lanes: Lanes<E>,
    /// Until when it takes nothing, as there was no room.
    away: Option<Timestamp>,
    /// Since when it has nothing to send.
    idle: Option<Timestamp>,
    /// How many are moving its place just now: meanwhile it takes nothing.
    moving: u32,
    /// When it last failed.
    tried: Option<Timestamp>,
    /// What is to be done, while it is found out.
    outputs: Vec<Output<E>>,
}

impl<E: Held> Session<E> {
    /// An endpoint as it was noted. It does nothing before [`Input::Due`].
    #[must_use]
    pub fn new(rules: Rules, note: Note) -> Self {
        let failures = note.failing.map_or(0, |failing| failing.failures);
        let mut lanes = Lanes::default();
        if rules.by_key {
            // It is not known which of them has failed: none waits for what was noted, which is over.
            lanes.hold_off(note.next_attempt.map(|_| note.quiet.unwrap_or_default()), 0);
        } else {
            lanes.hold_off(note.next_attempt, failures);
            lanes.recall(note.at_hand, note.size);
            lanes.recall_behind(note.behind, failures);
            lanes.be_unsure();
        }
        let health = Health::new(note.failing);
        let waits = note.next_attempt.is_some();
        Self {
            rules,
            health,
            disabled: note.disabled,
            is_joined: false,
            is_resting: false,
            lanes,
            away: None,
            idle: note.quiet.filter(|_| !waits),
            tried: note.quiet.filter(|_| waits),
            moving: 0,
            outputs: Vec::new(),
        }
    }

    /// What is to be stored.
    #[must_use]
    pub fn note(&self) -> Note {
        // With lanes by key nothing of them is noted.
        let at_hand = self.lanes.at_hand().filter(|_| !self.rules.by_key);
        let size = at_hand.map(|(_, size)| size);
        let at_hand = at_hand.map(|(offsets, _)| offsets.to_vec()).unwrap_or_default();
        let failing = self.health.failing();
        let (next_attempt, disabled) = (self.next_attempt(), self.disabled);
        let quiet = if next_attempt.is_some() { self.tried } else { self.idle };
        let quiet = quiet.filter(|_| failing.is_some());
        let behind = if self.rules.by_key { Vec::new() } else { self.lanes.behind() };
        Note { failing, next_attempt, quiet, disabled, at_hand, size, behind }
    }

    /// How many events it takes at once: no more than it has while it has too many bytes.
    #[must_use]
    pub fn credit(&self) -> usize {
        if self.away.is_some() || self.lanes.bytes() >= self.rules.max_held_bytes {
            return self.lanes.count();
        }
        let batches = self.rules.size.get() * (self.rules.lanes + 1);
        let apart = if self.rules.by_key { self.rules.max_apart } else { 0 };
        // What is at hand may be of larger batches than there are now.
        (batches.max(LEAST_CREDIT) + apart).max(self.lanes.at_hand_count())
    }

    /// About how many bytes of memory the events that it has taken cost.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.lanes.bytes()
    }

    /// A batch that is to be sent; `None`: it is known no more, or its events were given back.
    #[must_use]
    pub fn batch(&self, id: BatchId) -> Option<Sending<'_, E>> {
        self.lanes.batch(id)
    }

    /// What a request has that is under way, also where its batch is known no more.
    #[must_use]
    pub fn under_way(&self, id: BatchId) -> Option<UnderWay<'_>> {
        self.lanes.under_way(id)
    }

    /// When the next attempt is made, while it waits for one.
    #[must_use]
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.lanes.next_attempt()
    }

    /// When it wants [`Input::Due`], if ever.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        if !self.is_open() || self.moving > 0 {
            return None;
        }
        let alert = self.health.next_alert(self.rules.disable_after);
        let alert = alert.filter(|_| self.lanes.has_failed()).into_iter().chain(self.next_stuck());
        let sends = match self.away {
            // What lands is waited for, and not a time.
            Some(_) if self.is_joined => None,
            Some(until) => Some(until),
            None => self.next_send(),
        };
        sends.into_iter().chain(alert).min()
    }

    /// When there is something to be sent, or to be given up.
    fn next_send(&self) -> Option<Timestamp> {
        let lingers = self.lanes.lingers_until(&self.rules, LINGER);
        let misses = self.lanes.misses_until(PATIENCE);
        // With no room, what lands is waited for, and not a time.
        let room = if self.is_joined { self.rules.lanes } else { 1 };
        let has_room = self.lanes.flying() < room;
        let absent = self.lanes.absent_until(ABSENCE).filter(|_| self.takes_more());
        let all = self.next_attempt().into_iter().chain(lingers).chain(misses).chain(absent);
        all.min().filter(|_| has_room)
    }

    /// Whether there is room for what the hub has for it.
    fn takes_more(&self) -> bool {
        self.credit() > self.lanes.count()
    }

    /// Whether it sends.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.disabled.is_none() && !self.rules.is_paused
    }

    /// Whether it takes nothing for a while, as there was no room, or while its place is moved.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        self.away.is_some() || self.moving > 0
    }

    /// The settings.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Takes in what happened; gives what is to be done, in order.
    pub fn apply(&mut self, input: Input<E>, now: Timestamp, rng: &dyn Rng) -> Vec<Output<E>> {
        let mut has_failed = false;
        let is_due = matches!(input, Input::Due);
        // Whatever else happens may have made room, or changed what waits.
        self.is_resting &= is_due || matches!(input, Input::Looking);
        match input {
            Input::Arrived(events) => {
                if self.is_joined && self.away.is_some() {
                    // It was handed out before the hub heard: what was given back comes before it.
                    self.outputs.push(Output::GiveBack(events));
                } else if self.is_joined {
                    let done = self.lanes.arrive(events, self.rules.by_key, now);
                    self.outputs.extend((!done.is_empty()).then_some(Output::Done(done)));
                }
            }
            Input::Ended(batch, outcome) => {
                has_failed = matches!(outcome, Outcome::Again { .. } | Outcome::Refused { .. });
                self.end(batch, &outcome, now, rng);
            }
            Input::Unsent(batch) => {
                self.lanes.take_back(batch, now);
                self.give_back();
            }
            Input::Due => {}
            Input::Looking => self.lanes.look(now),
            Input::Lost => {
                self.is_joined = false;
                self.lanes.let_go();
                // What comes next is of another place, if anything does.
                self.lanes.come_again(Offset::ZERO);
            }
            Input::Shed => self.shed(now, rng),
            Input::Entitled(unsent) => self.look_again(&unsent, now),
            Input::Moving => {
                self.moving = self.moving.saturating_add(1);
                self.leave();
                // What is at hand, also a full batch, would not be cut so behind what comes again.
                self.outputs.push(Output::Store);
            }
            Input::Moved => {
                self.moved(Offset::ZERO);
                self.lanes.forget();
            }
            Input::Reopened(from) => {
                self.moved(from);
                if self.rules.by_key {
                    // Behind all that comes again batches might wait for their events for ever.
                    self.lanes.forget();
                }
                self.lanes.hurry(now);
            }
            Input::Changed(rules) => self.change(rules, now),
            Input::Redirected => self.begin_anew(now),
            Input::Retry => self.lanes.hurry(now),
            Input::Resumed => {
                self.disabled = None;
                self.begin_anew(now);
            }
        }
        self.look_at_health(has_failed, now);
        self.look_at_keys(now);
        self.go_on(is_due, now);
        if self.lanes.count() == 0 && !self.lanes.has_failed() && self.idle.is_none() {
            self.idle = Some(now);
            self.store_if_failing();
        }
        std::mem::take(&mut self.outputs)
    }

    /// The place is another, where all from there on comes again.
    fn moved(&mut self, from: Offset) {
        self.moving = self.moving.saturating_sub(1);
        self.leave();
        self.lanes.come_again(from);
        self.outputs.push(Output::Store);
    }

    /// What is known of the time in which one that fails is sent nothing outlasts the server.
    fn store_if_failing(&mut self) {
        if self.health.failing().is_some() {
            self.outputs.push(Output::Store);
        }
    }

    /// The settings are others. The batch at hand stays as it is, which it would not by itself.
    fn change(&mut self, rules: Rules, now: Timestamp) {
        if rules.by_key != self.rules.by_key {
            // What is held has other lanes now.
            self.leave();
            self.lanes.forget();
        }
        let goes_on = self.rules.is_paused && !rules.is_paused;
        let old = std::mem::replace(&mut self.rules, rules);
        if goes_on || old.schedule != self.rules.schedule {
            self.begin_anew(now);
        } else if self.lanes.at_hand().is_some() {
            self.outputs.push(Output::Store);
        }
    }

    /// There is no room for what it holds: gives back what is not under way, and takes nothing for a
    /// while.
    fn shed(&mut self, now: Timestamp, rng: &dyn Rng) {
        let away = i64::try_from(AWAY.as_millis()).unwrap_or(i64::MAX);
        let more = i64::try_from(rng.below(away.unsigned_abs())).unwrap_or(0);
        self.away = Some(now.plus_millis(away.saturating_add(more)));
        self.give_back();
    }

    /// While it is away, gives back what is not under way. It takes nothing more as this consumer, to
    /// which later events may have been handed out already. With nothing under way it leaves, which
    /// gives everything back.
    fn give_back(&mut self) {
        if self.away.is_some() && self.is_joined && self.lanes.flying() > 0 {
            let events = self.lanes.shed();
            self.give_back_these(events);
        }
    }

    /// What was before counts no more: no time of failure, and no pause that came of it.
    fn begin_anew(&mut self, now: Timestamp) {
        self.health = Health::default();
        self.lanes.begin_anew(now);
        self.outputs.push(Output::Store);
    }

    fn look_at_health(&mut self, has_failed: bool, now: Timestamp) {
        // An endpoint to which nothing is sent does not fail, however long ago it last did.
        if !self.is_open() || !(has_failed || self.lanes.has_failed()) {
            return;
        }
        if let Some(alert) = self.health.alert(now, self.rules.disable_after, has_failed) {
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

    /// Whether [`Input::Due`] may give up what the hub still looks for; then it is to be [`Input::Looking`].
    #[must_use]
    pub fn is_expecting(&self) -> bool {
        self.lanes.is_expecting()
    }

    /// Sends what can be sent; `is_due`: and gives up what does not come.
    fn go_on(&mut self, is_due: bool, now: Timestamp) {
        if self.moving > 0 {
            return;
        }
        if self.away.is_some() && self.is_joined {
            // It comes back as another consumer, which is handed what was given back before the rest.
            if self.lanes.flying() > 0 {
                return;
            }
            self.leave();
        }
        self.away = self.away.filter(|until| *until > now);
        if !self.is_open() || self.away.is_some() {
            // What is under way may still be taken.
            if self.is_joined && self.lanes.flying() == 0 {
                self.leave();
            }
            return;
        }
        if !self.is_joined {
            // A key that waits holds up no other: its batch keeps its time, and the rest is taken.
            let is_held_up = !self.rules.by_key || self.is_resting;
            let waits = is_held_up && self.next_attempt().is_some_and(|at| at > now);
            if waits || self.lanes.flying() > 0 {
                return;
            }
            (self.is_joined, self.is_resting) = (true, false);
            self.lanes.come(now);
            self.outputs.push(Output::Join);
        }
        if is_due {
            self.lanes.settle_for_less(now, PATIENCE);
        }
        if is_due
            && self.takes_more()
            && self.lanes.forget_absent(now, ABSENCE)
            && self.lanes.is_empty()
            && !self.lanes.has_failed()
        {
            // All that failed is no more.
            self.health = Health::default();
            self.outputs.push(Output::Store);
        }
        while self.lanes.flying() < self.rules.lanes {
            self.lanes.take_up(now);
            let due = self.lanes.next_due(now);
            let next = due.or_else(|| self.lanes.cut(&self.rules, now, LINGER));
            let Some((batch, is_known)) = next else { break };
            if let Some(idle) = self.idle.take() {
                self.health.rest(since(idle, now), self.rules.disable_after);
                self.store_if_failing();
            }
            self.outputs.push(Output::Send { batch, is_noted: !is_known && !self.rules.by_key });
        }
        self.leave_if_idle(now);
    }

    /// Lanes that all wait for long, and have no room for what else there is, need no memory meanwhile.
    fn leave_if_idle(&mut self, now: Timestamp) {
        let soon = later(now, SHORT);
        let is_full = self.credit() <= self.lanes.count();
        // Nor may it come back at once for a batch that then finds no room for its events.
        let is_due = || self.lanes.first_wait().is_some_and(|at| at <= soon);
        let waits = || self.next_send().is_some_and(|at| at > soon) && !is_due();
        if is_full && self.lanes.flying() == 0 && waits() {
            self.leave();
            self.is_resting = true;
        }
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.plus_millis(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}

fn since(at: Timestamp, now: Timestamp) -> Duration {
    let passed = now.millis().saturating_sub(at.millis());
    Duration::from_millis(u64::try_from(passed).unwrap_or(0))
}

/// The offsets of events.
pub(crate) fn offsets<E: Held>(events: &[E]) -> Vec<Offset> {
    events.iter().map(Held::offset).collect()
}
