//! One subscription as the model has it: its events, its consumers, and who should get what.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_hub::subscription::{
    ConsumerId, Consumers, Delivery, DeliveryOrder, LeaseId, Subscription, SubscriptionSettings,
};
use outflow_model::{Offset, StreamId};

use crate::queueing::number;
use crate::world::{World, project_id};

/// Where an event stands in the order: when it was taken, which stream, where in it.
pub(super) type Place = (i64, usize, Offset);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
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
pub(super) struct Event {
    pub(super) n: u64,
    /// Its key's number; 0: it has none.
    pub(super) key: u64,
    pub(super) stream: StreamId,
    pub(super) deliveries: u32,
    /// Whether it was handed out before a crash.
    pub(super) was_given: bool,
    pub(super) state: State,
}

impl Event {
    /// Whether this may be said of its being handed out: how often since the start, and that it was
    /// before if it was; perhaps also where others were before a crash.
    pub(super) fn is_said(&self, delivery: &Delivery) -> bool {
        let was_given = self.was_given || self.deliveries > 1;
        delivery.deliveries == self.deliveries && (delivery.redelivered || !was_given)
    }
}

pub(super) struct Member {
    pub(super) consumers: Consumers,
    pub(super) id: ConsumerId,
    pub(super) credit: u32,
    pub(super) priority: u8,
    pub(super) exclusive: bool,
    /// The rest of the numbers that it takes, by two.
    pub(super) takes: Option<u64>,
}

impl Member {
    pub(super) fn wants(&self, event: &Event) -> bool {
        self.takes.is_none_or(|rest| event.n % 2 == rest)
    }
}

/// What a case is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Mailboxes' calls as well, and strict order.
    Places,
    /// Consumers that choose, in normal order.
    Selectors,
    /// Events of a key stick to a consumer, in normal order.
    Groups,
}

/// How the first subscription is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    pub(super) about: About,
    pub(super) strict: bool,
    pub(super) lease: bool,
    pub(super) mortal: bool,
    /// Whether events are over after a while, and whether it serves one consumer at a time.
    pub(super) aging: bool,
    pub(super) exclusive: bool,
    /// Whether few steps of selectors are taken at once.
    pub(super) sparing: bool,
}

/// One subscription and what it should be.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) settings: SubscriptionSettings,
    pub(super) about: About,
    pub(super) events: BTreeMap<Place, Event>,
    /// Whose the keys are.
    pub(super) owners: BTreeMap<u64, usize>,
    pub(super) members: Vec<Option<Member>>,
    /// What consumers still hold of a deleted stream: who, by which lease, until when.
    pub(super) ghosts: Vec<(usize, LeaseId, Option<i64>)>,
    pub(super) dead: Vec<u64>,
    /// Those that may be dead: over, and gone with their stream since.
    pub(super) perhaps_dead: Vec<u64>,
}

impl Side {
    pub(super) fn new(name: &'static str, settings: SubscriptionSettings, about: About) -> Self {
        Self {
            name,
            settings,
            about,
            owners: BTreeMap::new(),
            events: BTreeMap::new(),
            members: Vec::new(),
            ghosts: Vec::new(),
            dead: Vec::new(),
            perhaps_dead: Vec::new(),
        }
    }

    pub(super) fn held_by(&self, member: usize) -> Vec<(Place, LeaseId)> {
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

    /// Whether an event is too old to be handed out.
    pub(super) fn is_over(&self, place: Place, now: i64) -> bool {
        let age = self.settings.max_age.map(|age| i64::try_from(age.as_millis()).unwrap());
        age.is_some_and(|age| place.0 + age <= now)
    }

    /// What may be handed out, in order.
    pub(super) fn available(&self, now: i64) -> Vec<Place> {
        let strict = self.settings.order == DeliveryOrder::Strict;
        let is_out = |event: &Event| {
            !matches!(event.state, State::Waiting | State::Done | State::Unsure { .. })
        };
        if strict && (!self.ghosts.is_empty() || self.events.values().any(is_out)) {
            return Vec::new();
        }
        let waiting = self.events.iter().filter(|(_, event)| event.state == State::Waiting);
        let waiting = waiting.map(|(place, _)| *place).filter(|place| !self.is_over(*place, now));
        waiting.take(if strict { 1 } else { usize::MAX }).collect()
    }

    /// How much more each member takes; of those who left, nothing.
    pub(super) fn rooms(&self) -> Vec<usize> {
        let room = |(index, member): (usize, &Option<Member>)| {
            let Some(member) = member else { return 0 };
            let ghosts = self.ghosts.iter().filter(|(of, ..)| *of == index).count();
            (member.credit as usize).saturating_sub(self.held_by(index).len() + ghosts)
        };
        self.members.iter().enumerate().map(room).collect()
    }

    /// The members that are there, with their numbers.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Member)> {
        let there = |(index, member)| Some((index, Option::as_ref(member)?));
        self.members.iter().enumerate().filter_map(there)
    }

    /// The one member that is served, if only one is: those who ask for it first, then the highest
    /// priority, then whoever came first.
    pub(super) fn only(&self) -> Option<usize> {
        if !self.settings.exclusive && !self.present().any(|(_, member)| member.exclusive) {
            return None;
        }
        let rank = |(index, member): &(usize, &Member)| {
            (!member.exclusive, std::cmp::Reverse(member.priority), *index)
        };
        self.present().min_by_key(rank).map(|(index, _)| index)
    }

    /// Who may have the first of what is left, as things stand; nobody: it waits.
    pub(super) fn takers(&self, event: &Event, rooms: &[usize], kept: &mut [usize]) -> Vec<usize> {
        if let Some(only) = self.only() {
            let wants = self.members[only].as_ref().is_some_and(|member| member.wants(event));
            return if wants && rooms[only] > 0 { vec![only] } else { Vec::new() };
        }
        if let Some(&owner) = self.owners.get(&event.key) {
            let has_room = rooms[owner] > 0 && kept[owner] == 0;
            kept[owner] += usize::from(!has_room);
            return if has_room { vec![owner] } else { Vec::new() };
        }
        let fits = |(index, member): &(usize, &Member)| {
            rooms[*index] > 0 && kept[*index] == 0 && member.wants(event)
        };
        let fitting: Vec<_> = self.present().filter(fits).collect();
        let highest = fitting.iter().map(|(_, member)| member.priority).max();
        let of_highest = fitting.iter().filter(|(_, member)| Some(member.priority) == highest);
        of_highest.map(|(index, _)| *index).collect()
    }

    /// Holds what was handed out now against who should have got what, in order.
    pub(super) fn judge(&mut self, now: i64, mut given: BTreeMap<Place, (usize, Delivery)>) {
        let mut rooms = self.rooms();
        let mut kept = vec![0; rooms.len()];
        for place in self.available(now) {
            let event = &self.events[&place];
            let takers = self.takers(event, &rooms, &mut kept);
            let Some((member, delivery)) = given.remove(&place) else {
                assert!(takers.is_empty(), "{}: {place:?} waits for {takers:?}", self.name);
                continue;
            };
            assert!(takers.contains(&member), "{}: {place:?}: {member}, not {takers:?}", self.name);
            let (key, old) = (event.key, self.owners.get(&event.key).copied());
            let is_grouped = self.settings.group_by_key && key != 0;
            assert_eq!(delivery.first_of_group, is_grouped && old != Some(member), "{place:?}");
            if is_grouped {
                self.owners.insert(key, member);
            }
            rooms[member] -= 1;
            let event = self.events.get_mut(&place).unwrap();
            assert_eq!(event.n, number(&delivery));
            event.deliveries += 1;
            assert!(event.is_said(&delivery), "{}: {place:?}", self.name);
            let deadline = self.settings.lease.map(|lease| now + lease.as_millis() as i64);
            assert_eq!(delivery.deadline.map(|at| at.millis()), deadline);
            event.state = State::Held { consumer: member, lease: delivery.lease, deadline };
        }
        assert!(given.is_empty(), "{}: not to be handed out: {given:?}", self.name);
    }

    /// An event comes back.
    pub(super) fn back(&mut self, place: Place) {
        let max = self.settings.max_deliveries;
        let event = self.events.get_mut(&place).unwrap();
        if max.is_some_and(|max| event.deliveries >= max) {
            event.state = State::Done;
            self.dead.push(event.n);
        } else {
            event.state = State::Waiting;
        }
    }

    pub(super) fn subscription(&self, world: &World) -> Arc<Subscription> {
        world.hub.subscription(&project_id("p"), self.name).unwrap()
    }
}

pub(super) fn place(delivery: &Delivery) -> Place {
    let stream = usize::from(delivery.stream.name.as_str() == "other");
    (delivery.event.meta().processed.millis(), stream, delivery.event.offset())
}
