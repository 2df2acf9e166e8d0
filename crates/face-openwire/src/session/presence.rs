//! Who is there: an owner's connections with their consumers and producers, for those who ask to be
//! told of them (reference `activemq.md` a5, Advisories).
//!
//! Called by `live`, under a lock, when one of them comes or goes; messages never come here.
//!
//! Invariants: how many consume from a destination, or send to it, is known without a look at all
//! of them; what a connection had is gone with it, and only with it: one that takes an id over is
//! another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::translate::destination;
use crate::wire::{
    Command, ConnectionId, ConnectionInfo, ConsumerInfo, Destination, DestinationKind, Identity,
    ProducerInfo, RemoveInfo,
};

const CONNECTION: &str = "ActiveMQ.Advisory.Connection";

/// A thing to tell.
#[derive(Debug)]
pub struct Word {
    /// The topic of those who want to hear it.
    pub(super) topic: String,
    /// What came, or that it has gone.
    pub(super) data: Arc<Command>,
    /// How many of its kind there are at the destination now, and what that is called.
    pub(super) count: Option<(&'static str, i32)>,
}

/// What a connection has: a consumer or a producer.
#[derive(Debug)]
struct Party {
    identity: Option<Identity>,
    is_consumer: bool,
    /// The number of its session.
    session: Option<i64>,
    /// Each of what it consumes from or sends to; none: it may send anywhere.
    destinations: Vec<Destination>,
    data: Arc<Command>,
}

/// A connection that is there.
#[derive(Debug)]
struct Guest {
    /// The session's number.
    number: u64,
    connection: Option<ConnectionId>,
    data: Arc<Command>,
    parties: Vec<Party>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Presence {
    guests: HashMap<Arc<str>, Guest>,
    /// How many consumers and producers each destination has.
    counts: HashMap<Destination, (i32, i32)>,
}

impl Party {
    fn consumer(info: ConsumerInfo) -> Self {
        Self {
            identity: info.consumer_id.clone().map(Identity::from),
            is_consumer: true,
            session: info.consumer_id.as_ref().map(|id| id.session_id),
            destinations: parts(info.destination.as_ref()),
            data: Arc::new(Command::ConsumerInfo(info)),
        }
    }

    fn producer(info: ProducerInfo) -> Self {
        Self {
            identity: info.producer_id.clone().map(Identity::from),
            is_consumer: false,
            session: info.producer_id.as_ref().map(|id| id.session_id),
            destinations: parts(info.destination.as_ref()),
            data: Arc::new(Command::ProducerInfo(info)),
        }
    }

    /// The topic that tells of it at one of its destinations.
    fn topic(&self, destination: &Destination) -> String {
        let kind = match destination.kind {
            DestinationKind::Queue | DestinationKind::TempQueue => "Queue",
            DestinationKind::Topic | DestinationKind::TempTopic => "Topic",
        };
        let what = if self.is_consumer { "Consumer" } else { "Producer" };
        format!("ActiveMQ.Advisory.{what}.{kind}.{}", destination.name())
    }

    /// Whether it ends with `identity`.
    fn ends_with(&self, identity: &Identity) -> bool {
        match identity {
            Identity::SessionId(id) => self.session == Some(id.value),
            Identity::ConnectionId(_) => true,
            other => self.identity.as_ref() == Some(other),
        }
    }

    /// What is told of it at one of its destinations, where there are so many now.
    fn word(&self, destination: &Destination, data: &Arc<Command>, counts: (i32, i32)) -> Word {
        let count = if self.is_consumer {
            ("consumerCount", counts.0)
        } else {
            ("producerCount", counts.1)
        };
        Word { topic: self.topic(destination), data: Arc::clone(data), count: Some(count) }
    }
}

/// The destinations that one stands for: a composite for several.
fn parts(destination: Option<&Destination>) -> Vec<Destination> {
    let Some(destination) = destination else { return Vec::new() };
    let mut all = match destination::read(destination) {
        Ok(all) => all.iter().map(destination::write).collect(),
        Err(_) => vec![destination.clone()],
    };
    // One that is named twice counts once.
    let mut seen = HashSet::new();
    all.retain(|one: &Destination| seen.insert(one.clone()));
    all
}

impl Presence {
    pub(super) fn is_empty(&self) -> bool {
        self.guests.is_empty()
    }

    /// A connection has logged in.
    pub(super) fn arrive(&mut self, number: u64, info: ConnectionInfo) -> Vec<Word> {
        let id = info.connection_id.as_ref().and_then(|id| id.value.as_deref());
        let id: Arc<str> = id.unwrap_or_default().into();
        let mut words = self.depart(&id, None);
        let connection = info.connection_id.clone();
        let data = Arc::new(Command::ConnectionInfo(info));
        words.push(Word { topic: CONNECTION.to_owned(), data: Arc::clone(&data), count: None });
        self.guests.insert(id, Guest { number, connection, data, parties: Vec::new() });
        words
    }

    /// A connection has ended. With `number`: unless another has taken its id over.
    pub(super) fn depart(&mut self, id: &str, number: Option<u64>) -> Vec<Word> {
        let is_other = |guest: &Guest| number.is_some_and(|number| guest.number != number);
        if self.guests.get(id).is_none_or(is_other) {
            return Vec::new();
        }
        let Some((_, guest)) = self.guests.remove_entry(id) else { return Vec::new() };
        let counts = &mut self.counts;
        let gone = guest.parties.iter().flat_map(|party| tally(counts, party, -1));
        let mut words: Vec<Word> = gone.collect();
        let connection = guest.connection.unwrap_or(ConnectionId { value: Some(id.into()) });
        let data = removal(Identity::from(connection));
        words.push(Word { topic: CONNECTION.to_owned(), data, count: None });
        words
    }

    /// A connection has a consumer more.
    pub(super) fn consume(&mut self, id: &str, info: ConsumerInfo) -> Vec<Word> {
        self.join(id, Party::consumer(info))
    }

    /// A connection has a producer more.
    pub(super) fn produce(&mut self, id: &str, info: ProducerInfo) -> Vec<Word> {
        self.join(id, Party::producer(info))
    }

    fn join(&mut self, id: &str, party: Party) -> Vec<Word> {
        let Some(guest) = self.guests.get_mut(id) else { return Vec::new() };
        if guest.parties.iter().any(|known| known.identity == party.identity) {
            // A client that reconnects may say it twice.
            return Vec::new();
        }
        let words = tally(&mut self.counts, &party, 1);
        guest.parties.push(party);
        words
    }

    /// What ends with `identity` at a connection has ended.
    pub(super) fn leave(&mut self, id: &str, identity: &Identity) -> Vec<Word> {
        let Some(guest) = self.guests.get_mut(id) else { return Vec::new() };
        let gone = guest.parties.extract_if(.., |party| party.ends_with(identity));
        let counts = &mut self.counts;
        gone.flat_map(|party| tally(counts, &party, -1)).collect()
    }

    /// All there is now, as it was told when it came, with the counts of now.
    pub(super) fn all(&self) -> impl Iterator<Item = Word> {
        self.guests.values().flat_map(|guest| {
            let data = Arc::clone(&guest.data);
            let own = Word { topic: CONNECTION.to_owned(), data, count: None };
            let parties = guest.parties.iter().flat_map(|party| {
                party.destinations.iter().map(|destination| {
                    let counts = self.counts.get(destination).copied().unwrap_or_default();
                    party.word(destination, &party.data, counts)
                })
            });
            std::iter::once(own).chain(parties)
        })
    }
}

/// Counts one that has come or gone at each of its destinations; gives what is told of it.
fn tally(counts: &mut HashMap<Destination, (i32, i32)>, party: &Party, by: i32) -> Vec<Word> {
    let data = match &party.identity {
        Some(identity) if by < 0 => removal(identity.clone()),
        _ => Arc::clone(&party.data),
    };
    let mut words = Vec::with_capacity(party.destinations.len());
    for destination in &party.destinations {
        let entry = counts.entry(destination.clone()).or_default();
        if party.is_consumer {
            entry.0 += by;
        } else {
            entry.1 += by;
        }
        let now = *entry;
        if now == (0, 0) {
            counts.remove(destination);
        }
        words.push(party.word(destination, &data, now));
    }
    words
}

fn removal(identity: Identity) -> Arc<Command> {
    let info = RemoveInfo { object_id: Some(identity), ..RemoveInfo::default() };
    Arc::new(Command::RemoveInfo(info))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ConsumerId, SessionId};

    fn connection(id: &str) -> ConnectionInfo {
        let connection_id = Some(ConnectionId { value: Some(id.into()) });
        ConnectionInfo { connection_id, ..ConnectionInfo::default() }
    }

    fn consumer(id: &str, session_id: i64, value: i64) -> ConsumerInfo {
        let connection_id = Some(id.into());
        ConsumerInfo {
            consumer_id: Some(ConsumerId { connection_id, session_id, value }),
            destination: Some(Destination::new(DestinationKind::Queue, "q")),
            ..ConsumerInfo::default()
        }
    }

    fn counts(words: &[Word]) -> Vec<Option<i32>> {
        words.iter().map(|word| word.count.map(|(_, count)| count)).collect()
    }

    #[test]
    fn each_is_told_of_with_how_many_there_are() {
        let mut presence = Presence::default();
        assert_eq!(counts(&presence.arrive(1, connection("a"))), [None]);
        presence.arrive(2, connection("b"));
        assert_eq!(counts(&presence.consume("a", consumer("a", 1, 1))), [Some(1)]);
        assert_eq!(counts(&presence.consume("b", consumer("b", 1, 1))), [Some(2)]);
        assert_eq!(presence.consume("b", consumer("b", 1, 1)).len(), 0, "once");
        presence.consume("b", consumer("b", 2, 1));
        let all: Vec<Word> = presence.all().collect();
        assert_eq!(all.iter().filter(|word| word.count == Some(("consumerCount", 3))).count(), 3);
        assert!(all.iter().any(|word| word.topic == "ActiveMQ.Advisory.Consumer.Queue.q"));
        let session = SessionId { connection_id: Some("b".into()), value: 1 };
        assert_eq!(counts(&presence.leave("b", &Identity::from(session))), [Some(2)]);
        assert_eq!(counts(&presence.depart("b", Some(2))), [Some(1), None]);
        presence.depart("a", None);
        assert!(
            presence.is_empty() && presence.counts.is_empty() && presence.all().next().is_none()
        );
    }

    #[test]
    fn a_connection_whose_id_was_taken_over_takes_nothing_of_the_others_with_it() {
        let mut presence = Presence::default();
        presence.arrive(1, connection("a"));
        presence.consume("a", consumer("a", 1, 1));
        let words = presence.arrive(2, connection("a"));
        assert_eq!(counts(&words), [Some(0), None, None], "the first goes before the second comes");
        assert!(presence.depart("a", Some(1)).is_empty());
        assert_eq!(presence.all().count(), 1);
    }

    #[test]
    fn a_composite_counts_at_each_of_its_destinations() {
        let mut presence = Presence::default();
        presence.arrive(1, connection("a"));
        presence.consume("a", consumer("a", 1, 1));
        let mut both = consumer("a", 1, 2);
        both.destination = Some(Destination::new(DestinationKind::Queue, "q,topic://t,q"));
        let words = presence.consume("a", both);
        let topics: Vec<&str> = words.iter().map(|word| word.topic.as_str()).collect();
        let queue = "ActiveMQ.Advisory.Consumer.Queue.q";
        assert_eq!(topics, [queue, "ActiveMQ.Advisory.Consumer.Topic.t"]);
        assert_eq!(counts(&words), [Some(2), Some(1)]);
        let gone = presence.depart("a", Some(1));
        assert_eq!(gone.len(), 4);
        assert!(presence.counts.is_empty());
    }
}
