//! Consumers of advisories: a connection is told which temporary destinations there are (reference
//! `activemq.md` a5, Advisories). Others than these have no messages here.

use std::collections::HashSet;

use outflow_hub::destination::{Destination, Kind};
use outflow_model::destination::covers;

use super::live::{Advice, News, Owner};
use super::{Asked, Outbox, Session, Step, Work};
use crate::translate::destination;
use crate::wire::{
    self, Command, ConnectionId, ConsumerId, DestinationInfo, DestinationKind, Message,
    MessageDispatch, MessageId, MessageKind, ProducerId,
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
    is_watching: bool,
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
        DestinationKind::TempTopic | DestinationKind::Topic => TEMP_TOPIC,
        DestinationKind::TempQueue | DestinationKind::Queue => TEMP_QUEUE,
    }
}

impl Session {
    /// Adds a consumer of advisories, and tells it what there is.
    pub(super) fn advise(
        &mut self,
        id: ConsumerId,
        topics: Vec<String>,
        asked: &Asked,
        out: &mut Outbox,
    ) {
        asked.write(Ok(()), out);
        if self.advised.consumers.iter().any(|(known, _)| *known == id) {
            // A client that reconnects may say it twice.
            return;
        }
        let Some(opened) = &self.opened else { return };
        // Each asks anew: what there is now comes with what follows, without a gap between.
        let (there, news) = self.face.live.watch(&Owner::of(&opened.grant));
        self.advised.news = Some(news);
        self.advised.is_watching = true;
        let others = std::mem::replace(&mut self.advised.consumers, vec![(id, topics)]);
        for advice in &there {
            self.tell(advice, out);
        }
        self.advised.consumers.splice(0..0, others);
    }

    /// Others made or removed destinations.
    pub(super) fn told(&mut self, all: &[Advice], out: &mut Outbox) -> Step {
        if all.is_empty() {
            tracing::info!(session = self.number, "the client does not take its advisories");
            return Step::Then(Work::Close);
        }
        for advice in all {
            self.tell(advice, out);
        }
        Step::Done
    }

    fn tell(&mut self, advice: &Advice, out: &mut Outbox) {
        let destination = destination::write(&advice.destination);
        if advice.is_made {
            if self.advised.known.len() < MAX_KNOWN {
                self.advised.known.insert(destination.clone());
            }
        } else {
            self.advised.known.remove(&destination);
        }
        self.dispatch_advice(&destination, &advice.connection, advice.is_made, out);
    }

    /// Sees to it that the client knows a temporary destination before it is asked to send there.
    pub(super) fn tell_of(&mut self, reply_to: &wire::Destination, out: &mut Outbox) {
        let is_temporary =
            matches!(reply_to.kind, DestinationKind::TempQueue | DestinationKind::TempTopic);
        if !is_temporary || !self.advised.is_watching || self.advised.known.contains(reply_to) {
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
        self.tell(&Advice { destination, connection, is_made: true }, out);
    }

    /// Writes an advisory to those of the consumers that want it.
    fn dispatch_advice(
        &self,
        destination: &wire::Destination,
        connection: &str,
        is_made: bool,
        out: &mut Outbox,
    ) {
        let topic = topic(destination.kind);
        for (consumer, topics) in &self.advised.consumers {
            if !topics.iter().any(|wanted| covers(wanted, topic)) {
                continue;
            }
            let message = self.advisory(topic, destination, connection, is_made);
            out.send(&Command::MessageDispatch(MessageDispatch {
                consumer_id: Some(consumer.clone()),
                destination: message.destination.clone(),
                message: Some(Box::new(message)),
                ..MessageDispatch::default()
            }));
        }
    }

    fn advisory(
        &self,
        topic: &str,
        destination: &wire::Destination,
        connection: &str,
        is_made: bool,
    ) -> Message {
        let broker: wire::WireStr = self.face.broker.as_str().into();
        let producer = ProducerId { connection_id: Some(broker), ..ProducerId::default() };
        let serial = i64::try_from(self.face.live.serial()).unwrap_or(i64::MAX);
        let told = DestinationInfo {
            connection_id: Some(ConnectionId { value: Some(connection.into()) }),
            destination: Some(destination.clone()),
            operation_type: i8::from(!is_made),
            ..DestinationInfo::default()
        };
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
            data_structure: Some(Box::new(Command::DestinationInfo(told))),
            ..Message::default()
        }
    }
}
