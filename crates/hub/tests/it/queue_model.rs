//! Subscriptions against a plain model: random work with crashes, failures and time jumps.
//!
//! Long because the model and the work that it is held against are read together.
//!
//! `OUTFLOW_SUBSCRIPTION_CASES` says how many cases of [`OPERATIONS`] operations are run (soak:
//! 2,000); a case that fails prints what it did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use outflow_hub::subscription::{
    ConsumerId, Consumers, Delivered, Delivery, DeliveryOrder, EventRef, LeaseId, Settle,
    Subscription, SubscriptionSettings,
};
use outflow_hub::{Options, Stream};
use outflow_model::{Offset, StreamId};
use outflow_store::AppendError;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::queueing::{new, number, user, with_credit};
use crate::world::{World, name, open, project_id, world};

const OPERATIONS: usize = 200;
const DEFAULT_CASES: u32 = 300;

/// An operation: what, and three numbers that say on what.
type Operation = (u8, u16, u16, u16);

/// Where an event stands in the order: when it was taken, which stream, where in it.
type Place = (i64, usize, Offset);

#[derive(Debug, Clone, PartialEq)]
enum State {
    Waiting,
    Delayed {
        until: i64,
    },
    Held {
        consumer: usize,
        lease: LeaseId,
        deadline: Option<i64>,
    },
    Desk {
        lease: LeaseId,
        until: i64,
    },
    /// Answered in a transaction that has not ended.
    Answered,
    Done,
    /// The answer was refused: done in memory, perhaps not yet on the disk.
    Unsure {
        since: i64,
    },
}

#[derive(Debug, Clone)]
struct Event {
    n: u64,
    stream: StreamId,
    deliveries: u32,
    /// Whether it was handed out before a crash.
    was_given: bool,
    state: State,
}

impl Event {
    /// Whether this may be said of its being handed out: how often since the start, and that it was
    /// before if it was; perhaps also where others were before a crash.
    fn is_said(&self, delivery: &Delivery) -> bool {
        let was_given = self.was_given || self.deliveries > 1;
        delivery.deliveries == self.deliveries && (delivery.redelivered || !was_given)
    }
}

struct Member {
    consumers: Consumers,
    id: ConsumerId,
    credit: u32,
}

/// One subscription and what it should be.
struct Side {
    name: &'static str,
    settings: SubscriptionSettings,
    events: BTreeMap<Place, Event>,
    members: Vec<Option<Member>>,
    /// What consumers still hold of a deleted stream: who, by which lease, until when.
    ghosts: Vec<(usize, LeaseId, Option<i64>)>,
    dead: Vec<u64>,
}

struct Machine {
    world: Option<World>,
    sides: Vec<Side>,
    next: u64,
}

impl Side {
    fn new(name: &'static str, settings: SubscriptionSettings) -> Self {
        Self {
            name,
            settings,
            events: BTreeMap::new(),
            members: Vec::new(),
            ghosts: Vec::new(),
            dead: Vec::new(),
        }
    }

    fn held_by(&self, member: usize) -> Vec<(Place, LeaseId)> {
        let mut held: Vec<_> = self
            .events
            .iter()
            .filter_map(|(place, event)| match event.state {
                State::Held { consumer, lease, .. } if consumer == member => Some((*place, lease)),
                _ => None,
            })
            .collect();
        held.sort_by_key(|(_, lease)| *lease);
        held
    }

    /// What may be handed out, in order.
    fn available(&self) -> Vec<Place> {
        let strict = self.settings.order == DeliveryOrder::Strict;
        let is_out = |event: &Event| {
            !matches!(event.state, State::Waiting | State::Done | State::Unsure { .. })
        };
        if strict && (!self.ghosts.is_empty() || self.events.values().any(is_out)) {
            return Vec::new();
        }
        let waiting = self.events.iter().filter(|(_, event)| event.state == State::Waiting);
        waiting.map(|(place, _)| *place).take(if strict { 1 } else { usize::MAX }).collect()
    }

    fn room(&self) -> usize {
        let room = |(index, member): (usize, &Option<Member>)| {
            let member = member.as_ref()?;
            let ghosts = self.ghosts.iter().filter(|(of, ..)| *of == index).count();
            Some((member.credit as usize).saturating_sub(self.held_by(index).len() + ghosts))
        };
        self.members.iter().enumerate().filter_map(room).sum()
    }

    /// An event comes back.
    fn back(&mut self, place: Place) {
        let max = self.settings.max_deliveries;
        let event = self.events.get_mut(&place).unwrap();
        if max.is_some_and(|max| event.deliveries >= max) {
            event.state = State::Done;
            self.dead.push(event.n);
        } else {
            event.state = State::Waiting;
        }
    }

    fn subscription(&self, world: &World) -> Arc<Subscription> {
        world.hub.subscription(&project_id("p"), self.name).unwrap()
    }
}

impl Machine {
    async fn start(strict: bool, lease: bool, mortal: bool) -> Self {
        let world = world().await;
        world.stream_called("other").await;
        let settings = SubscriptionSettings {
            order: if strict { DeliveryOrder::Strict } else { DeliveryOrder::Normal },
            lease: lease.then_some(Duration::from_secs(30)),
            max_deliveries: mortal.then_some(3),
            dead_letter: Some(name("dead")),
            ..Default::default()
        };
        world.stream_called("dead").await;
        for (name, settings) in [("a", &settings), ("b", &SubscriptionSettings::default())] {
            let new = new(name, &["events", "other"], settings.clone());
            world.hub.create_subscription(&project_id("p"), new).await.unwrap();
        }
        let sides = vec![Side::new("a", settings), Side::new("b", Default::default())];
        Self { world: Some(world), sides, next: 0 }
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
            let mut expected = side.available();
            expected.truncate(side.room());
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
            let mut places = Vec::new();
            for (index, delivery) in got {
                let place = place(&delivery);
                let event = side.events.get_mut(&place).expect("an event that was published");
                assert_eq!(event.state, State::Waiting, "{}: {place:?}", side.name);
                assert_eq!(event.n, number(&delivery));
                event.deliveries += 1;
                assert!(event.is_said(&delivery), "{}: {place:?}", side.name);
                let deadline = side.settings.lease.map(|lease| now + lease.as_millis() as i64);
                assert_eq!(delivery.deadline.map(|at| at.millis()), deadline);
                event.state = State::Held { consumer: index, lease: delivery.lease, deadline };
                places.push(place);
            }
            places.sort_unstable();
            assert_eq!(places, expected, "{}: what is handed out", side.name);
        }
    }

    async fn publish(&mut self, to: usize, count: usize) {
        // Of what two streams took in the same moment either may come first.
        self.advance(1).await;
        let stream = self.stream(to);
        let texts: Vec<_> = (0..count as u64)
            .map(|n| format!(r#"{{"type":"CUSTOM","body":{{"n":{}}}}}"#, self.next + n))
            .collect();
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
                let event =
                    Event { n, stream, deliveries: 0, was_given: false, state: State::Waiting };
                side.events.insert((now, to, *offset), event);
            }
        }
    }

    async fn crash(&mut self) {
        for side in &mut self.sides {
            side.members.clear();
            side.ghosts.clear();
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
        self.world = Some(open(&clock, &engine, Options::default()).await);
        // What was refused may have been lost with it.
        for side in 0..self.sides.len() {
            let subscription = self.sides[side].subscription(self.world());
            let browse = self.world().hub.browse(&user(), &subscription, None).await;
            let mut browse = browse.unwrap();
            let mut open = std::collections::BTreeSet::new();
            while let Some(delivery) = browse.next().await {
                open.insert(place(&delivery));
            }
            for (place, event) in &mut self.sides[side].events {
                let is_open = open.remove(place);
                if matches!(event.state, State::Unsure { .. }) {
                    event.state = if is_open { State::Waiting } else { State::Done };
                }
                assert_eq!(is_open, event.state == State::Waiting, "{place:?} after a crash");
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
        let text = format!(r#"{{"type":"CUSTOM","body":{{"n":{}}}}}"#, self.next);
        let draft = self.world().draft(&[&text]);
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
        let available = self.sides[side].available();
        let peeked = self.world().hub.peek(&user(), &subscription, Duration::ZERO).await.unwrap();
        let first = available.first().map(|(_, _, offset)| *offset);
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
        let got = self.world().hub.lease(&user(), &subscription, &event, hold).await.unwrap();
        let until = self.now() + 15_000;
        let event = self.sides[side].events.get_mut(&place).unwrap();
        event.deliveries += 1;
        assert!(event.is_said(&got));
        event.state = State::Desk { lease: got.lease, until };
    }

    async fn delete_stream(&mut self) {
        self.world().hub.delete_stream(&project_id("p"), &name("other")).await.unwrap();
        self.world().stream_called("other").await;
        for side in &mut self.sides {
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
        for event in self.sides[side].events.values_mut() {
            if event.state == State::Waiting {
                event.state = State::Done;
            }
        }
    }

    async fn apply(&mut self, (what, a, b, c): Operation) {
        let side = usize::from(c) % self.sides.len();
        match what {
            0..=19 => self.publish(usize::from(a) % 2, usize::from(b) % 4 + 1).await,
            20..=29 => {
                let world = self.world.as_ref().unwrap();
                let subscription = self.sides[side].subscription(world);
                let mut consumers = world.hub.consumers(&user());
                let credit = u32::from(a) % 5 + 1;
                let id = consumers.add(&subscription, with_credit(credit)).await.unwrap();
                if self.sides[side].members.iter().flatten().count() < 4 {
                    self.sides[side].members.push(Some(Member { consumers, id, credit }));
                }
            }
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
        found.sort_unstable();
        let mut expected = self.sides.iter().flat_map(|side| side.dead.clone()).collect::<Vec<_>>();
        expected.sort_unstable();
        assert_eq!(found, expected, "dead letters");
    }
}

fn place(delivery: &Delivery) -> Place {
    let stream = usize::from(delivery.stream.name.as_str() == "other");
    (delivery.event.meta().processed.millis(), stream, delivery.event.offset())
}

#[test]
fn subscriptions_do_as_the_model_says() {
    let cases = std::env::var("OUTFLOW_SUBSCRIPTION_CASES").ok().and_then(|text| text.parse().ok());
    let cases = cases.unwrap_or(DEFAULT_CASES);
    let traces = std::env::var_os("OUTFLOW_SUBSCRIPTION_TRACE").is_some();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let operation = (0..100_u8, any::<u16>(), any::<u16>(), any::<u16>());
    let work = prop::collection::vec(operation, OPERATIONS);
    let settings = (any::<bool>(), any::<bool>(), any::<bool>());
    let result =
        TestRunner::new(config).run(&(settings, work), |((strict, lease, mortal), work)| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut machine = Machine::start(strict, lease, mortal).await;
                for operation in work {
                    if traces {
                        println!("{operation:?} of {:?}", (strict, lease, mortal));
                    }
                    machine.apply(operation).await;
                    machine.check().await;
                }
                machine.check_dead().await;
            });
            Ok(())
        });
    result.unwrap_or_else(|error| panic!("{error}"));
}
