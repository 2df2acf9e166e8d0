//! Destinations as OpenWire has them, a kind and a physical name, and as the hub has them; and as
//! headers of events spell them, which is STOMP's way, so that both faces read each other's
//! `reply-to` (reference `activemq.md` a3).

use outflow_hub::destination::{self, Kind};
use outflow_model::StreamName;

use crate::error::Failure;
use crate::wire::{Destination, DestinationKind};

/// How headers spell a kind.
const SPELLINGS: [(&str, DestinationKind); 4] = [
    ("/queue/", DestinationKind::Queue),
    ("/topic/", DestinationKind::Topic),
    ("/remote-temp-queue/", DestinationKind::TempQueue),
    ("/remote-temp-topic/", DestinationKind::TempTopic),
];

/// What the topics of advisories begin with.
const ADVISORY: &str = "ActiveMQ.Advisory.";

const fn kind(kind: DestinationKind) -> Kind {
    match kind {
        DestinationKind::Queue => Kind::Queue,
        DestinationKind::Topic => Kind::Topic,
        DestinationKind::TempQueue => Kind::TempQueue,
        DestinationKind::TempTopic => Kind::TempTopic,
    }
}

/// What a client wrote: one destination or a composite. What follows a `?` is left off.
///
/// # Errors
/// [`Failure`] when a name is none.
pub fn read(destination: &Destination) -> Result<Vec<destination::Destination>, Failure> {
    let all = destination::Destination::parse_all(kind(destination.kind), destination.name())?;
    Ok(all)
}

/// As clients have it.
#[must_use]
pub fn write(destination: &destination::Destination) -> Destination {
    let kind = match destination.kind {
        Kind::Queue => DestinationKind::Queue,
        Kind::Topic => DestinationKind::Topic,
        Kind::TempQueue => DestinationKind::TempQueue,
        Kind::TempTopic => DestinationKind::TempTopic,
    };
    Destination::new(kind, destination.name.as_str())
}

/// What messages of the stream with this name were sent to; `None`: no stream has such a name.
#[must_use]
pub fn of_stream(name: &str) -> Option<Destination> {
    let name = StreamName::new(name).ok()?;
    Some(write(&destination::Destination::of_stream(&name)))
}

/// As a header spells it.
#[must_use]
pub fn to_header(destination: &Destination) -> String {
    let spelling = SPELLINGS.iter().find(|(_, kind)| *kind == destination.kind);
    let prefix = spelling.map_or("/queue/", |(prefix, _)| prefix);
    [prefix, destination.name()].concat()
}

/// What a header spells. Anything else is the name of a queue.
#[must_use]
pub fn from_header(text: &str) -> Destination {
    let spelt = SPELLINGS
        .iter()
        .find_map(|(prefix, kind)| Some(Destination::new(*kind, text.strip_prefix(prefix)?)));
    spelt.unwrap_or_else(|| Destination::new(DestinationKind::Queue, text))
}

/// Whether it is temporary and of the connection with this id: clients number them behind it.
#[must_use]
pub fn is_own(destination: &destination::Destination, connection: &str) -> bool {
    let rest = destination.name.strip_prefix(connection).and_then(|rest| rest.strip_prefix(':'));
    let is_number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
    destination.kind.is_temporary() && rest.is_some_and(is_number)
}

/// The topics of advisories that a destination names; none where it names anything else.
#[must_use]
pub fn advisories(destination: &Destination) -> Option<Vec<&str>> {
    let names = destination.name().split(',').map(str::trim);
    let topics: Vec<&str> =
        names.map(|name| name.strip_prefix("topic://").unwrap_or(name)).collect();
    let all = destination.kind == DestinationKind::Topic
        && topics.iter().all(|topic| topic.starts_with(ADVISORY));
    all.then_some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_spell_destinations_as_stomp_does() {
        for (kind, text) in [
            (DestinationKind::Queue, "/queue/a.b"),
            (DestinationKind::Topic, "/topic/t"),
            (DestinationKind::TempQueue, "/remote-temp-queue/ID:h-1-2-1:1:1"),
            (DestinationKind::TempTopic, "/remote-temp-topic/ID:h-1-2-1:1:2"),
        ] {
            let read = from_header(text);
            assert_eq!(read.kind, kind);
            assert_eq!(to_header(&read), text);
        }
        assert_eq!(from_header("plain"), Destination::new(DestinationKind::Queue, "plain"));
    }

    #[test]
    fn composites_name_several() {
        let wire = Destination::new(DestinationKind::Queue, "a,topic://b?consumer.x=1");
        let all = read(&wire).unwrap();
        assert_eq!(all.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Queue, Kind::Topic]);
        assert_eq!(write(&all[1]), Destination::new(DestinationKind::Topic, "b"));
        read(&Destination::new(DestinationKind::Queue, "")).unwrap_err();
    }

    #[test]
    fn advisories_are_topics_of_their_own() {
        let topic = |name: &str| Destination::new(DestinationKind::Topic, name);
        let both = topic("ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic");
        assert_eq!(advisories(&both).unwrap().len(), 2);
        assert!(advisories(&topic("ActiveMQ.Advisory.TempQueue,t")).is_none());
        assert!(
            advisories(&Destination::new(DestinationKind::Queue, "ActiveMQ.Advisory.x")).is_none()
        );
    }

    #[test]
    fn a_temporary_destination_is_its_connections() {
        let temp = |name: &str| destination::Destination::new(Kind::TempQueue, name).unwrap();
        assert!(is_own(&temp("ID:c:1:7"), "ID:c:1"));
        assert!(!is_own(&temp("ID:c:17"), "ID:c:1"));
        let queue = destination::Destination::new(Kind::Queue, "ID:c:1:7").unwrap();
        assert!(!is_own(&queue, "ID:c:1"));
    }
}
