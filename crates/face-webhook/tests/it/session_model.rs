//! Sessions against a model of the hub: whatever endpoints answer, whenever the server is killed, and
//! however size, form and filter of batches are changed meanwhile, events are sent in order, none is
//! skipped, and a batch that comes again is the same, also behind what was refused and comes again; what was
//! taken is not sent once more, but where it is to be; and what may not be sent any more is not.

mod changes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use outflow_face_webhook::outcome::{Failure, Outcome};
use outflow_face_webhook::schedule::{Schedule, Wish};
use outflow_face_webhook::session::{BatchId, Held, Input, Note, Output, Rules, Session, Stuck};
use outflow_face_webhook::wire::BatchSize;
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, Rng as _, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) offset: u64,
    pub(crate) key: u64,
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

pub(crate) fn rules(size: u64, lanes: Option<usize>) -> Rules {
    let pauses = [1, 3, 60].map(Duration::from_secs).to_vec();
    Rules {
        size: BatchSize::new(size).unwrap(),
        max_bytes: 1 << 20,
        lanes: lanes.unwrap_or(1),
        by_key: lanes.is_some(),
        max_apart: 50,
        max_held_bytes: 1 << 30,
        schedule: Schedule::new(pauses).unwrap(),
        disable_after: Duration::from_secs(90 * 24 * 3_600),
        is_paused: false,
    }
}

pub(crate) fn again() -> Outcome {
    Outcome::Again { failure: Failure::Status(500), wish: Wish::default() }
}

/// The hub, the disk and the endpoint of one session.
pub(crate) struct World {
    rng: SeededRng,
    pub(crate) session: Session<Event>,
    pub(crate) rules: Rules,
    pub(crate) now: Timestamp,
    pub(crate) published: Vec<Event>,
    /// All before it is settled.
    first_open: usize,
    settled: BTreeSet<u64>,
    pub(crate) parked: BTreeSet<u64>,
    /// What the consumer was given and has not settled; `None`: there is no consumer.
    pub(crate) given: Option<BTreeSet<u64>>,
    /// What of this has not arrived yet.
    on_way: Vec<Event>,
    /// How often there was a consumer.
    pub(crate) joins: u64,
    pub(crate) flying: BTreeMap<BatchId, Vec<Event>>,
    /// Batches that wait for their turn, and whether they are noted before they are sent.
    pub(crate) waiting: VecDeque<(BatchId, bool)>,
    /// Whether there is no room for requests.
    pub(crate) is_crowded: bool,
    /// What was attempted, with its size, and is not settled; in order of its offsets.
    attempted: Vec<(Vec<u64>, BatchSize)>,
    /// The events that the filter hid before they were sent.
    passed: BTreeSet<u64>,
    /// Those that may not be sent any more, whoever has them.
    forbidden: BTreeSet<u64>,
    pub(crate) stored: Note,
    pub(crate) sends: u64,
    pub(crate) alerts: Vec<u8>,
    pub(crate) stuck: Vec<(Timestamp, Stuck)>,
    /// Whether the hub takes its time to look at what there is.
    pub(crate) is_looking: bool,
    /// When nothing was left that could be handed out.
    handed_out: Timestamp,
    /// What the endpoint has taken and nobody wants sent again.
    taken: BTreeSet<u64>,
    /// From where on what is under way comes again, also if it is taken.
    again: BTreeMap<BatchId, u64>,
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
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
            on_way: Vec::new(),
            joins: 0,
            flying: BTreeMap::new(),
            waiting: VecDeque::new(),
            is_crowded: false,
            attempted: Vec::new(),
            passed: BTreeSet::new(),
            forbidden: BTreeSet::new(),
            stored: Note::default(),
            sends: 0,
            alerts: Vec::new(),
            stuck: Vec::new(),
            is_looking: false,
            handed_out: Timestamp::from_millis(1_000_000),
            taken: BTreeSet::new(),
            again: BTreeMap::new(),
        };
        world.tell(Input::Due);
        world
    }

    pub(crate) fn publish(&mut self, count: u64) {
        for _ in 0..count {
            // Offsets need not be dense.
            let last = self.published.last().map_or(0, |event| event.offset);
            let offset = last + 1 + self.rng.below(3);
            self.published.push(Event { offset, key: self.rng.below(5) });
        }
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = &Event> {
        let rest = self.published.iter().skip(self.first_open);
        rest.filter(|event| !self.settled.contains(&event.offset))
    }

    /// Hands out all that the consumer has credit for, some at a time, as the hub does.
    pub(crate) fn deliver_all(&mut self) {
        while self.deliver(10) {}
    }

    /// Hands out what the consumer has credit for, up to `max`; says whether there was any.
    pub(crate) fn deliver(&mut self, max: usize) -> bool {
        self.arrive();
        let has_more = self.hand_out(max);
        self.arrive();
        has_more
    }

    /// What was handed out arrives.
    fn arrive(&mut self) {
        if !self.on_way.is_empty() {
            let events = std::mem::take(&mut self.on_way);
            self.tell(Input::Arrived(events));
        }
    }

    /// Hands out what the consumer has credit for, up to `max`, which does not arrive yet; says whether
    /// there was any.
    pub(crate) fn hand_out(&mut self, max: usize) -> bool {
        self.pass_forbidden();
        let Some(given) = &self.given else { return false };
        let room = self.session.credit().saturating_sub(given.len()).min(max);
        let next: Vec<Event> = self
            .open()
            .filter(|event| !given.contains(&event.offset))
            .take(room)
            .copied()
            .collect();
        if next.len() < max {
            self.handed_out = self.now;
        }
        if next.is_empty() {
            return false;
        }
        self.given.as_mut().unwrap().extend(next.iter().map(|event| event.offset));
        self.on_way.extend(next);
        true
    }

    pub(crate) fn tell(&mut self, input: Input<Event>) {
        for output in self.session.apply(input, self.now, &self.rng) {
            match output {
                Output::Join => {
                    self.joins += 1;
                    assert!(self.given.replace(BTreeSet::new()).is_none(), "joined twice");
                }
                Output::Leave => {
                    self.on_way.clear();
                    assert!(self.given.take().is_some(), "left twice");
                }
                Output::Send { batch, is_noted } => self.waiting.push_back((batch, is_noted)),
                Output::GiveBack(events) => {
                    let given = self.given.as_mut().expect("gives back what it was given");
                    assert!(events.iter().all(|event| given.remove(&event.offset)));
                    // What has not arrived comes again behind them.
                    assert!(self.on_way.drain(..).all(|event| given.remove(&event.offset)));
                }
                Output::Done(events) => self.settle(&events),
                Output::Park(events, _) => {
                    self.parked.extend(events.iter().map(|event| event.offset));
                    self.settle(&events);
                }
                Output::Store => self.stored = self.session.note(),
                Output::Alert(alert) => self.alerts.push(alert.percent),
                Output::Stuck(stuck) => self.stuck.push((self.now, stuck)),
                Output::Disable(_) => {}
            }
        }
        if !self.session.is_open() || self.session.is_away() {
            while let Some((batch, _)) = self.waiting.pop_front() {
                self.tell(Input::Unsent(batch));
            }
        }
        self.send_all();
    }

    /// Sends what waits, if there is room.
    pub(crate) fn send_all(&mut self) {
        while !self.is_crowded
            && let Some((batch, is_noted)) = self.waiting.pop_front()
        {
            if self.session.batch(batch).is_some() {
                self.send(batch, is_noted);
            } else {
                self.tell(Input::Unsent(batch));
            }
        }
    }

    fn settle(&mut self, events: &[Event]) {
        for event in events {
            let given = self.given.as_mut().expect("settled without a consumer");
            assert!(given.remove(&event.offset), "settled what was not given");
            assert!(self.settled.insert(event.offset), "settled twice");
        }
        self.forget_settled();
    }

    fn forget_settled(&mut self) {
        let settled = &self.settled;
        self.attempted.retain(|(offsets, _)| !offsets.iter().all(|one| settled.contains(one)));
        let rest = self.published.iter().skip(self.first_open);
        self.first_open += rest.take_while(|event| settled.contains(&event.offset)).count();
    }

    fn send(&mut self, batch: BatchId, is_noted: bool) {
        self.sends += 1;
        assert!(self.session.is_open());
        let sending = self.session.batch(batch).expect("it is there");
        let (events, size) = (sending.events.to_vec(), sending.size);
        if is_noted {
            self.stored = self.session.note();
        }
        assert!((1..=size.get()).contains(&events.len()), "{} in {size}", events.len());
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
        let is_allowed = offsets.iter().all(|one| !self.forbidden.contains(one));
        assert!(is_allowed, "it may not be sent any more: {offsets:?}");
        let is_new = offsets.iter().all(|one| !self.taken.contains(one));
        assert!(is_new, "it was taken: {offsets:?}");
        if !self.rules.by_key {
            let is_of = |(before, _): &&(Vec<u64>, BatchSize)| before.contains(&offsets[0]);
            if let Some((before, of_size)) = self.attempted.iter().find(is_of) {
                let rest = before.iter().filter(|one| !self.passed.contains(one));
                let rest: Vec<u64> = rest.copied().collect();
                assert_eq!((rest, *of_size), (offsets.clone(), size), "it is another batch");
            } else {
                let known = self.attempted.iter().flat_map(|(before, _)| before);
                let is_new = known.into_iter().all(|one| !offsets.contains(one));
                assert!(is_new, "{offsets:?} has what was in another batch: {:?}", self.attempted);
            }
        }
        self.attempted.retain(|(before, _)| !before.contains(&offsets[0]));
        self.attempted.push((offsets, size));
        assert!(self.flying.insert(batch, events).is_none());
    }

    /// One request ends.
    pub(crate) fn land(&mut self, outcome: impl FnOnce(&[Event], &SeededRng) -> Outcome) {
        let at = self.rng.below(self.flying.len() as u64) as usize;
        let Some(&batch) = self.flying.keys().nth(at) else { return };
        let events = self.flying.remove(&batch).unwrap();
        let outcome = outcome(&events, &self.rng);
        let again = self.again.remove(&batch).unwrap_or(u64::MAX);
        if outcome == Outcome::Taken {
            let taken = events.iter().map(|event| event.offset);
            self.taken.extend(taken.filter(|offset| *offset < again));
            if events.iter().any(|event| event.offset >= again) {
                // What was taken and is to be sent once more is made into batches anew.
                self.attempted
                    .retain(|(before, _)| before.first() != events.first().map(|one| &one.offset));
            }
        }
        self.tell(Input::Ended(batch, outcome));
    }

    pub(crate) fn pass(&mut self, millis: i64) {
        // What there is comes well before it is given up, unless the hub says that it still looks.
        if !self.is_looking && self.now.millis() + millis - self.handed_out.millis() >= 4_000 {
            self.deliver_all();
        }
        self.now = self.now.plus_millis(millis);
        if self.session.next_due().is_some_and(|due| due <= self.now) {
            let is_expecting = self.is_looking && self.session.is_expecting();
            self.tell(if is_expecting { Input::Looking } else { Input::Due });
        }
    }

    /// The server is killed and started again.
    pub(crate) fn restart(&mut self) {
        self.given = None;
        self.on_way.clear();
        self.flying.clear();
        self.again.clear();
        self.waiting.clear();
        // What it took after that had gone back was known to the session only.
        self.taken = self.taken.intersection(&self.settled).copied().collect();
        self.session = Session::new(self.rules.clone(), self.stored.clone());
        self.tell(Input::Due);
        // The hub hands out what there is at once, so that a full batch is full again; or says that it does not.
        if !self.is_looking {
            self.deliver_all();
        }
    }

    /// Everything is taken from now on, but what `refuses` says.
    pub(crate) fn finish(&mut self, fails: impl Fn(&Event) -> bool) {
        (self.is_crowded, self.is_looking) = (false, false);
        self.send_all();
        for _ in 0..20_000 {
            if self.open().all(&fails) && self.flying.is_empty() {
                return;
            }
            self.deliver_all();
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

/// `forbids`: what there is of some keys may not be sent any more from some time on.
fn run(seed: u64, rules: Rules, forbids: bool) {
    run_with(seed, rules, forbids, false);
}

/// `looks`: the hub takes its time now and then.
fn run_with(seed: u64, rules: Rules, forbids: bool, looks: bool) {
    let mut world = World::new(seed, rules);
    let (steps, kinds) = if looks { (2_000, 21) } else { (800, 19) };
    for _ in 0..steps {
        match world.rng.below(kinds) {
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
            // What is not here yet cannot be noted when the settings are changed.
            14 if !looks && world.rng.below(4) == 0 => world.change(),
            15 => {
                world.is_crowded = world.rng.below(2) == 0;
                world.send_all();
            }
            16 if world.rng.below(4) == 0 => {
                let max = world.rng.below(20) as usize;
                world.hand_out(max);
                world.tell(Input::Shed);
            }
            17 if world.rng.below(4) == 0 => {
                if forbids {
                    let key = world.rng.below(5);
                    world.forbid(key);
                }
                world.entitle();
            }
            18 if world.rng.below(4) == 0 && (!forbids || world.rules.by_key) => world.reopen(),
            19 | 20 => world.is_looking = world.rng.below(2) == 0,
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
            run(seed, rules(size, None), false);
        }
    }
}

#[test]
fn batches_are_the_same_again_though_the_hub_takes_its_time() {
    for seed in 0..12 {
        for size in [1, 5, 10] {
            println!("seed {seed} size {size}");
            run_with(seed, rules(size, None), true, true);
        }
    }
}

#[test]
fn lanes_keep_the_order_of_each_key() {
    for seed in 0..12 {
        for (size, lanes) in [(1, 3), (5, 4), (10, 1)] {
            println!("seed {seed} size {size} lanes {lanes}");
            run(seed, rules(size, Some(lanes)), false);
        }
    }
}

#[test]
fn what_may_not_be_sent_any_more_is_not() {
    for seed in 0..12 {
        for (size, lanes) in [(1, None), (10, None), (1, Some(3)), (5, Some(4)), (10, Some(1))] {
            println!("seed {seed} size {size} lanes {lanes:?}");
            run(seed, rules(size, lanes), true);
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
