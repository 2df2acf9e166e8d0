//! Consumers of advisories: a connection is told which temporary destinations there are, and, where
//! it asks, of connections, consumers, producers, queues and topics (reference `activemq.md` a5,
//! Advisories). The other topics of advisories have no messages here.
//!
//! Whoever is kept to streams, belongs to an integration or may not read is told of temporary ones
//! only; whoever is kept to destinations, of its own credential's.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use outflow_broker::Wish;
use outflow_hub::destination::{Destination, Kind};
use outflow_model::destination::covers;
use outflow_model::{Action, ErrorCode, Grant};

use super::live::{Advice, Interest, MAX_LASTING, News, Owner, QUEUE, TOPIC};
use super::presence::Word;
use super::{Asked, Outbox, Session};
use crate::error::Failure;
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

/// How many consumers of advisories a connection may have, and how many topics each: all that
/// there is is compared with each topic of a new one.
const MAX_ADVISED: usize = 64;
const MAX_TOPICS: usize = 16;

/// A connection's consumers of advisories.
#[derive(Debug, Default)]
pub(super) struct Advised {
    consumers: Vec<(ConsumerId, Vec<String>)>,
    /// What the client was told of.
    known: HashSet<wire::Destination>,
    /// What others make and remove.
    pub(super) news: Option<News>,
}

impl Advised {
    pub(super) const fn len(&self) -> usize {
        self.consumers.len()
    }

    /// Whether a connection may have so many of them, the last of so many topics.
    ///
    /// # Errors
    /// [`Failure`] says which is too many.
    pub(super) fn check(consumers: usize, topics: usize) -> Result<(), Failure> {
        let (count, max, what) = if consumers > MAX_ADVISED {
            (consumers, MAX_ADVISED, "A connection may have at most 64 consumers of advisories")
        } else {
            (topics, MAX_TOPICS, "A consumer of advisories may have at most 16 topics")
        };
        if count > max { Err(Failure::new(ErrorCode::TooLarge, what)) } else { Ok(()) }
    }

    pub(super) fn has(&self, id: &ConsumerId) -> bool {
        self.consumers.iter().any(|(known, _)| known == id)
    }

    /// What is more than temporary destinations of all the topics that it has consumers of, and of
    /// these.
    fn topics(&self, more: &[String]) -> Vec<String> {
        let all = self.consumers.iter().flat_map(|(_, topics)| topics).chain(more);
        let all: BTreeSet<&String> = all.filter(|topic| !is_modest(topic)).collect();
        all.into_iter().cloned().collect()
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
    reads && grant.streams.is_none() && grant.integration.is_none()
}

/// A temporary destination, and the connection that it must be of by its name.
fn known(told: &wire::Destination) -> Option<(Destination, Arc<str>)> {
    let kind =
        if told.kind == DestinationKind::TempQueue { Kind::TempQueue } else { Kind::TempTopic };
    let destination = Destination::new(kind, told.name()).ok()?;
    let connection = destination.name.rsplit_once(':').map_or("", |(connection, _)| connection);
    let connection = connection.into();
    Some((destination, connection))
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
        let (grant, live) = (opened.grant.clone(), self.face.live.clone());
        let (owner, joins) = (Owner::of(&grant), self.advised.news.is_none());
        let interest = self.interest(&grant, &topics);
        let (there, news) = live.watch(&owner, self.number, joins, interest);
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

    /// Removes consumers of advisories; what only they wanted to hear is not told any more.
    pub(super) fn unadvise(&mut self, is_it: impl Fn(&ConsumerId) -> bool) {
        let before = self.advised.consumers.len();
        self.advised.consumers.retain(|(id, _)| !is_it(id));
        let Some(opened) = &self.opened else { return };
        if self.advised.consumers.len() < before && may_know(&opened.grant) {
            let topics = self.advised.topics(&[]);
            self.face.live.wonder(&Owner::of(&opened.grant), self.number, topics);
        }
    }

    /// News were missed because the client did not take them: it is told of the temporary
    /// destinations again. Of what else it has missed it is not told, as of all messages of topics
    /// that nobody keeps.
    pub(super) fn catch_up(&mut self, out: &mut Outbox) {
        let Some(opened) = &self.opened else { return };
        tracing::info!(session = self.number, "the client has missed advisories");
        let there = self.face.live.temporary(&Owner::of(&opened.grant));
        let mut gone = self.advised.known.clone();
        for advice in &there {
            if let Advice::Destination { destination, .. } = advice
                && !gone.remove(&destination::write(destination))
            {
                self.tell(advice, None, out);
            }
        }
        for (destination, connection) in gone.iter().filter_map(known) {
            self.tell(&Advice::Destination { destination, connection, is_made: false }, None, out);
        }
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
                let queues = queues.iter().filter_map(|one| Destination::of_subscription(one));
                let queues = queues.filter(|one| one.kind == Kind::Queue);
                lasting.extend(queues.take(MAX_LASTING));
            }
            if wants(TOPIC) {
                let streams = hub.streams(project);
                let topics = streams.iter().map(|one| Destination::of_stream(&one.name));
                let topics = topics.filter(|one| one.kind == Kind::Topic);
                lasting.extend(topics.take(MAX_LASTING - lasting.len()));
            }
        }
        Some(Interest { topics, lasting, all: self.advised.topics(topics) })
    }

    /// Others made or removed destinations.
    pub(super) fn told(&mut self, all: &[Advice], out: &mut Outbox) {
        for advice in all {
            self.tell(advice, None, out);
        }
        if self.advised.news.as_ref().is_some_and(News::has_missed) {
            self.catch_up(out);
        }
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
        if !is_temporary || self.advised.news.is_none() || self.advised.known.contains(reply_to) {
            return;
        }
        let Some((destination, connection)) = known(reply_to) else { return };
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
        // A client may put much more into it.
        let info = ProducerInfo {
            producer_id: info.producer_id.clone(),
            destination: info.destination.clone(),
            dispatch_async: info.dispatch_async,
            window_size: info.window_size,
            ..ProducerInfo::default()
        };
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

#[cfg(test)]
mod tests {
    use outflow_model::{CredentialId, DestinationGrant, IntegrationId, ProjectId, StreamName};

    use super::*;

    #[test]
    fn a_part_of_a_project_is_not_told_of_the_rest_of_it() {
        let project = ProjectId::new("p").unwrap();
        let whole = |credential: &str| Grant {
            credential: CredentialId::new(credential).unwrap(),
            generation: 0,
            expires: None,
            project: Some(project.clone()),
            integration: None,
            actions: Arc::new([Action::Read].into()),
            streams: None,
            destinations: None,
        };
        let integration =
            |one: &str| Grant { integration: IntegrationId::new("i").ok(), ..whole(one) };
        let destinations = |one: &str| Grant {
            destinations: Some(Arc::new(DestinationGrant::default())),
            ..whole(one)
        };
        let streams =
            Grant { streams: Some(Arc::new([StreamName::new("s").unwrap()].into())), ..whole("a") };
        assert!(may_know(&whole("a")) && may_know(&destinations("a")));
        assert!(!may_know(&integration("a")) && !may_know(&streams));
        assert_eq!(Owner::of(&whole("a")), Owner::of(&whole("b")));
        for part in [integration("a"), destinations("a")] {
            assert_ne!(Owner::of(&part), Owner::of(&whole("a")));
            let other = Grant { credential: CredentialId::new("b").unwrap(), ..part.clone() };
            assert_ne!(Owner::of(&part), Owner::of(&other));
        }
    }
}
