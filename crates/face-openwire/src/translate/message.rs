//! An event as a message to dispatch.

use std::borrow::Cow;

use bytes::Bytes;
use outflow_broker::letter::{
    DEAD, DEAD_STREAM, DELIVER_AT, EXPIRES, Header, KIND, MESSAGE_TYPE, ORIGIN, TYPES, is_text,
    millis,
};
use outflow_hub::Delivery;
use outflow_hub::subscription::{BodyView, EventView};

use super::properties::Properties;
use crate::translate::{destination, id};
use crate::wire::{Destination, Message, MessageKind, body};

/// Makes the message that a delivery is. `broker` is the broker's id, `from` where it comes from,
/// `original` where it was sent to when that is another destination.
///
/// The strings are made per delivery: commands own what they say, and most consumers of one event
/// are of different connections.
#[must_use]
pub fn write(
    delivery: &Delivery,
    broker: &str,
    from: Destination,
    original: Option<Destination>,
) -> Message {
    let event = &delivery.event;
    let is_message = event.event_type() == MESSAGE_TYPE;
    let id = id::of_event(delivery, broker);
    let meta = event.meta();
    let mut message = Message {
        producer_id: id.producer_id.clone(),
        message_id: Some(id),
        destination: Some(from),
        original_destination: original,
        // What other faces take says nothing of it, and is on the disk.
        persistent: !is_message,
        priority: 4,
        timestamp: meta.occurred.millis(),
        broker_in_time: meta.processed.millis(),
        broker_out_time: meta.processed.millis(),
        redelivery_counter: redeliveries(delivery),
        group_id: event.key().map(|key| key.into()),
        group_first_for_consumer: delivery.first_of_group,
        ..Message::default()
    };
    let mut properties = Properties::default();
    let said = headers(event, &mut message, &mut properties);
    if !is_message && message.jms_type.is_none() {
        message.jms_type = Some(event.event_type().into());
    }
    message.kind = said.kind(is_message);
    message.content = content(event, &message.kind, is_message);
    message.marshalled_properties = properties.into_bytes();
    message
}

/// How often it was delivered before, for certain: clients give up what they are told of too often,
/// and after a restart it is not known which messages reached a program (as with ActiveMQ).
#[must_use]
pub fn redeliveries(delivery: &Delivery) -> i32 {
    i32::try_from(delivery.deliveries.saturating_sub(1)).unwrap_or(i32::MAX)
}

/// What the event's headers say of its body.
#[derive(Default)]
struct Said<'a> {
    kind: Option<Cow<'a, str>>,
    is_text: bool,
}

impl Said<'_> {
    /// What the message is: what the header says; else text where the content type says so, bytes
    /// for what came as a message without saying, and text for all other events.
    fn kind(&self, is_message: bool) -> MessageKind {
        match self.kind.as_deref() {
            Some("text") => MessageKind::Text,
            Some("bytes") => MessageKind::Bytes,
            Some("map") => MessageKind::Map,
            Some("stream") => MessageKind::Stream,
            Some("object") => MessageKind::Object,
            Some("message") => MessageKind::Plain,
            _ if self.is_text || !is_message => MessageKind::Text,
            _ => MessageKind::Bytes,
        }
    }
}

/// Puts the event's headers into the message's fields and properties.
fn headers<'e>(
    event: &'e EventView,
    message: &mut Message,
    properties: &mut Properties<'e>,
) -> Said<'e> {
    let mut said = Said::default();
    // In one pass: the types stand behind the properties that they are of.
    let mut others: Vec<Header<'e>> = Vec::new();
    for (name, value) in event.headers() {
        match &*name {
            EXPIRES => message.expiration = millis(&value),
            TYPES => properties.types(value),
            DEAD_STREAM => {
                let died_in = destination::of_stream(&value);
                message.original_destination = died_in.or(message.original_destination.take());
            }
            DELIVER_AT | ORIGIN | "destination" | "message-id" | "timestamp" | "expires"
            | "content-length" => {}
            KIND | "amq-msg-type" => said.kind = Some(value),
            "persistent" => message.persistent = value.eq_ignore_ascii_case("true"),
            "priority" => message.priority = value.trim().parse().unwrap_or(4).clamp(0, 9),
            "type" => message.jms_type = Some(value.into()),
            "correlation-id" => message.correlation_id = Some(value.into()),
            "JMSXUserID" => message.user_id = Some(value.into()),
            "JMSXGroupSeq" => message.group_sequence = value.trim().parse().unwrap_or(0),
            "reply-to" => message.reply_to = Some(destination::from_header(&value)),
            "outflow-dead-cause" => properties.text("dlqDeliveryFailureCause".into(), value),
            _ if name.starts_with(DEAD) => {}
            _ => {
                said.is_text |= name == "content-type" && is_text(&value);
                others.push((name, value));
            }
        }
    }
    for (name, value) in others {
        properties.push(name, value);
    }
    said
}

/// The body as messages of this kind have it.
fn content(event: &EventView, kind: &MessageKind, is_message: bool) -> Option<Bytes> {
    let view = event.body();
    let plain: Cow<'_, [u8]> = match &view {
        BodyView::Json(json) => Cow::Borrowed(json),
        BodyView::Text(text) => Cow::Borrowed(text.as_bytes()),
        BodyView::Bytes(bytes) => Cow::Borrowed(bytes),
        BodyView::None if is_message => return None,
        // An event without a body is told by its line: nothing of it is lost.
        BodyView::None => Cow::Borrowed(event.line().trim_ascii_end()),
    };
    match kind {
        MessageKind::Plain | MessageKind::Blob(_) => None,
        MessageKind::Text => body::write_text(&String::from_utf8_lossy(&plain)).ok(),
        _ => Some(Bytes::copy_from_slice(&plain)),
    }
}
