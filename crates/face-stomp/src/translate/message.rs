//! An event as a MESSAGE frame.

use outflow_broker::letter::{
    AS_WRITTEN, DEAD, DEAD_STREAM, DELIVER_AT, EXPIRES, KIND, MESSAGE_ID, MESSAGE_TYPE, ORIGIN,
    TYPES, millis,
};
use outflow_hub::Delivery;
use outflow_hub::subscription::{BodyView, EventView};

use crate::session::{AckId, Outbox};
use crate::wire::{FrameWriter, Version};

/// What a frame says besides the event.
#[derive(Debug)]
pub struct Address<'a> {
    /// The header lines that are the same for every message of the subscription: `subscription`.
    pub lines: &'a [u8],
    /// Where the message comes from, as the consumer spells it.
    pub destination: &'a str,
    /// Where it was sent to, when that is another destination.
    pub original: Option<&'a str>,
    /// What the client acks it by; `None` in auto mode.
    pub ack: Option<AckId>,
}

/// The sign of a message that the peer set to be on the disk.
const PERSISTENT: &str = "persistent";

/// How this connection spells what an event's headers name.
pub trait Spelling {
    /// `reply-to`, where it is spelt otherwise here.
    fn reply_to(&self, reply_to: &str) -> Option<String>;

    /// The stream that a dead letter comes from, as a destination.
    fn died_in(&self, stream: &str) -> Option<String>;
}

/// Appends the MESSAGE frame of `delivery`.
pub fn write(
    out: &mut Outbox,
    version: Version,
    address: &Address<'_>,
    delivery: &Delivery,
    spelling: &impl Spelling,
) {
    let event = &delivery.event;
    let is_message = event.event_type() == MESSAGE_TYPE;
    let mut frame = out.begin(version, "MESSAGE");
    frame.named("destination", address.destination).lines(address.lines);
    frame.named("message-id", &event.message_id());
    if let Some(ack) = address.ack {
        frame.pair("ack", ack.numbers());
    }
    frame.number("timestamp", event.meta().occurred.millis());
    if delivery.redelivered {
        frame.plain("redelivered", "true");
    }
    if let Some(key) = event.key() {
        frame.header("JMSXGroupID", &key);
        if delivery.first_of_group {
            frame.plain("JMSXGroupFirstForConsumer", "true");
        }
    }
    let said = headers(&mut frame, event, spelling);
    if let Some(original) = address.original.filter(|_| !said.original) {
        frame.named("original-destination", original);
    }
    frame.number("expires", said.expires);
    if !said.priority {
        frame.plain("priority", "4");
    }
    if !is_message && !said.event_type {
        frame.header("type", event.event_type());
    }
    body(&mut frame, event, is_message, said.content_type);
}

/// What the event's own headers said.
#[derive(Default)]
struct Said {
    expires: i64,
    priority: bool,
    event_type: bool,
    content_type: bool,
    original: bool,
}

/// Writes the event's headers, but those that are the frame's or the hub's own.
fn headers(frame: &mut FrameWriter<'_>, event: &EventView, spelling: &impl Spelling) -> Said {
    let mut said = Said::default();
    for (name, value) in event.headers() {
        match &*name {
            EXPIRES => said.expires = millis(&value),
            // Ours, or what this frame says itself: an event from elsewhere may have any header.
            DELIVER_AT
            | KIND
            | MESSAGE_ID
            | ORIGIN
            | TYPES
            | "destination"
            | "subscription"
            | "message-id"
            | "ack"
            | "timestamp"
            | "redelivered"
            | "expires"
            | "content-length"
            | "browser"
            | "original-destination"
            | "JMSXGroupID" => {}
            PERSISTENT => {
                if value.eq_ignore_ascii_case("true") {
                    frame.plain(PERSISTENT, "true");
                }
            }
            "reply-to" => {
                let respelt = spelling.reply_to(&value);
                frame.header(&name, respelt.as_deref().unwrap_or(&value));
            }
            DEAD_STREAM => {
                if let Some(original) = spelling.died_in(&value) {
                    said.original = true;
                    frame.named("original-destination", &original);
                }
            }
            _ if name.starts_with(DEAD) => dead(frame, &name, &value),
            _ if name.starts_with(AS_WRITTEN) => {}
            _ => {
                match &*name {
                    "priority" => said.priority = true,
                    "type" => said.event_type = true,
                    "content-type" => said.content_type = true,
                    _ => {}
                }
                frame.header(&name, &value);
            }
        }
    }
    said
}

/// What the hub says of a dead letter, under ActiveMQ's name where it has one (reference
/// `activemq.md` a5). Where it was sent to is said by `original-destination`.
fn dead(frame: &mut FrameWriter<'_>, name: &str, value: &str) {
    match name.strip_prefix(DEAD) {
        Some("cause") => drop(frame.header("dlqDeliveryFailureCause", value)),
        Some("stream" | "subscription" | "offset") | None => {}
        Some(_) => drop(frame.header(name, value)),
    }
}

/// Ends the frame with the body as its publisher gave it.
fn body(frame: &mut FrameWriter<'_>, event: &EventView, is_message: bool, says_type: bool) {
    let json = |frame: &mut FrameWriter<'_>, body: &[u8]| {
        if !is_message && !says_type {
            frame.plain("content-type", "application/json");
        }
        frame.body(body);
    };
    match event.body() {
        BodyView::Json(body) => json(frame, body),
        BodyView::Text(body) => frame.body(body.as_bytes()),
        BodyView::Bytes(body) => frame.body(&body),
        BodyView::None if is_message => frame.body(b""),
        // An event without a body is told by its line: nothing of it is lost.
        BodyView::None => json(frame, event.line().trim_ascii_end()),
    }
}
