//! Subscriptions against a plain model: random work with crashes, failures and time jumps.
//!
//! Long because the model and the work that it is held against are read together.
//!
//! `OUTFLOW_SUBSCRIPTION_CASES` says how many cases of [`OPERATIONS`] operations are run (soak:
//! 2,000); a case that fails prints what it did.

mod replayed;
mod side;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use outflow_hub::subscription::{
    ConsumerOptions, Delivered, DeliveryOrder, EventRef, Settle, SubscriptionSettings,
};
use outflow_hub::{Dialect, Options, Selector, Stream};
use outflow_model::{Offset, StreamId};
use outflow_store::AppendError;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::queueing::{new, number, user};
use crate::world::{World, name, open, project_id, world_with};

use side::{About, Event, Member, Place, Set, Side, State, place};

const OPERATIONS: usize = 200;
const DEFAULT_CASES: u32 = 300;

/// An operation: what, and three numbers that say on what.
type Operation = (u8, u16, u16, u16);

struct Machine {
    world: Option<World>,
    options: Options,
    sides: Vec<Side>,
    next: u64,
}

impl Machine {
    async fn start(set: Set) -> Self {
        // Where few steps are taken at once, each consumer is asked at a turn of its own.
        let max_steps = if set.sparing { 1 } else { Options::default().max_steps };
        let options = Options { max_steps, ..Options::default() };
        let world = world_with(options.clone()).await;
        world.stream_called("other").await;
        let is_strict = set.strict && set.about == About::Places;
        let settings = SubscriptionSettings {
            order: if is_strict { DeliveryOrder::Strict } else { DeliveryOrder::Normal },
            lease: set.lease.then_some(Duration::from_secs(30)),
            max_deliveries: set.mortal.then_some(3),
            dead_letter: Some(name("dead")),
            max_age: set.aging.then_some(Duration::from_secs(40)),
            exclusive: set.exclusive,
            group_by_key: set.about == About::Groups,
            ..Default::default()
        };
        world.stream_called("dead").await;
        for (name, settings) in [("a", &settings), ("b", &SubscriptionSettings::default())] {
            let new = new(name, &["events", "other"], settings.clone());
            world.hub.create_subscription(&project_id("p"), new).await.unwrap();
        }
        let other = Side::new("b", Default::default(), About::Places);
        let sides = vec![Side::new("a", settings, set.about), other];
        Self { world: Some(world), options, sides, next: 0 }
    }

    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn now(&self) -> i64 {
        outflow_model::Clock::now(&*self.world().clock).millis()
    }

    fn stream(&self, index: usize) -> Arc<Stream> {
        let called = ["events", "other"][index];
        self.world().hub.stream(&project_id("p"), &name(called)).unwrap()
    }

    /// Takes all that is handed out and holds it against what should be.
    async fn check(&mut self) {
        let now = self.now();
        for side in 0..self.sides.len() {
            let side = &mut self.sides[side];
            let mut got = Vec::new();
            loop {
                // Time stands still until nothing is left to do.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let before = got.len();
                for (index, member) in side.members.iter_mut().enumerate() {
                    let Some(member) = member else { continue };
                    while let Some(next) = member.consumers.next(3).now_or_never() {
                        let Delivered::Events { events, .. } = next else { panic!("{next:?}") };
                        got.extend(events.into_iter().map(|event| (index, event)));
                    }
                }
                if got.len() == before {
                    break;
                }
            }
            for index in 0..side.members.len() {
                let of_one = got.iter().filter(|(of, _)| *of == index);
                let places: Vec<Place> = of_one.map(|(_, delivery)| place(delivery)).collect();
                assert!(places.is_sorted(), "{}: {index} got {places:?}", side.name);
            }
            let count = got.len();
            let given: BTreeMap<_, _> =
                got.into_iter().map(|(of, delivery)| (place(&delivery), (of, delivery))).collect();
            assert_eq!(given.len(), count, "{}: an event was handed out twice", side.name);
            side.judge(now, given);
        }
    }

    async fn publish(&mut self, to: usize, count: usize) {
        // Of what two streams took in the same moment either may come first.
        self.advance(1).await;
        let stream = self.stream(to);
        let texts: Vec<_> = (0..count as u64).map(|n| text(self.next + n)).collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let draft = self.world().draft(&texts);
        let receipt = self.world().hub.publish(&user(), &stream, draft).await.unwrap();
        let offsets: Vec<_> = receipt.events.iter().map(|placed| placed.offset).collect();
        self.published(to, stream.id, &offsets);
    }

    fn published(&mut self, to: usize, stream: StreamId, offsets: &[Offset]) {
        let now = self.now();
        for offset in offsets {
            let n = self.next;
            self.next += 1;
            for side in &mut self.sides {
                let (key, state) = (key(n), State::Waiting);
                let event = Event { n, key, stream, deliveries: 0, was_given: false, state };
                side.events.insert((now, to, *offset), event);
            }
        }
    }

    async fn crash(&mut self) {
        for side in &mut self.sides {
            side.members.clear();
            side.ghosts.clear();
            side.owners.clear();
            for event in side.events.values_mut() {
                event.was_given |= event.deliveries > 0;
                event.deliveries = 0;
                if !matches!(event.state, State::Done | State::Unsure { .. }) {
                    event.state = State::Waiting;
                }
            }
        }
        let world = self.world.take().unwrap();
        let (clock, engine) = (world.clock.clone(), Arc::new(world.engine.restart()));
        drop(world);
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.world = Some(open(&clock, &engine, self.options.clone()).await);
        // What was refused may have been lost with it.
        let now = self.now();
        for side in 0..self.sides.len() {
            let subscription = self.sides[side].subscription(self.world());
            let browse = self.world().hub.browse(&user(), &subscription, None).await;
            let mut browse = browse.unwrap();
            let mut open = std::collections::BTreeSet::new();
            while let Some(delivery) = browse.next().await {
                open.insert(place(&delivery));
            }
            let side = &mut self.sides[side];
            let over: Vec<bool> =
                side.events.keys().map(|place| side.is_over(*place, now)).collect();
            for ((place, event), is_over) in side.events.iter_mut().zip(over) {
                let is_open = open.remove(place);
                if matches!(event.state, State::Unsure { .. }) {
                    event.state = if is_open { State::Waiting } else { State::Done };
                    // One that is over is not shown, and is buried if its answer was lost.
                    side.perhaps_dead.extend((is_over && !is_open).then_some(event.n));
                }
                let is_due = event.state == State::Waiting && !is_over;
                assert_eq!(is_open, is_due, "{place:?} after a crash");
            }
            assert!(open.is_empty(), "{open:?}");
        }
    }

    async fn advance(&mut self, millis: i64) {
        self.world().clock.advance(millis);
        let now = self.now();
        for side in &mut self.sides {
            let due: Vec<Place> = side
                .events
                .iter()
                .filter(|(_, event)| match event.state {
                    State::Held { deadline: Some(at), .. }
                    | State::Delayed { until: at }
                    | State::Desk { until: at, .. } => at <= now,
                    _ => false,
                })
                .map(|(place, _)| *place)
                .collect();
            due.into_iter().for_each(|place| side.back(place));
            side.ghosts.retain(|(.., deadline)| deadline.is_none_or(|at| at > now));
        }
        self.world().hub.tick().await;
        // What was refused is stored within a second.
        for event in self.sides.iter_mut().flat_map(|side| side.events.values_mut()) {
            if matches!(event.state, State::Unsure { since } if now - since >= 1_000) {
                event.state = State::Done;
            }
        }
    }

    async fn leave(&mut self, side: usize, member: usize) {
        let side = &mut self.sides[side];
        let held = side.held_by(member);
        if side.members.get_mut(member).is_some_and(|member| member.take().is_some()) {
            held.into_iter().for_each(|(place, _)| side.back(place));
            side.ghosts.retain(|(of, ..)| *of != member);
            side.owners.retain(|_, owner| *owner != member);
        }
    }

    async fn answer(&mut self, side: usize, what: u8, a: u16, b: u16) {
        let now = self.now();
        let present: Vec<usize> = (0..self.sides[side].members.len())
            .filter(|&member| self.sides[side].members[member].is_some())
            .collect();
        let Some(&member) = present.get(usize::from(a) % present.len().max(1)) else { return };
        let held = self.sides[side].held_by(member);
        if held.is_empty() {
            return;
        }
        let (place, lease) = held[usize::from(b) % held.len()];
        let ghosts = &mut self.sides[side].ghosts;
        let mut chosen = vec![(place, lease)];
        let answers: Vec<Settle> = match what {
            0 => {
                chosen =
                    held.iter().skip(usize::from(b) % held.len()).step_by(2).copied().collect();
                chosen.iter().map(|(_, lease)| Settle::Ack(*lease)).collect()
            }
            1 => {
                chosen = held.iter().filter(|(_, other)| *other <= lease).copied().collect();
                ghosts.retain(|(of, ghost, _)| *of != member || *ghost > lease);
                vec![Settle::AckThrough(lease)]
            }
            2 => vec![Settle::Requeue { lease, delay: None }],
            3 => vec![Settle::Requeue { lease, delay: Some(Duration::from_secs(20)) }],
            4 => vec![Settle::DeadLetter { lease, cause: "bad".into() }],
            5 => vec![Settle::Extend { lease, by: Duration::from_secs(45) }],
            _ => {
                chosen = held.clone();
                chosen.iter().map(|(_, lease)| Settle::Ack(*lease)).collect()
            }
        };
        let fails = what == 6;
        if fails {
            self.world().engine.fail_next(AppendError::Throttled);
        }
        let entry = self.sides[side].members[member].as_mut().unwrap();
        let result = entry.consumers.settle(entry.id, &answers).unwrap().await;
        assert_eq!(result.is_err(), fails, "{result:?}");
        let side = &mut self.sides[side];
        for (place, _) in chosen {
            let event = side.events.get_mut(&place).unwrap();
            match what {
                0 | 1 => event.state = State::Done,
                2 => side.back(place),
                3 => {
                    let is_dead =
                        side.settings.max_deliveries.is_some_and(|m| event.deliveries >= m);
                    event.state = State::Delayed { until: now + 20_000 };
                    if is_dead {
                        side.back(place);
                    }
                }
                4 => {
                    event.state = State::Done;
                    if side.settings.dead_letter.is_some() {
                        side.dead.push(event.n);
                    }
                }
                5 => {
                    if let State::Held { deadline: Some(at), .. } = &mut event.state {
                        *at = now + 45_000;
                    }
                }
                _ => event.state = State::Unsure { since: now },
            }
        }
    }

    /// Publishes and acks in a transaction, which is committed, fails or is aborted.
    async fn transact(&mut self, side: usize, a: u16, how: u16) {
        self.advance(1).await;
        let present: Vec<usize> = (0..self.sides[side].members.len())
            .filter(|&member| self.sides[side].members[member].is_some())
            .collect();
        let Some(&member) = present.get(usize::from(a) % present.len().max(1)) else { return };
        let held = self.sides[side].held_by(member);
        let stream = self.stream(0);
        let draft = self.world().draft(&[&text(self.next)]);
        let mut transaction = self.world().hub.transaction(&user());
        transaction.publish(&stream, draft).unwrap();
        if let Some((_, lease)) = held.get(held.len() / 2) {
            let entry = self.sides[side].members[member].as_mut().unwrap();
            let answers = [Settle::AckThrough(*lease)];
            transaction.settle(&mut entry.consumers, entry.id, &answers).unwrap();
            self.sides[side].ghosts.retain(|(of, ghost, _)| *of != member || ghost > lease);
        }
        let answered = &held[..held.len().min(held.len() / 2 + 1)];
        let mut states = Vec::new();
        for (place, _) in answered {
            let event = self.sides[side].events.get_mut(place).unwrap();
            states.push(std::mem::replace(&mut event.state, State::Answered));
        }
        // Meanwhile the consumer has room for others.
        self.check().await;
        for ((place, _), state) in answered.iter().zip(states) {
            self.sides[side].events.get_mut(place).unwrap().state = state;
        }
        match how % 3 {
            0 => transaction.abort(),
            1 => {
                self.world().engine.fail_next(AppendError::Full);
                transaction.commit().await.unwrap_err();
            }
            _ => {
                let receipts = transaction.commit().await.unwrap();
                for (place, _) in answered {
                    self.sides[side].events.get_mut(place).unwrap().state = State::Done;
                }
                self.published(0, stream.id, &[receipts[0].events[0].offset]);
            }
        }
    }

    /// Takes an event by name, or answers one that was.
    async fn desk(&mut self, side: usize, what: u16) {
        if self.sides[side].about != About::Places {
            return;
        }
        let subscription = self.sides[side].subscription(self.world());
        let taken = self.sides[side].events.iter().find_map(|(place, event)| match event.state {
            State::Desk { lease, .. } => Some((*place, lease)),
            _ => None,
        });
        if let Some((place, lease)) = taken.filter(|_| what.is_multiple_of(2)) {
            let ack = what.is_multiple_of(4);
            let requeue = Settle::Requeue { lease, delay: None };
            let answer = if ack { Settle::Ack(lease) } else { requeue };
            self.world().hub.settle_lease(&user(), &subscription, answer).await.unwrap();
            if ack {
                self.sides[side].events.get_mut(&place).unwrap().state = State::Done;
            } else {
                self.sides[side].back(place);
            }
            return;
        }
        let available = self.sides[side].available(self.now());
        let (hub, user) = (self.world().hub.clone(), user());
        let look = || hub.peek(&user, &subscription, Duration::ZERO);
        let mut peeked = look().await.unwrap();
        let first = available.first().map(|(_, _, offset)| *offset);
        if first.is_some() && peeked.next.is_none() {
            // Nothing is seen in strict order while what is over is on its way to the dead, for
            // which a look that does not wait does not wait either.
            tokio::time::sleep(Duration::from_millis(1)).await;
            peeked = look().await.unwrap();
        }
        assert_eq!(peeked.next.as_ref().map(|event| event.offset), first);
        let Some(&place) = available.get(usize::from(what) % available.len().max(1)) else {
            return;
        };
        let event = &self.sides[side].events[&place];
        let stream = self.stream(place.1);
        let event = EventRef {
            stream: event.stream,
            name: stream.name.clone(),
            offset: place.2,
            id: String::new(),
        };
        let hold = Duration::from_secs(15);
        let got = self.world().hub.lease(&user, &subscription, &event, hold).await.unwrap();
        let until = self.now() + 15_000;
        let event = self.sides[side].events.get_mut(&place).unwrap();
        event.deliveries += 1;
        assert!(event.is_said(&got));
        event.state = State::Desk { lease: got.lease, until };
    }

    async fn delete_stream(&mut self) {
        self.world().hub.delete_stream(&project_id("p"), &name("other")).await.unwrap();
        self.world().stream_called("other").await;
        let now = self.now();
        for side in &mut self.sides {
            let is_perhaps = |(place, event): &(&Place, &Event)| {
                place.1 == 1 && event.state != State::Done && side.is_over(**place, now)
            };
            let perhaps = side.events.iter().filter(is_perhaps).map(|(_, event)| event.n);
            let perhaps: Vec<u64> = perhaps.collect();
            side.perhaps_dead.extend(perhaps);
            for (_, event) in side.events.iter().filter(|((_, stream, _), _)| *stream == 1) {
                if let State::Held { consumer, lease, deadline } = event.state {
                    side.ghosts.push((consumer, lease, deadline));
                }
            }
            side.events.retain(|(_, stream, _), _| *stream == 0);
        }
    }

    async fn purge(&mut self, side: usize) {
        let subscription = self.sides[side].subscription(self.world());
        self.world().hub.purge_subscription(&subscription).await.unwrap();
        let (now, side) = (self.now(), &mut self.sides[side]);
        // Of those that are over nobody knows whether they were dead already.
        let over: Vec<bool> = side.events.keys().map(|place| side.is_over(*place, now)).collect();
        for (event, is_over) in side.events.values_mut().zip(over) {
            if event.state == State::Waiting && !is_over {
                event.state = State::Done;
            }
        }
    }

    /// A consumer comes, with what it asks for.
    async fn join(&mut self, side: usize, a: u16, b: u16) {
        if self.sides[side].present().count() >= 4 {
            return;
        }
        let takes = Some(u64::from(b) % 3).filter(|rest| *rest < 2);
        let takes = takes.filter(|_| self.sides[side].about == About::Selectors);
        let text = takes.map(|rest| if rest == 0 { "parity = 'even'" } else { "parity = 'odd'" });
        let options = ConsumerOptions {
            credit: u32::from(a) % 5 + 1,
            priority: u8::try_from(b / 3 % 3).unwrap(),
            exclusive: (b / 9).is_multiple_of(8),
            selector: text.map(|text| Selector::parse(text, Dialect::Plain).unwrap()),
            ..ConsumerOptions::default()
        };
        let (credit, priority, exclusive) = (options.credit, options.priority, options.exclusive);
        let world = self.world.as_ref().unwrap();
        let subscription = self.sides[side].subscription(world);
        let mut consumers = world.hub.consumers(&user());
        let id = consumers.add(&subscription, options).await.unwrap();
        let member = Member { consumers, id, credit, priority, exclusive, takes };
        self.sides[side].members.push(Some(member));
    }

    async fn apply(&mut self, (what, a, b, c): Operation) {
        let side = usize::from(c) % self.sides.len();
        match what {
            0..=19 => self.publish(usize::from(a) % 2, usize::from(b) % 4 + 1).await,
            20..=29 => self.join(side, a, b).await,
            30..=36 => {
                let count = self.sides[side].members.len().max(1);
                self.leave(side, usize::from(a) % count).await;
            }
            37..=55 => self.answer(side, 0, a, b).await,
            56..=61 => self.answer(side, 1, a, b).await,
            62..=67 => self.answer(side, 2, a, b).await,
            68..=71 => self.answer(side, 3, a, b).await,
            72..=75 => self.answer(side, 4, a, b).await,
            76..=78 => self.answer(side, 5, a, b).await,
            79..=80 => self.answer(side, 6, a, b).await,
            81..=85 => self.transact(side, a, b).await,
            86..=91 => self.desk(side, a).await,
            92..=94 => self.advance(i64::from(b) % 25_000 + 1).await,
            95..=97 => self.crash().await,
            98 => self.delete_stream().await,
            _ => self.purge(side).await,
        }
    }

    /// All dead letters are there, each once.
    async fn check_dead(&mut self) {
        self.crash().await;
        let world = self.world();
        let letters = new("dead", &["dead"], SubscriptionSettings::default());
        let letters = world.hub.create_subscription(&project_id("p"), letters).await.unwrap();
        let mut browse = world.hub.browse(&user(), &letters, None).await.unwrap();
        let mut found = Vec::new();
        while let Some(delivery) = browse.next().await {
            found.push(number(&delivery));
        }
        // When one that is over is met is nobody's promise, but that it is buried once and for good.
        let now = self.now();
        for side in &self.sides {
            for n in &side.dead {
                let at = found.iter().position(|known| known == n);
                found.remove(at.unwrap_or_else(|| panic!("{n} is not among the dead")));
            }
            let over = side.events.iter().filter(|(place, event)| {
                side.is_over(**place, now) && event.state == State::Waiting
            });
            for n in over.map(|(_, event)| event.n).chain(side.perhaps_dead.iter().copied()) {
                found.iter().position(|known| *known == n).map(|at| found.remove(at));
            }
        }
        assert!(found.is_empty(), "{found:?} are among the dead");
    }
}

/// The number of an event's key: of every three events one has none.
const fn key(n: u64) -> u64 {
    n % 3
}

/// An event as it is published.
fn text(n: u64) -> String {
    let parity = if n.is_multiple_of(2) { "even" } else { "odd" };
    let key = if key(n) == 0 { String::new() } else { format!(r#""key":"{}","#, key(n)) };
    format!(r#"{{"type":"CUSTOM",{key}"headers":{{"parity":"{parity}"}},"body":{{"n":{n}}}}}"#)
}

/// A case; `trace` is told of each operation before it is done.
fn run(set: Set, work: impl IntoIterator<Item = Operation>, trace: impl Fn(Operation)) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut machine = Machine::start(set).await;
        for operation in work {
            trace(operation);
            machine.apply(operation).await;
            machine.check().await;
        }
        machine.check_dead().await;
    });
}

#[test]
fn subscriptions_do_as_the_model_says() {
    let cases = std::env::var("OUTFLOW_SUBSCRIPTION_CASES").ok().and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(DEFAULT_CASES);
    let traces = std::env::var_os("OUTFLOW_SUBSCRIPTION_TRACE").is_some();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operation = (0..100_u8, any::<u16>(), any::<u16>(), any::<u16>());
    let work = prop::collection::vec(operation, OPERATIONS);
    let about = (0..3_u8).prop_map(|kind| match kind {
        0 => About::Places,
        1 => About::Selectors,
        _ => About::Groups,
    });
    let few = (0..4_u8).prop_map(|one| one == 0);
    let set =
        (about, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), few, any::<bool>());
    let set = set.prop_map(|(about, strict, lease, mortal, aging, exclusive, sparing)| Set {
        about,
        strict,
        lease,
        mortal,
        aging,
        exclusive,
        sparing,
    });
    let result = TestRunner::new(config).run(&(set, work), |(set, work)| {
        run(set, work, |operation| {
            if traces {
                println!("{operation:?} of {set:?}");
            }
        });
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
