//! A connection's subscriptions: SUBSCRIBE, UNSUBSCRIBE and what their messages are addressed by.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_hub::destination::Destination;
use outflow_hub::subscription::{ConsumerId, SubscriptionId};
use outflow_hub::{Delivery, Stream, Subscription};
use outflow_model::StreamId;

use super::held::Held;
use crate::error::Failure;
use crate::translate::destination::spell;
use crate::translate::message;
use crate::translate::wish::{AckMode, Wish};
use crate::wire::{FrameWriter, Version};

/// One subscription of the client, over one or more of the hub's.
#[derive(Debug)]
pub(super) struct Subscribed {
    /// The client's id; `None` only in 1.0.
    pub(super) id: Option<String>,
    /// The destination, as the client spelt it.
    pub(super) destination: String,
    pub(super) mode: AckMode,
    pub(super) is_browser: bool,
    pub(super) no_local: bool,
    /// What it asked for, and the destinations that may come to stand for more.
    pub(super) grows: Option<Box<(Wish, Vec<Destination>)>>,
    /// The header lines that all its messages have.
    pub(super) lines: Vec<u8>,
    pub(super) consumers: Vec<ConsumerId>,
    pub(super) held: Held,
}

/// What a consumer's messages are addressed by.
#[derive(Debug)]
pub(super) struct Source {
    /// The number of its subscription.
    pub(super) number: u32,
    /// The hub's subscription.
    subscription: SubscriptionId,
    /// The queue, as this client spells it; `None`: a topic, each stream one of its own.
    queue: Option<String>,
    /// The spellings for the stream of the last message.
    last: Option<Spelling>,
}

#[derive(Debug)]
struct Spelling {
    stream: StreamId,
    destination: String,
    original: Option<String>,
}

impl Source {
    /// The source of the messages of `subscription`, which is the client's with this `number`.
    pub(super) fn new(number: u32, subscription: &Subscription, session: &str) -> Self {
        let queue = Destination::of_subscription(subscription).map(|queue| spell(&queue, session));
        Self { number, subscription: subscription.id(), queue, last: None }
    }

    /// Where a message of `stream` comes from, and where it was sent to if that is elsewhere.
    pub(super) fn spell(&mut self, stream: &Stream, session: &str) -> (&str, Option<&str>) {
        if self.last.as_ref().is_none_or(|last| last.stream != stream.id) {
            let sent_to = spell(&Destination::of_stream(&stream.name), session);
            let (destination, original) = match &self.queue {
                Some(queue) if *queue == sent_to => (sent_to, None),
                Some(queue) => (queue.clone(), Some(sent_to)),
                None => (sent_to, None),
            };
            self.last = Some(Spelling { stream: stream.id, destination, original });
        }
        self.last.as_ref().map_or(("", None), |last| (&last.destination, last.original.as_deref()))
    }
}

/// All of a connection's subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By number. Numbers are not used twice: what is acked late must not hit another.
    by_number: BTreeMap<u32, Subscribed>,
    sources: BTreeMap<ConsumerId, Source>,
    next: u32,
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Adds what the hub made of `wish`.
    pub(super) fn add(
        &mut self,
        wish: Box<Wish>,
        destinations: &[Destination],
        consumers: &[(ConsumerId, Arc<Subscription>)],
        version: Version,
        session: &str,
    ) {
        let number = self.next;
        self.next += 1;
        let mut lines = Vec::new();
        if let Some(id) = &wish.id {
            // Only the header lines are wanted of it.
            FrameWriter::resume(&mut lines, version).header("subscription", id);
        }
        let grows: Vec<Destination> = wish.grows_with(destinations).cloned().collect();
        let subscribed = Subscribed {
            id: wish.id.clone(),
            destination: wish.destination.clone(),
            mode: wish.mode,
            is_browser: wish.browser,
            // Of topics only, as JMS has it: a queue's message that is not wanted here is another
            // consumer's.
            no_local: wish.no_local && destinations.iter().all(|one| !one.kind.is_queue()),
            grows: (!grows.is_empty()).then(|| Box::new((*wish, grows))),
            lines,
            consumers: Vec::new(),
            held: Held::default(),
        };
        self.by_number.insert(number, subscribed);
        self.extend(number, consumers, session);
    }

    /// Adds consumers to a subscription.
    pub(super) fn extend(
        &mut self,
        number: u32,
        consumers: &[(ConsumerId, Arc<Subscription>)],
        session: &str,
    ) {
        let Some(subscribed) = self.by_number.get_mut(&number) else { return };
        for (consumer, subscription) in consumers {
            self.sources.insert(*consumer, Source::new(number, subscription, session));
            subscribed.consumers.push(*consumer);
        }
    }

    /// The hub's subscriptions that serve one.
    pub(super) fn served_by(&self, number: u32) -> Vec<SubscriptionId> {
        let consumers = self.by_number.get(&number).map_or(&[][..], |one| &one.consumers);
        let sources = consumers.iter().filter_map(|consumer| self.sources.get(consumer));
        sources.map(|source| source.subscription).collect()
    }

    /// The number of the subscription with this id, or, in 1.0, of this destination (rule 13).
    pub(super) fn find(&self, id: Option<&str>, destination: Option<&str>) -> Option<u32> {
        let is_it = |one: &Subscribed| match id {
            Some(id) => one.id.as_deref() == Some(id),
            None => one.id.is_none() && Some(one.destination.as_str()) == destination,
        };
        self.by_number.iter().find(|(_, one)| is_it(one)).map(|(number, _)| *number)
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
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Subscribed)> {
        self.by_number.iter_mut().map(|(number, one)| (*number, one))
    }

    /// The subscription that a consumer's messages belong to, and what they are addressed by.
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
        for consumer in &removed.consumers {
            self.sources.remove(consumer);
        }
        Some(removed)
    }

    /// A consumer has ended by itself. Gives its subscription when it was the last one of it, and
    /// none can come.
    pub(super) fn end(&mut self, consumer: ConsumerId) -> Option<Subscribed> {
        let source = self.sources.remove(&consumer)?;
        let subscribed = self.by_number.get_mut(&source.number)?;
        subscribed.consumers.retain(|one| *one != consumer);
        let is_over = subscribed.consumers.is_empty() && subscribed.grows.is_none();
        if is_over { self.by_number.remove(&source.number) } else { None }
    }

    /// Whether some subscription does not want this connection's own messages.
    pub(super) fn any_no_local(&self) -> bool {
        self.by_number.values().any(|one| one.no_local)
    }
}

/// Where a dead letter was sent to, as this client spells it.
pub(super) fn died_in(delivery: &Delivery, session: &str) -> Option<String> {
    let stream = outflow_model::StreamName::new(&message::dead_of(&delivery.event)?).ok()?;
    Some(spell(&Destination::of_stream(&stream), session))
}

/// The failure of a subscription's id that is taken.
pub(super) fn taken(id: &str) -> Failure {
    Failure::malformed(format!("There is a subscription with the id `{id}` already"))
}
