//! Who is there: an owner's connections with their consumers and producers, for those who ask to be
//! told of them (reference `activemq.md` a5, Advisories).
//!
//! Called by `live`, under its lock, when one of them comes or goes; messages never come here.
//!
//! Invariants: how many consume from a destination, or send to it, is known without a look at all
//! of them; what a connection had is gone with it, and only with it: one that takes an id over is
//! another.

use std::collections::HashMap;
use std::sync::Arc;

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
    pub(super) data: Command,
    /// How many of its kind there are at the destination now, and what that is called.
    pub(super) count: Option<(&'static str, i32)>,
}

/// What a connection has.
#[derive(Debug)]
enum Party {
    Consumer(Box<ConsumerInfo>),
    Producer(Box<ProducerInfo>),
}

/// A connection that is there.
#[derive(Debug)]
struct Guest {
    /// The session's number.
    number: u64,
    info: ConnectionInfo,
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
    const fn destination(&self) -> Option<&Destination> {
        match self {
            Self::Consumer(info) => info.destination.as_ref(),
            Self::Producer(info) => info.destination.as_ref(),
        }
    }

    fn identity(&self) -> Option<Identity> {
        match self {
            Self::Consumer(info) => info.consumer_id.clone().map(Identity::from),
            Self::Producer(info) => info.producer_id.clone().map(Identity::from),
        }
    }

    /// The number of its session.
    fn session(&self) -> Option<i64> {
        match self {
            Self::Consumer(info) => info.consumer_id.as_ref().map(|id| id.session_id),
            Self::Producer(info) => info.producer_id.as_ref().map(|id| id.session_id),
        }
    }

    /// The topic that tells of it; none for who may send anywhere.
    fn topic(&self) -> Option<String> {
        let destination = self.destination()?;
        let kind = match destination.kind {
            DestinationKind::Queue | DestinationKind::TempQueue => "Queue",
            DestinationKind::Topic | DestinationKind::TempTopic => "Topic",
        };
        let what = match self {
            Self::Consumer(_) => "Consumer",
            Self::Producer(_) => "Producer",
        };
        Some(format!("ActiveMQ.Advisory.{what}.{kind}.{}", destination.name()))
    }

    fn data(&self) -> Command {
        match self {
            Self::Consumer(info) => Command::ConsumerInfo((**info).clone()),
            Self::Producer(info) => Command::ProducerInfo((**info).clone()),
        }
    }

    /// Whether it ends with `identity`.
    fn ends_with(&self, identity: &Identity) -> bool {
        match identity {
            Identity::SessionId(id) => self.session() == Some(id.value),
            Identity::ConnectionId(_) => true,
            other => self.identity().as_ref() == Some(other),
        }
    }
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
        words.push(word(CONNECTION, Command::ConnectionInfo(info.clone())));
        self.guests.insert(id, Guest { number, info, parties: Vec::new() });
        words
    }

    /// A connection has ended. With `number`: unless another has taken its id over.
    pub(super) fn depart(&mut self, id: &str, number: Option<u64>) -> Vec<Word> {
        let is_other = |guest: &Guest| number.is_some_and(|number| guest.number != number);
        if self.guests.get(id).is_none_or(is_other) {
            return Vec::new();
        }
        let Some((_, guest)) = self.guests.remove_entry(id) else { return Vec::new() };
        let mut words: Vec<Word> =
            guest.parties.iter().filter_map(|party| self.count(party, -1)).collect();
        let connection =
            guest.info.connection_id.unwrap_or(ConnectionId { value: Some(id.into()) });
        words.push(word(CONNECTION, removal(Identity::from(connection))));
        words
    }

    /// A connection has a consumer more.
    pub(super) fn consume(&mut self, id: &str, info: ConsumerInfo) -> Vec<Word> {
        self.join(id, Party::Consumer(Box::new(info)))
    }

    /// A connection has a producer more.
    pub(super) fn produce(&mut self, id: &str, info: ProducerInfo) -> Vec<Word> {
        self.join(id, Party::Producer(Box::new(info)))
    }

    fn join(&mut self, id: &str, party: Party) -> Vec<Word> {
        let identity = party.identity();
        let Some(guest) = self.guests.get_mut(id) else { return Vec::new() };
        if guest.parties.iter().any(|known| known.identity() == identity) {
            // A client that reconnects may say it twice.
            return Vec::new();
        }
        let word = Self::tally(&mut self.counts, &party, 1);
        guest.parties.push(party);
        word.into_iter().collect()
    }

    /// What ends with `identity` at a connection has ended.
    pub(super) fn leave(&mut self, id: &str, identity: &Identity) -> Vec<Word> {
        let Some(guest) = self.guests.get_mut(id) else { return Vec::new() };
        let gone = guest.parties.extract_if(.., |party| party.ends_with(identity));
        let counts = &mut self.counts;
        gone.filter_map(|party| Self::tally(counts, &party, -1)).collect()
    }

    /// All there is now, as it was told when it came, with the counts of now.
    pub(super) fn all(&self) -> impl Iterator<Item = Word> {
        self.guests.values().flat_map(|guest| {
            let own = word(CONNECTION, Command::ConnectionInfo(guest.info.clone()));
            let parties = guest.parties.iter().filter_map(|party| {
                let counts = self.counts.get(party.destination()?).copied().unwrap_or_default();
                let (topic, data) = (party.topic()?, party.data());
                Some(Word { topic, data, count: counted(party, counts) })
            });
            std::iter::once(own).chain(parties)
        })
    }

    fn count(&mut self, party: &Party, by: i32) -> Option<Word> {
        Self::tally(&mut self.counts, party, by)
    }

    /// Counts one that has come or gone; gives what is told of it.
    fn tally(
        counts: &mut HashMap<Destination, (i32, i32)>,
        party: &Party,
        by: i32,
    ) -> Option<Word> {
        let destination = party.destination()?;
        let entry = counts.entry(destination.clone()).or_default();
        match party {
            Party::Consumer(_) => entry.0 += by,
            Party::Producer(_) => entry.1 += by,
        }
        let now = *entry;
        if now == (0, 0) {
            counts.remove(destination);
        }
        let data = if by > 0 { party.data() } else { removal(party.identity()?) };
        Some(Word { topic: party.topic()?, data, count: counted(party, now) })
    }
}

const fn counted(party: &Party, (consumers, producers): (i32, i32)) -> Option<(&'static str, i32)> {
    Some(match party {
        Party::Consumer(_) => ("consumerCount", consumers),
        Party::Producer(_) => ("producerCount", producers),
    })
}

fn word(topic: &str, data: Command) -> Word {
    Word { topic: topic.to_owned(), data, count: None }
}

fn removal(identity: Identity) -> Command {
    Command::RemoveInfo(RemoveInfo { object_id: Some(identity), ..RemoveInfo::default() })
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
}
