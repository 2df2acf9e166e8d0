//! Sessions against a model of the hub: whatever endpoints answer, whenever the server is killed,
//! events are sent in order, none is skipped, and a batch that comes again is the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::{Schedule, Wish};
use outflow_face_webhook::session::{BatchId, Disabled, Held, Input, Note, Output, Rules, Session};
use outflow_face_webhook::wire::BatchSize;
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, Rng as _, Timestamp};

const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    offset: u64,
    key: u64,
}

impl Held for Event {
    fn offset(&self) -> Offset {
        Offset::new(self.offset)
    }

    fn key(&self) -> u64 {
        self.key
    }

    fn bytes(&self) -> usize {
        100
    }
}

fn rules(size: u64, lanes: Option<usize>) -> Rules {
    let pauses = [1, 3, 60].map(Duration::from_secs).to_vec();
    Rules {
        size: BatchSize::new(size).unwrap(),
        max_bytes: 1 << 20,
        lanes: lanes.unwrap_or(1),
        by_key: lanes.is_some(),
        max_apart: 50,
        schedule: Schedule::new(pauses).unwrap(),
        disable_after: Duration::from_secs(90 * 24 * 3_600),
        is_paused: false,
    }
}

fn again() -> Outcome {
    Outcome::Again { failure: Failure::Status(500), wish: Wish::default() }
}

/// The hub, the disk and the endpoint of one session.
struct World {
    rng: SeededRng,
    session: Session<Event>,
    rules: Rules,
    now: Timestamp,
    published: Vec<Event>,
    /// All before it is settled.
    first_open: usize,
    settled: BTreeSet<u64>,
    parked: BTreeSet<u64>,
    /// What the consumer was given and has not settled; `None`: there is no consumer.
    given: Option<BTreeSet<u64>>,
    flying: BTreeMap<BatchId, Vec<Event>>,
    /// What was attempted last and is not settled, by its first offset.
    attempted: BTreeMap<u64, Vec<u64>>,
    stored: Note,
    sends: u64,
    alerts: Vec<u8>,
}

impl World {
    fn new(seed: u64, rules: Rules) -> Self {
        let mut world = Self {
            rng: SeededRng::new(seed),
            session: Session::new(rules.clone(), Note::default()),
            rules,
            now: Timestamp::from_millis(1_000_000),
            published: Vec::new(),
            first_open: 0,
            settled: BTreeSet::new(),
            parked: BTreeSet::new(),
            given: None,
            flying: BTreeMap::new(),
            attempted: BTreeMap::new(),
            stored: Note::default(),
            sends: 0,
            alerts: Vec::new(),
        };
        world.tell(Input::Due);
        world
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            // Offsets need not be dense.
            let last = self.published.last().map_or(0, |event| event.offset);
            let offset = last + 1 + self.rng.below(3);
            self.published.push(Event { offset, key: self.rng.below(5) });
        }
    }

    fn open(&self) -> impl Iterator<Item = &Event> {
        let rest = self.published.iter().skip(self.first_open);
        rest.filter(|event| !self.settled.contains(&event.offset))
    }

    /// Hands out what the consumer has credit for, up to `max`.
    fn deliver(&mut self, max: usize) {
        let Some(given) = &self.given else { return };
        let room = self.session.credit().saturating_sub(given.len()).min(max);
        let next: Vec<Event> = self
            .open()
            .filter(|event| !given.contains(&event.offset))
            .take(room)
            .copied()
            .collect();
        if next.is_empty() {
            return;
        }
        self.given.as_mut().unwrap().extend(next.iter().map(|event| event.offset));
        self.tell(Input::Arrived(next));
    }

    fn tell(&mut self, input: Input<Event>) {
        for output in self.session.apply(input, self.now, &self.rng) {
            match output {
                Output::Join => {
                    assert!(self.given.replace(BTreeSet::new()).is_none(), "joined twice");
                }
                Output::Leave => assert!(self.given.take().is_some(), "left twice"),
                Output::Send { batch, is_noted } => self.send(batch, is_noted),
                Output::Done(events) => self.settle(&events),
                Output::Park(events, _) => {
                    self.parked.extend(events.iter().map(|event| event.offset));
                    self.settle(&events);
                }
                Output::Store => self.stored = self.session.note(),
                Output::Alert(alert) => self.alerts.push(alert.percent),
                Output::Disable(_) => {}
            }
        }
    }

    fn settle(&mut self, events: &[Event]) {
        for event in events {
            let given = self.given.as_mut().expect("settled without a consumer");
            assert!(given.remove(&event.offset), "settled what was not given");
            assert!(self.settled.insert(event.offset), "settled twice");
            self.attempted.remove(&event.offset);
        }
        let rest = self.published.iter().skip(self.first_open);
        self.first_open += rest.take_while(|event| self.settled.contains(&event.offset)).count();
    }

    fn send(&mut self, batch: BatchId, is_noted: bool) {
        self.sends += 1;
        assert!(self.session.is_open());
        let events = self.session.batch(batch).expect("it is there").0.to_vec();
        if is_noted {
            self.stored = self.session.note();
        }
        assert!((1..=self.rules.size.get()).contains(&events.len()));
        assert!(self.flying.len() < self.rules.lanes);
        let lane = |event: &Event| if self.rules.by_key { event.key } else { 0 };
        // Nothing of a lane is sent before what stands before it there.
        let mut next: BTreeMap<u64, VecDeque<u64>> = BTreeMap::new();
        for event in self.open() {
            next.entry(lane(event)).or_default().push_back(event.offset);
        }
        for event in &events {
            let expected = next.get_mut(&lane(event)).and_then(VecDeque::pop_front);
            assert_eq!(Some(event.offset), expected, "out of order, or skipped");
        }
        let offsets: Vec<u64> = events.iter().map(|event| event.offset).collect();
        if !self.rules.by_key
            && let Some(before) = self.attempted.get(&offsets[0])
        {
            assert_eq!(*before, offsets, "a batch that comes again is another");
        }
        self.attempted.insert(offsets[0], offsets);
        assert!(self.flying.insert(batch, events).is_none());
    }

    /// One request ends.
    fn land(&mut self, outcome: impl FnOnce(&[Event], &SeededRng) -> Outcome) {
        let at = self.rng.below(self.flying.len() as u64) as usize;
        let Some(&batch) = self.flying.keys().nth(at) else { return };
        let events = self.flying.remove(&batch).unwrap();
        let outcome = outcome(&events, &self.rng);
        self.tell(Input::Ended(batch, outcome));
    }

    fn pass(&mut self, millis: i64) {
        self.now = self.now.plus_millis(millis);
        if self.session.next_due().is_some_and(|due| due <= self.now) {
            self.tell(Input::Due);
        }
    }

    /// The server is killed and started again.
    fn restart(&mut self) {
        self.given = None;
        self.flying.clear();
        self.session = Session::new(self.rules.clone(), self.stored.clone());
        self.tell(Input::Due);
        // The hub hands out what there is at once, so that a full batch is full again.
        self.deliver(usize::MAX);
    }

    /// Everything is taken from now on, but what `refuses` says.
    fn finish(&mut self, fails: impl Fn(&Event) -> bool) {
        for _ in 0..20_000 {
            if self.open().all(&fails) && self.flying.is_empty() {
                return;
            }
            self.deliver(usize::MAX);
            self.land(|events, _| if events.iter().any(&fails) { again() } else { Outcome::Taken });
            self.pass(2_000);
        }
        panic!("it does not come to an end: {:?}", self.session);
    }
}

fn outcome(events: &[Event], rng: &SeededRng) -> Outcome {
    match rng.below(10) {
        0..=2 => again(),
        // Some events are never taken.
        3 if events.len() == 1 => Outcome::Refused { status: 400 },
        _ => Outcome::Taken,
    }
}

fn run(seed: u64, rules: Rules) {
    let mut world = World::new(seed, rules);
    for _ in 0..800 {
        match world.rng.below(14) {
            0..=2 => {
                let count = world.rng.below(12);
                world.publish(count);
            }
            3..=5 => {
                let max = 1 + world.rng.below(20) as usize;
                world.deliver(max);
            }
            6..=9 => world.land(outcome),
            10 | 11 => {
                let millis = world.rng.below(5_000) as i64;
                world.pass(millis);
            }
            12 if world.rng.below(4) == 0 => world.restart(),
            13 => {
                let is_paused = world.rng.below(3) == 0;
                let rules = Rules { is_paused, ..world.rules.clone() };
                world.tell(Input::Changed(rules));
            }
            _ => {}
        }
    }
    world.tell(Input::Changed(world.rules.clone()));
    world.finish(|_| false);
    assert_eq!(world.settled.len(), world.published.len(), "seed {seed}");
    assert!(world.sends > 50, "seed {seed}: {} requests", world.sends);
}

#[test]
fn an_endpoint_in_order_gets_everything_in_order_and_the_same_batches_again() {
    for seed in 0..12 {
        for size in [1, 5, 10] {
            println!("seed {seed} size {size}");
            run(seed, rules(size, None));
        }
    }
}

#[test]
fn lanes_keep_the_order_of_each_key() {
    for seed in 0..12 {
        for (size, lanes) in [(1, 3), (5, 4), (10, 1)] {
            println!("seed {seed} size {size} lanes {lanes}");
            run(seed, rules(size, Some(lanes)));
        }
    }
}

#[test]
fn a_key_that_is_never_taken_holds_up_itself_only() {
    for seed in 0..8 {
        let mut world = World::new(seed, rules(10, Some(4)));
        for _ in 0..20 {
            world.publish(5);
            world.finish(|event| event.key == 0);
        }
        let open: Vec<u64> = world.open().map(|event| event.key).collect();
        assert!(open.iter().all(|key| *key == 0), "seed {seed}: {open:?}");
        world.finish(|_| false);
    }
}

#[test]
fn an_endpoint_that_waits_long_takes_nothing_and_comes_back_by_itself() {
    let mut world = World::new(1, rules(5, None));
    world.publish(12);
    world.deliver(100);
    for _ in 0..3 {
        world.land(|_, _| again());
        world.pass(4_000);
        world.deliver(100);
    }
    // The pause is a minute now.
    assert_eq!((world.given.is_none(), world.flying.len()), (true, 0));
    let next = world.session.next_attempt().unwrap();
    assert!(next > world.now.plus_millis(MINUTE_MS / 2), "{next} is not after {}", world.now);
    assert_eq!(world.stored.failing.unwrap().failures, 3);
    world.restart();
    assert!(world.given.is_none(), "a restart does not bring it forward");
    world.pass(2 * MINUTE_MS);
    assert!(world.given.is_some());
    world.finish(|_| false);
    assert_eq!(world.session.note().failing, None);
}

#[test]
fn one_that_only_fails_is_disabled_in_time_and_a_pause_is_no_failure() {
    let day = 24 * 60 * MINUTE_MS;
    let disable_after = Duration::from_secs(24 * 3_600);
    let mut world = World::new(3, Rules { disable_after, ..rules(1, None) });
    world.publish(3);
    world.deliver(100);
    world.land(|_, _| again());
    // It is paused for longer than it may fail.
    let paused = Rules { is_paused: true, ..world.rules.clone() };
    world.tell(Input::Changed(paused));
    world.pass(100 * day);
    assert_eq!((world.session.next_due(), world.session.note().disabled), (None, None));
    world.tell(Input::Changed(world.rules.clone()));
    world.tell(Input::Resumed);
    world.deliver(100);
    world.land(|_, _| again());
    assert!(world.session.is_open(), "the time begins anew");
    // Now it does nothing but fail.
    for _ in 0..3_000 {
        if !world.session.is_open() {
            break;
        }
        let due = world.session.next_due().expect("it tries again");
        let millis = (due.millis() - world.now.millis()).max(1);
        world.pass(millis);
        world.deliver(100);
        world.land(|_, _| again());
    }
    assert_eq!(world.stored.disabled.unwrap().0, Disabled::Failing);
    let failing = world.stored.failing.unwrap();
    let allowed = world.now.millis() - failing.since.millis();
    assert!((day..day + 5 * MINUTE_MS).contains(&allowed), "{allowed}");
    assert_eq!(world.alerts, [50, 70, 90, 100]);
    assert_eq!(world.session.next_due(), None);
}

#[test]
fn one_that_is_gone_is_disabled_and_resumes_where_it_was() {
    let mut world = World::new(2, rules(1, None));
    world.publish(3);
    world.deliver(100);
    world.land(|_, _| Outcome::Gone);
    assert!(!world.session.is_open() && world.given.is_none());
    assert!(world.stored.disabled.is_some());
    world.restart();
    world.pass(MINUTE_MS * 1_000);
    assert!(!world.session.is_open(), "time changes nothing");
    world.tell(Input::Resumed);
    assert!(world.stored.disabled.is_none());
    world.finish(|_| false);
}
