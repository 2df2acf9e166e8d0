//! Message ids: OpenWire's, in parts, and events', which are texts (reference `activemq.md` c3, Ids
//! as text).
//!
//! A message that came by OpenWire has its id as text as the event's id, so all faces show the same
//! one, and what a client sends again after a cut is recognised; where no event may have such an id
//! [`MESSAGE_ID`](outflow_broker::letter::MESSAGE_ID) keeps it. An event with another id, such as
//! one published by HTTP, has it as `textView`, which clients show; its parts are made of the stream
//! and the place there, for clients tell messages apart by those.

use std::fmt::Write;

use outflow_hub::Delivery;

use crate::wire::{MessageId, ProducerId, WireStr};

/// The id of a message as text, which is how programs know it; `None`: it has none.
#[must_use]
pub fn shown(id: &MessageId) -> Option<String> {
    match (&id.text_view, &id.producer_id) {
        (Some(text), _) if !text.is_empty() => Some(text.to_string()),
        (_, Some(producer)) => {
            let mut text = producer.connection_id.as_deref()?.to_owned();
            let (session, value) = (producer.session_id, producer.value);
            write!(text, ":{session}:{value}:{}", id.producer_sequence_id).ok()?;
            Some(text)
        }
        _ => None,
    }
}

/// The id of an event as a message's, with the lease as the broker's sequence. `sender` is the last
/// connection that a message came from.
#[must_use]
pub fn of_event(delivery: &Delivery, broker: &str, sender: &mut Option<WireStr>) -> MessageId {
    let broker_sequence_id = i64::try_from(delivery.lease.0).unwrap_or(i64::MAX);
    let text = &*delivery.event.message_id();
    if let Some((producer, sequence)) = parts(text, sender) {
        return MessageId {
            text_view: None,
            producer_id: Some(producer),
            producer_sequence_id: sequence,
            broker_sequence_id,
        };
    }
    let stream = i64::from(delivery.stream.id.0);
    let connection_id = Some(shared(broker, sender));
    let producer = ProducerId { connection_id, value: stream, session_id: 0 };
    MessageId {
        text_view: Some(text.into()),
        producer_id: Some(producer),
        producer_sequence_id: i64::try_from(delivery.event.offset().get()).unwrap_or(i64::MAX),
        broker_sequence_id,
    }
}

/// Whether an id ends in the number that its producer counts its messages with.
#[must_use]
pub fn is_numbered(text: &str) -> bool {
    split(text).is_some()
}

/// The parts of an id that a Java client made: producer and sequence.
fn parts(text: &str, sender: &mut Option<WireStr>) -> Option<(ProducerId, i64)> {
    let (connection, [session_id, value, sequence]) = split(text)?;
    let connection_id = Some(shared(connection, sender));
    Some((ProducerId { connection_id, session_id, value }, sequence))
}

/// The connection of such an id, and its session, producer and sequence.
fn split(text: &str) -> Option<(&str, [i64; 3])> {
    if !text.starts_with("ID:") {
        return None;
    }
    let (rest, sequence) = text.rsplit_once(':')?;
    let (rest, value) = rest.rsplit_once(':')?;
    let (connection, session) = rest.rsplit_once(':')?;
    // Written back it must be the same text.
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_so_written = text == "0"
            || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
        text.parse::<i64>().ok().filter(|_| is_so_written)
    };
    let numbers = [number(session)?, number(value)?, number(sequence)?];
    (connection.len() > 3).then_some((connection, numbers))
}

/// `connection`, which is `sender` from now on.
fn shared(connection: &str, sender: &mut Option<WireStr>) -> WireStr {
    match sender {
        Some(known) if **known == *connection => WireStr::clone(known),
        _ => WireStr::clone(sender.insert(connection.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_java_clients_are_taken_apart_and_put_together() {
        let text = "ID:vm-41309-1795305094530-1:1:1:2:77";
        let (producer, sequence) = parts(text, &mut None).unwrap();
        assert_eq!(producer.connection_id.as_deref(), Some("ID:vm-41309-1795305094530-1:1"));
        assert_eq!((producer.session_id, producer.value, sequence), (1, 2, 77));
        let id = MessageId {
            producer_id: Some(producer),
            producer_sequence_id: sequence,
            ..MessageId::default()
        };
        assert_eq!(shown(&id).as_deref(), Some(text));
        for other in [
            "",
            "ID:",
            "ID:a:1",
            "ID:a:1:01:1",
            "ID:a:1:+1:1",
            "ID:a:1:-0:1",
            "0192-uuid",
            "ID:a:1:x:1",
        ] {
            assert_eq!(parts(other, &mut None), None, "{other}");
        }
    }

    #[test]
    fn a_foreign_id_is_kept_as_it_is_shown() {
        let id = MessageId { text_view: Some("order-7".into()), ..MessageId::default() };
        assert_eq!(shown(&id).as_deref(), Some("order-7"));
        assert_eq!(shown(&MessageId::default()), None);
    }
}
