//! A connection's subscriptions, each over one or more consumers of the hub, and what their messages
//! are addressed by.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_hub::destination::Destination;
use outflow_hub::subscription::{ConsumerId, SubscriptionId};
use outflow_hub::{Stream, Subscription};
use outflow_model::StreamId;

use crate::held::Held;
use crate::wish::Wish;

/// One subscription of the client. `X` is what its face keeps of it.
#[derive(Debug)]
pub struct Subscribed<X> {
    /// What the face keeps of it.
    pub own: X,
    /// Whether it only looks.
    pub is_browser: bool,
    /// Whether it wants none of this connection's own messages.
    pub no_local: bool,
    /// What it asked for, where that may come to stand for more queues.
    pub grows: Option<Box<Wish>>,
    /// The consumers that serve it.
    pub consumers: Vec<ConsumerId>,
    /// What the client has of it.
    pub held: Held,
}

/// What a consumer's messages are addressed by. `D` is a destination as the client has it.
#[derive(Debug)]
pub struct Source<D> {
    /// The number of its subscription.
    pub number: u32,
    /// The hub's subscription.
    subscription: SubscriptionId,
    /// The queue; `None`: a topic, each stream one of its own.
    queue: Option<D>,
    /// The addresses for the stream of the last message.
    last: Option<(StreamId, Address<D>)>,
}

/// Where the messages of one stream come from, and where they were sent to if that is elsewhere.
#[derive(Debug, Clone)]
pub struct Address<D> {
    /// Where they come from.
    pub destination: D,
    /// Where they were sent to, if that is elsewhere.
    pub original: Option<D>,
}

impl<D: Clone + PartialEq> Source<D> {
    /// Where a message of `stream` comes from. `spell` gives destinations the client's form.
    pub fn address(&mut self, stream: &Stream, spell: impl Fn(&Destination) -> D) -> &Address<D> {
        let address = || {
            let sent_to = spell(&Destination::of_stream(&stream.name));
            let (destination, original) = match &self.queue {
                Some(queue) if *queue != sent_to => (queue.clone(), Some(sent_to)),
                _ => (sent_to, None),
            };
            (stream.id, Address { destination, original })
        };
        let known = self.last.take().filter(|(of, _)| *of == stream.id);
        let (_, address) = self.last.insert(known.unwrap_or_else(address));
        address
    }
}

/// All of a connection's subscriptions.
#[derive(Debug)]
pub struct Subscriptions<X, D> {
    /// By number. Numbers are not used twice: what is acked late must not hit another.
    by_number: BTreeMap<u32, Subscribed<X>>,
    sources: BTreeMap<ConsumerId, Source<D>>,
    next: u32,
    /// How many of them do not want this connection's own messages.
    no_local: usize,
}

impl<X, D> Default for Subscriptions<X, D> {
    fn default() -> Self {
        Self { by_number: BTreeMap::new(), sources: BTreeMap::new(), next: 0, no_local: 0 }
    }
}

impl<X, D> Subscriptions<X, D> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Adds what the hub made of `wish`; gives its number.
    pub fn add(
        &mut self,
        wish: Box<Wish>,
        own: X,
        consumers: &[(ConsumerId, Arc<Subscription>)],
        spell: impl Fn(&Destination) -> D,
    ) -> u32 {
        let number = self.next;
        self.next += 1;
        self.no_local += usize::from(wish.no_local);
        let subscribed = Subscribed {
            own,
            is_browser: wish.browser,
            no_local: wish.no_local,
            grows: wish.grows().then(|| wish.growing()),
            consumers: Vec::new(),
            held: Held::default(),
        };
        self.by_number.insert(number, subscribed);
        self.extend(number, consumers, spell);
        number
    }

    /// Adds consumers to one.
    pub fn extend(
        &mut self,
        number: u32,
        consumers: &[(ConsumerId, Arc<Subscription>)],
        spell: impl Fn(&Destination) -> D,
    ) {
        let Some(subscribed) = self.by_number.get_mut(&number) else { return };
        for (consumer, subscription) in consumers {
            let queue = Destination::of_subscription(subscription).map(|queue| spell(&queue));
            let subscription = subscription.id();
            self.sources.insert(*consumer, Source { number, subscription, queue, last: None });
            subscribed.consumers.push(*consumer);
        }
    }

    /// What has to be looked up again now that a queue was made: each with wildcards.
    #[must_use]
    pub fn widen(&self) -> Vec<(u32, Box<Wish>)> {
        self.iter().filter_map(|(number, one)| Some((number, one.grows.clone()?))).collect()
    }

    /// The hub's subscriptions that serve one.
    #[must_use]
    pub fn served_by(&self, number: u32) -> Vec<SubscriptionId> {
        let consumers = self.by_number.get(&number).map_or(&[][..], |one| &one.consumers);
        let sources = consumers.iter().filter_map(|consumer| self.sources.get(consumer));
        sources.map(|source| source.subscription).collect()
    }

    /// The one with this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Subscribed<X>> {
        self.by_number.get(&number)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut Subscribed<X>> {
        self.by_number.get_mut(&number)
    }

    /// All, in the order of their making.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Subscribed<X>)> {
        self.by_number.iter().map(|(number, one)| (*number, one))
    }

    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Subscribed<X>)> {
        self.by_number.iter_mut().map(|(number, one)| (*number, one))
    }

    /// The subscription that a consumer's messages belong to, and what they are addressed by.
    pub fn of_consumer(
        &mut self,
        consumer: ConsumerId,
    ) -> Option<(&mut Subscribed<X>, &mut Source<D>)> {
        let source = self.sources.get_mut(&consumer)?;
        let subscribed = self.by_number.get_mut(&source.number)?;
        Some((subscribed, source))
    }

    /// Removes one; what it holds is no longer known.
    pub fn remove(&mut self, number: u32) -> Option<Subscribed<X>> {
        let removed = self.by_number.remove(&number)?;
        self.no_local -= usize::from(removed.no_local);
        for consumer in &removed.consumers {
            self.sources.remove(consumer);
        }
        Some(removed)
    }

    /// A consumer has ended by itself. Gives its subscription when it was the last one of it, and
    /// none can come.
    pub fn end(&mut self, consumer: ConsumerId) -> Option<Subscribed<X>> {
        let source = self.sources.remove(&consumer)?;
        let subscribed = self.by_number.get_mut(&source.number)?;
        subscribed.consumers.retain(|one| *one != consumer);
        let is_over = subscribed.consumers.is_empty() && subscribed.grows.is_none();
        if is_over { self.remove(source.number) } else { None }
    }

    /// Whether some do not want this connection's own messages.
    #[must_use]
    pub const fn any_no_local(&self) -> bool {
        self.no_local > 0
    }
}
