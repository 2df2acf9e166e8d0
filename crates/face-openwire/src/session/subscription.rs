//! A connection's consumers, and what their messages are addressed by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use outflow_hub::destination::Destination;
use outflow_hub::subscription::{ConsumerId, SubscriptionId};
use outflow_hub::{Stream, Subscription};
use outflow_model::StreamId;
use tokio::time::Instant;

use super::held::Held;
use crate::translate::destination::write;
use crate::translate::wish::Wish;
use crate::wire;

/// One consumer of the client, over one or more of the hub's.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) id: wire::ConsumerId,
    pub(super) is_browser: bool,
    pub(super) no_local: bool,
    /// Messages sent and not acked at once; 0: only when pulled.
    pub(super) prefetch: u32,
    /// What it asked for, where that may come to stand for more queues.
    pub(super) grows: Option<Box<Wish>>,
    /// The destination as the client has it.
    pub(super) destination: wire::Destination,
    pub(super) consumers: Vec<ConsumerId>,
    pub(super) held: Held,
    /// The message it has asked for.
    pub(super) pull: Option<Pull>,
}

/// A message asked for, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pull {
    /// `None`: for ever.
    pub(super) until: Option<Instant>,
}

/// What a consumer's messages are addressed by.
#[derive(Debug)]
pub(super) struct Source {
    /// The number of its consumer.
    pub(super) number: u32,
    /// The hub's subscription.
    subscription: SubscriptionId,
    /// The queue; `None`: a topic, each stream one of its own.
    queue: Option<wire::Destination>,
    /// The addresses for the stream of the last message.
    last: Option<Address>,
}

/// Where the messages of one stream come from, and where they were sent to if that is elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Address {
    stream: StreamId,
    pub(super) destination: wire::Destination,
    pub(super) original: Option<wire::Destination>,
}

impl Source {
    fn new(number: u32, subscription: &Subscription) -> Self {
        let queue = Destination::of_subscription(subscription).map(|queue| write(&queue));
        Self { number, subscription: subscription.id(), queue, last: None }
    }

    /// Where a message of `stream` comes from.
    pub(super) fn address(&mut self, stream: &Stream) -> Address {
        if let Some(last) = &self.last
            && last.stream == stream.id
        {
            return last.clone();
        }
        let sent_to = write(&Destination::of_stream(&stream.name));
        let (destination, original) = match &self.queue {
            Some(queue) if *queue != sent_to => (queue.clone(), Some(sent_to)),
            _ => (sent_to, None),
        };
        let address = Address { stream: stream.id, destination, original };
        self.last.insert(address).clone()
    }
}

/// All of a connection's consumers.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By number. Numbers are not used twice.
    by_number: BTreeMap<u32, Subscribed>,
    numbers: HashMap<wire::ConsumerId, u32>,
    sources: BTreeMap<ConsumerId, Source>,
    next: u32,
    /// How many pulls end at a certain time.
    timed: usize,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Adds what the hub made of `wish`.
    pub(super) fn add(&mut self, wish: Box<Wish>, consumers: &[(ConsumerId, Arc<Subscription>)]) {
        let number = self.next;
        self.next += 1;
        self.numbers.insert(wish.id.clone(), number);
        let subscribed = Subscribed {
            id: wish.id.clone(),
            is_browser: wish.browser,
            no_local: wish.no_local,
            prefetch: wish.prefetch,
            destination: wish.destination.clone(),
            grows: wish.grows().then(|| wish.growing()),
            consumers: Vec::new(),
            held: Held::default(),
            pull: None,
        };
        self.by_number.insert(number, subscribed);
        self.extend(number, consumers);
    }

    /// Adds consumers to one.
    pub(super) fn extend(&mut self, number: u32, consumers: &[(ConsumerId, Arc<Subscription>)]) {
        let Some(subscribed) = self.by_number.get_mut(&number) else { return };
        for (consumer, subscription) in consumers {
            self.sources.insert(*consumer, Source::new(number, subscription));
            subscribed.consumers.push(*consumer);
        }
    }

    /// The hub's subscriptions that serve one.
    pub(super) fn served_by(&self, number: u32) -> Vec<SubscriptionId> {
        let consumers = self.by_number.get(&number).map_or(&[][..], |one| &one.consumers);
        let sources = consumers.iter().filter_map(|consumer| self.sources.get(consumer));
        sources.map(|source| source.subscription).collect()
    }

    /// The number of the consumer that the client calls so.
    pub(super) fn find(&self, id: &wire::ConsumerId) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    pub(super) fn get(&self, number: u32) -> Option<&Subscribed> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Subscribed> {
        self.by_number.get_mut(&number)
    }

    /// All, in the order of their making.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Subscribed)> {
        self.by_number.iter().map(|(number, one)| (*number, one))
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscribed> {
        self.by_number.values_mut()
    }

    /// The consumer that a consumer of the hub serves, and what its messages are addressed by.
    pub(super) fn of_consumer(
        &mut self,
        consumer: ConsumerId,
    ) -> Option<(&mut Subscribed, &mut Source)> {
        let source = self.sources.get_mut(&consumer)?;
        let subscribed = self.by_number.get_mut(&source.number)?;
        Some((subscribed, source))
    }

    /// Removes one; what it holds is no longer known.
    pub(super) fn remove(&mut self, number: u32) -> Option<Subscribed> {
        let removed = self.by_number.remove(&number)?;
        self.numbers.remove(&removed.id);
        for consumer in &removed.consumers {
            self.sources.remove(consumer);
        }
        Some(removed)
    }

    /// A consumer of the hub has ended by itself. Gives the client's when it was the last one of
    /// it, and none can come.
    pub(super) fn end(&mut self, consumer: ConsumerId) -> Option<Subscribed> {
        let source = self.sources.remove(&consumer)?;
        let subscribed = self.by_number.get_mut(&source.number)?;
        subscribed.consumers.retain(|one| *one != consumer);
        let is_over = subscribed.consumers.is_empty() && subscribed.grows.is_none();
        if is_over { self.remove(source.number) } else { None }
    }

    /// Whether some consumer does not want this connection's own messages.
    pub(super) fn any_no_local(&self) -> bool {
        self.by_number.values().any(|one| one.no_local)
    }

    /// When the first pull ends.
    pub(super) fn first_due(&self) -> Option<Instant> {
        if self.timed == 0 {
            return None;
        }
        self.by_number.values().filter_map(|one| one.pull?.until).min()
    }

    /// Notes that pulls which end at a certain time came or went.
    pub(super) fn recount(&mut self) {
        let timed = |one: &&Subscribed| one.pull.is_some_and(|pull| pull.until.is_some());
        self.timed = self.by_number.values().filter(timed).count();
    }
}
