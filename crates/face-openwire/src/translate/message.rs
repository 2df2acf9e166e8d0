//! An event as a message to dispatch.
//!
//! Called by the session for each delivery. What the event says besides its body is made for each
//! consumer; a body is not: it is the stored bytes, or what [`Bodies`] has of it.

use std::borrow::Cow;

use bytes::Bytes;
use outflow_broker::letter::{
    DEAD, DEAD_STREAM, DELIVER_AT, EXPIRES, Header, KIND, MESSAGE_ID, MESSAGE_TYPE, ORIGIN, TYPES,
    is_text, millis,
};
use outflow_hub::Delivery;
use outflow_hub::subscription::{BodyView, EventView};
use outflow_model::meta::FLAG_BODY_BASE64;

use super::as_written::Kept;
use super::bodies::{Bodies, Built};
use super::{destination, id, properties};
use crate::wire::{Content, Destination, DestinationKind, Message, MessageKind, WireStr, body};

/// Makes the messages of one connection.
#[derive(Debug)]
pub struct Maker<'a> {
    /// The broker's id.
    pub broker: &'a str,
    /// What is built for all connections.
    pub bodies: &'a Bodies,
    /// Who sent the last message: most likely the next is theirs, too.
    pub sender: &'a mut Option<WireStr>,
}

impl Maker<'_> {
    /// Makes the message that a delivery is. `from` is where it comes from, `original` where it was
    /// sent to when that is another destination.
    #[must_use]
    pub fn write(
        &mut self,
        delivery: &Delivery,
        from: Destination,
        original: Option<Destination>,
    ) -> Box<Message> {
        let event = &delivery.event;
        let is_message = event.event_type() == MESSAGE_TYPE;
        let id = id::of_event(delivery, self.broker, self.sender);
        let meta = event.meta();
        // Those of a queue go to one consumer each.
        let is_queue = matches!(from.kind, DestinationKind::Queue | DestinationKind::TempQueue);
        let is_shared = !is_queue || original.is_some();
        // It is large, and not moved any more.
        let mut message = Box::new(Message {
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
        });
        let said = headers(event, &mut message);
        if !is_message && message.jms_type.is_none() {
            message.jms_type = Some(event.event_type().into());
        }
        message.kind = said.kind(event, is_message);
        let stored = said.stored(event, &message.kind, is_message);
        if stored.is_some() && !said.has_properties() {
            message.content = stored.flatten();
            return message;
        }
        let is_stored = stored.is_some();
        let built = self.bodies.get(delivery, is_shared, || {
            let mut built = Built { properties: said.properties(), ..Built::default() };
            if !is_stored {
                (built.content, built.deflated) = said.content(event, &message.kind, is_message);
            }
            built
        });
        message.content = stored.unwrap_or(built.content);
        message.compressed = built.deflated;
        message.marshalled_properties = built.properties;
        message
    }
}

/// How often it was delivered before, for certain: clients give up what they are told of too often,
/// and after a restart it is not known which messages reached a program (as with ActiveMQ).
#[must_use]
pub fn redeliveries(delivery: &Delivery) -> i32 {
    i32::try_from(delivery.deliveries.saturating_sub(1)).unwrap_or(i32::MAX)
}

/// What the event's headers say of its body and its properties.
#[derive(Default)]
struct Said<'e> {
    kind: Option<Cow<'e, str>>,
    is_text: bool,
    kept: Kept<'e>,
    /// The types of those of `others` that are no texts.
    types: Cow<'e, str>,
    /// Why it is a dead letter.
    cause: Option<Cow<'e, str>>,
    /// The headers that are properties.
    others: Vec<Header<'e>>,
}

impl Said<'_> {
    /// What the message is: what the header says; else text where the content type says so, bytes
    /// for what came as a message without saying, and text for all other events. What only JMS
    /// clients write is never text: an event from elsewhere may have any header.
    fn kind(&self, event: &EventView, is_message: bool) -> MessageKind {
        let meta = event.meta();
        let is_opaque = meta.body_start == 0 || meta.flags & FLAG_BODY_BASE64 != 0;
        match self.kind.as_deref() {
            Some(kind) if kind.eq_ignore_ascii_case("text") => MessageKind::Text,
            Some(kind) if kind.eq_ignore_ascii_case("bytes") => MessageKind::Bytes,
            Some("map") if is_opaque => MessageKind::Map,
            Some("stream") if is_opaque => MessageKind::Stream,
            Some("object") if is_opaque => MessageKind::Object,
            Some("message") if is_message => MessageKind::Plain,
            _ if self.is_text || !is_message => MessageKind::Text,
            _ => MessageKind::Bytes,
        }
    }

    const fn has_properties(&self) -> bool {
        !self.others.is_empty() || self.cause.is_some() || self.kept.has_properties()
    }

    /// The body, where it is stored as a frame has it, or there is none; `None`: it is to be built.
    #[expect(clippy::option_option, reason = "whether it is known, and whether there is one")]
    fn stored(
        &self,
        event: &EventView,
        kind: &MessageKind,
        is_message: bool,
    ) -> Option<Option<Content>> {
        if self.kept.has_content() {
            return None;
        }
        let has_none = event.meta().body_start == 0 && is_message;
        match kind {
            MessageKind::Plain | MessageKind::Blob(_) => Some(None),
            _ if has_none => Some(None),
            MessageKind::Text => Some(Some(Content::of_text(&event.stored_body()?)?)),
            _ => Some(Some(event.stored_body()?.into())),
        }
    }

    /// The body as messages of this kind have it, and whether it is deflated.
    fn content(
        &self,
        event: &EventView,
        kind: &MessageKind,
        is_message: bool,
    ) -> (Option<Content>, bool) {
        if let Some((bytes, deflated)) = self.kept.content() {
            return (Some(bytes.into()), deflated);
        }
        (content(event, kind, is_message).map(Content::Whole), false)
    }

    /// The properties as messages have them.
    fn properties(&self) -> Option<Bytes> {
        let kept = || self.kept.properties();
        let kept = if self.cause.is_none() { kept() } else { None };
        kept.or_else(|| properties::write(&self.others, &self.types, self.cause.as_deref()))
    }
}

/// Puts the event's headers into the message's fields; gives what they say besides.
fn headers<'e>(event: &'e EventView, message: &mut Message) -> Said<'e> {
    let mut said = Said::default();
    for (name, value) in event.headers() {
        match &*name {
            EXPIRES => message.expiration = millis(&value),
            TYPES => said.types = value,
            DEAD_STREAM => {
                let died_in = destination::of_stream(&value);
                message.original_destination = died_in.or(message.original_destination.take());
            }
            DELIVER_AT | ORIGIN | MESSAGE_ID | "destination" | "message-id" | "timestamp"
            | "expires" | "content-length" => {}
            KIND => said.kind = Some(value),
            "amq-msg-type" => drop(said.kind.get_or_insert(value)),
            "persistent" => message.persistent = value.eq_ignore_ascii_case("true"),
            "priority" => message.priority = value.trim().parse().unwrap_or(4).clamp(0, 9),
            "type" => message.jms_type = Some(value.into()),
            "correlation-id" => message.correlation_id = Some(value.into()),
            "JMSXUserID" => message.user_id = Some(value.into()),
            "JMSXGroupSeq" => message.group_sequence = value.trim().parse().unwrap_or(0),
            "reply-to" => message.reply_to = Some(destination::from_header(&value)),
            "outflow-dead-cause" => said.cause = Some(value),
            _ if name.starts_with(DEAD) => {}
            _ if Kept::is_one(&name) => said.kept.take(&name, value),
            _ => {
                said.is_text |= name == "content-type" && is_text(&value);
                said.others.push((name, value));
            }
        }
    }
    said
}

/// The body as messages of this kind have it, where it is not stored so.
fn content(event: &EventView, kind: &MessageKind, is_message: bool) -> Option<Bytes> {
    let plain = match event.body() {
        BodyView::Json(json) => Cow::Borrowed(json),
        BodyView::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
        BodyView::Text(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        BodyView::Bytes(bytes) => Cow::Owned(bytes),
        BodyView::None if is_message => return None,
        // An event without a body is told by its line: nothing of it is lost.
        BodyView::None => Cow::Borrowed(event.line().trim_ascii_end()),
    };
    match kind {
        MessageKind::Plain | MessageKind::Blob(_) => None,
        MessageKind::Text => body::write_text(&String::from_utf8_lossy(&plain)).ok(),
        _ => Some(plain.into_owned().into()),
    }
}
