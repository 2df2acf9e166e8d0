//! Consumers of advisories: a connection is told which temporary destinations there are, and, where
//! it asks, of connections, consumers, producers, queues and topics (reference `activemq.md` a5,
//! Advisories). The other topics of advisories have no messages here.
//!
//! Whoever is kept to streams or destinations, or may not read, is told of temporary ones only.

use std::collections::HashSet;
use std::sync::Arc;

use outflow_broker::Wish;
use outflow_hub::destination::{Destination, Kind};
use outflow_model::destination::covers;
use outflow_model::{Action, Grant};

use super::live::{Advice, Interest, MAX_LASTING, News, Owner, QUEUE, TOPIC, Watch};
use super::presence::Word;
use super::{Asked, Outbox, Session, Step, Work};
use crate::translate::destination;
use crate::translate::wish::Ask;
use crate::wire::primitive::{self, Primitive};
use crate::wire::{
    self, Command, ConnectionId, ConnectionInfo, ConsumerId, ConsumerInfo, DestinationInfo,
    DestinationKind, Identity, Message, MessageDispatch, MessageId, MessageKind, ProducerId,
    ProducerInfo,
};

/// The topics of temporary destinations.
const TEMP_QUEUE: &str = "ActiveMQ.Advisory.TempQueue";
const TEMP_TOPIC: &str = "ActiveMQ.Advisory.TempTopic";

/// How many destinations a connection is known to know.
const MAX_KNOWN: usize = 100_000;

/// A connection's consumers of advisories.
#[derive(Debug, Default)]
pub(super) struct Advised {
    consumers: Vec<(ConsumerId, Vec<String>)>,
    /// What the client was told of.
    known: HashSet<wire::Destination>,
    /// What others make and remove.
    pub(super) news: Option<News>,
    /// How it is told, once it is.
    watch: Option<Watch>,
}

impl Advised {
    pub(super) const fn len(&self) -> usize {
        self.consumers.len()
    }

    pub(super) fn has(&self, id: &ConsumerId) -> bool {
        self.consumers.iter().any(|(known, _)| known == id)
    }

    pub(super) fn remove(&mut self, is_it: impl Fn(&ConsumerId) -> bool) {
        self.consumers.retain(|(id, _)| !is_it(id));
    }
}

/// The topic that tells of destinations of this kind.
const fn topic(kind: DestinationKind) -> &'static str {
    match kind {
        DestinationKind::TempTopic => TEMP_TOPIC,
        DestinationKind::TempQueue => TEMP_QUEUE,
        DestinationKind::Topic => TOPIC,
        DestinationKind::Queue => QUEUE,
    }
}

/// Whether all that a topic tells of is temporary destinations.
fn is_modest(topic: &str) -> bool {
    topic == TEMP_QUEUE || topic == TEMP_TOPIC
}

/// Whether the owner of a grant may know of what others of its project do.
fn may_know(grant: &Grant) -> bool {
    let reads = grant.project.as_ref().is_some_and(|project| grant.allows(Action::Read, project));
    reads && grant.streams.is_none()
}

impl Session {
    /// Adds a consumer of advisories, and tells it what there is.
    pub(super) fn advise(
        &mut self,
        id: &ConsumerId,
        topics: Vec<String>,
        asked: &Asked,
        out: &mut Outbox,
    ) {
        asked.write(Ok(()), out);
        if self.advised.consumers.iter().any(|(known, _)| known == id) {
            // A client that reconnects may say it twice.
            return;
        }
        let Some(opened) = &self.opened else { return };
        let interest = self.interest(&opened.grant, &topics);
        let owner = Owner::of(&opened.grant);
        let (there, news) = self.face.live.watch(&owner, interest, &mut self.advised.watch);
        if news.is_some() {
            self.advised.news = news;
        }
        // What is there now is told to the new one only.
        let others = std::mem::replace(&mut self.advised.consumers, vec![(id.clone(), topics)]);
        for advice in &there {
            self.tell(advice, Some(id), out);
        }
        self.advised.consumers.splice(0..0, others);
    }

    /// What of these topics is more than temporary destinations.
    fn interest<'a>(&self, grant: &Grant, topics: &'a [String]) -> Option<Interest<'a>> {
        if !may_know(grant) || topics.iter().all(|topic| is_modest(topic)) {
            return None;
        }
        let wants = |topic: &str| topics.iter().any(|wanted| covers(wanted, topic));
        let hub = &self.face.hub;
        let mut lasting = Vec::new();
        // Who is kept to destinations is told of those that its own connections use.
        if let Some(project) = grant.project.as_ref().filter(|_| grant.destinations.is_none()) {
            if wants(QUEUE) {
                let queues = hub.subscriptions(project);
                lasting.extend(queues.iter().filter_map(|one| Destination::of_subscription(one)));
            }
            if wants(TOPIC) {
                let streams = hub.streams(project);
                lasting.extend(streams.iter().map(|one| Destination::of_stream(&one.name)));
            }
            let is_queue = |one: &Destination| one.kind == Kind::Queue && wants(QUEUE);
            let is_topic = |one: &Destination| one.kind == Kind::Topic && wants(TOPIC);
            lasting.retain(|one| is_queue(one) || is_topic(one));
            lasting.truncate(MAX_LASTING);
        }
        Some(Interest { session: self.number, topics, lasting })
    }

    /// Others made or removed destinations.
    pub(super) fn told(&mut self, all: &[Advice], out: &mut Outbox) -> Step {
        if all.is_empty() {
            tracing::info!(session = self.number, "the client does not take its advisories");
            return Step::Then(Work::Close);
        }
        for advice in all {
            self.tell(advice, None, out);
        }
        Step::Done
    }

    /// Tells all that want to hear it; `target`: the one that it is told to alone.
    fn tell(&mut self, advice: &Advice, target: Option<&ConsumerId>, out: &mut Outbox) {
        match advice {
            Advice::Destination { destination, connection, is_made } => {
                let told = destination::write(destination);
                if !is_made {
                    self.advised.known.remove(&told);
                } else if destination.kind.is_temporary() && self.advised.known.len() < MAX_KNOWN {
                    self.advised.known.insert(told.clone());
                }
                let data = DestinationInfo {
                    connection_id: Some(ConnectionId { value: Some(Arc::clone(connection)) }),
                    destination: Some(told.clone()),
                    operation_type: i8::from(!is_made),
                    ..DestinationInfo::default()
                };
                let data = Command::DestinationInfo(data);
                self.dispatch_advice(topic(told.kind), &data, None, target, out);
            }
            Advice::Word(word) => {
                let Word { topic, data, count } = &**word;
                self.dispatch_advice(topic, data, *count, target, out);
            }
        }
    }

    /// Sees to it that the client knows a temporary destination before it is asked to send there.
    pub(super) fn tell_of(&mut self, reply_to: &wire::Destination, out: &mut Outbox) {
        let is_temporary =
            matches!(reply_to.kind, DestinationKind::TempQueue | DestinationKind::TempTopic);
        if !is_temporary || self.advised.watch.is_none() || self.advised.known.contains(reply_to) {
            return;
        }
        let kind = if reply_to.kind == DestinationKind::TempQueue {
            Kind::TempQueue
        } else {
            Kind::TempTopic
        };
        let Ok(destination) = Destination::new(kind, reply_to.name()) else { return };
        let connection = destination.name.rsplit_once(':').map_or("", |(connection, _)| connection);
        let connection = connection.into();
        self.tell(&Advice::Destination { destination, connection, is_made: true }, None, out);
    }

    /// Writes an advisory to those of the consumers that want it.
    fn dispatch_advice(
        &self,
        topic: &str,
        data: &Command,
        count: Option<(&'static str, i32)>,
        target: Option<&ConsumerId>,
        out: &mut Outbox,
    ) {
        for (consumer, topics) in &self.advised.consumers {
            if !topics.iter().any(|wanted| covers(wanted, topic)) {
                continue;
            }
            let mut message = self.advisory(topic, data, count);
            message.target_consumer_id = target.cloned();
            out.send(&Command::MessageDispatch(MessageDispatch {
                consumer_id: Some(consumer.clone()),
                destination: message.destination.clone(),
                message: Some(Box::new(message)),
                ..MessageDispatch::default()
            }));
        }
    }

    fn advisory(&self, topic: &str, data: &Command, count: Option<(&'static str, i32)>) -> Message {
        let broker: wire::WireStr = self.face.broker.as_str().into();
        let producer = ProducerId { connection_id: Some(broker.clone()), ..ProducerId::default() };
        let serial = i64::try_from(self.face.live.serial()).unwrap_or(i64::MAX);
        let name = self.face.options.broker_name.as_str();
        let mut properties: primitive::Map = vec![
            ("originBrokerName".into(), Primitive::Text(name.into())),
            ("originBrokerId".into(), Primitive::Text(broker)),
        ];
        if let Some((name, count)) = count {
            properties.push((name.into(), Primitive::Int(count)));
        }
        Message {
            kind: MessageKind::Plain,
            producer_id: Some(producer.clone()),
            destination: Some(wire::Destination::new(DestinationKind::Topic, topic)),
            message_id: Some(MessageId {
                producer_id: Some(producer),
                producer_sequence_id: serial,
                ..MessageId::default()
            }),
            jms_type: Some("Advisory".into()),
            marshalled_properties: primitive::write_map(&properties).ok(),
            data_structure: Some(Box::new(data.clone())),
            ..Message::default()
        }
    }

    /// The connection has logged in: who asks is told.
    pub(super) fn arrive(&self) {
        let Some(opened) = &self.opened else { return };
        let info = ConnectionInfo {
            connection_id: Some(ConnectionId { value: Some(Arc::clone(&opened.connection)) }),
            client_id: Some(opened.client.as_str().into()),
            ..ConnectionInfo::default()
        };
        self.face.live.arrive(&Owner::of(&opened.grant), self.number, info);
    }

    /// The connection ends: who asks is told, of its consumers and producers as well.
    pub(super) fn depart(&self) {
        if let Some(opened) = &self.opened {
            let owner = Owner::of(&opened.grant);
            self.face.live.depart(&owner, self.number, &opened.connection);
        }
    }

    /// A consumer is there: who asks is told.
    pub(super) fn introduce(&self, ask: &Ask, wish: &Wish) {
        let Some(opened) = &self.opened else { return };
        let info = ConsumerInfo {
            consumer_id: Some(ask.id.clone()),
            browser: wish.browser,
            destination: Some(ask.destination.clone()),
            prefetch_size: i32::try_from(wish.prefetch).unwrap_or(i32::MAX),
            selector: wish.selector.as_ref().map(|selector| selector.text().into()),
            client_id: Some(opened.client.as_str().into()),
            subscription_name: wish.durable.as_deref().map(Into::into),
            no_local: wish.no_local,
            exclusive: wish.exclusive,
            retroactive: wish.retroactive,
            priority: i8::try_from(wish.priority).unwrap_or(i8::MAX),
            ..ConsumerInfo::default()
        };
        let (owner, live) = (Owner::of(&opened.grant), &self.face.live);
        live.used(&owner, &opened.connection, &wish.destinations);
        live.change(&owner, |presence| presence.consume(&opened.connection, info));
    }

    /// A producer is there: who asks is told.
    pub(super) fn introduce_producer(&self, info: &ProducerInfo) {
        let Some(opened) = &self.opened else { return };
        let owner = Owner::of(&opened.grant);
        let info = info.clone();
        self.face.live.change(&owner, |presence| presence.produce(&opened.connection, info));
    }

    /// A consumer, a producer or a session's have ended: who asks is told.
    pub(super) fn say_goodbye(&self, identity: &Identity) {
        let Some(opened) = &self.opened else { return };
        let owner = Owner::of(&opened.grant);
        self.face.live.change(&owner, |presence| presence.leave(&opened.connection, identity));
    }

    /// Destinations are sent to: who asks is told the first time.
    pub(super) fn use_destinations(&self, of: &wire::Destination) {
        if let (Some(opened), Ok(all)) = (&self.opened, destination::read(of)) {
            self.face.live.used(&Owner::of(&opened.grant), &opened.connection, &all);
        }
    }
}
