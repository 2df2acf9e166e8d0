//! What selectors see of an event.
//!
//! | property | is |
//! | --- | --- |
//! | `JMSMessageID` | the id of the message, see [`EventView::message_id`] |
//! | `JMSTimestamp`, `JMSActiveMQBrokerInTime` | when it occurred, and when it was taken, in milliseconds |
//! | `JMSType` | the header `type`; of what is no message, else the event's type |
//! | `JMSCorrelationID`, `JMSXUserID` | the headers `correlation-id`, `JMSXUserID` |
//! | `JMSDestination` | what it was sent to, as `queue://name`; of a dead letter, before it died |
//! | `JMSReplyTo` | the header `reply-to`, written so |
//! | `JMSPriority` | the header `priority`, else 4 |
//! | `JMSExpiration` | when its time is over, in milliseconds, else 0 |
//! | `JMSDeliveryMode` | by the header `persistent` `PERSISTENT` (`true`) or `NON_PERSISTENT`; without it `NON_PERSISTENT` of messages of brokers' clients, else `PERSISTENT` |
//! | `JMSRedelivered`, `JMSXDeliveryCount` | whether it was handed out before, and which time this is |
//! | `JMSXGroupID`, `JMSXGroupSeq` | the event's key; the header `JMSXGroupSeq` as a number, else 0 |
//! | any other | the header of that name, or of that name behind `property:` |
//!
//! These are the values that ActiveMQ's `PropertyExpression` has (reference `activemq.md` a5).
//!
//! Headers are texts, but for those whose types [`TYPES`] tells: a number is compared and calculated
//! with as one, and is no text, as in the system it came from.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use outflow_model::{StreamName, Timestamp};

use super::headers::{
    DEAD_STREAM, EXPIRES, GROUP_SEQUENCE, MESSAGE_TYPE, PERSISTENT, PROPERTY, TYPES,
};
use super::{EventView, event};
use crate::Selector;
use crate::destination::Destination;
use crate::selector::{Properties, Value};

/// [`PROPERTY`] as it stands in a line.
static BEHIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"property:"));

/// So many bytes of headers are gone through in a step.
const BYTES_A_STEP: usize = 4;

/// An event that is to be chosen or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) event: &'a EventView,
    /// The stream it stands in.
    pub(crate) stream: &'a StreamName,
    /// How often it was handed out.
    pub(crate) deliveries: u32,
}

impl Candidate<'_> {
    /// Whether `selector` accepts it.
    pub(crate) fn suits(&self, selector: &Selector) -> bool {
        self.weigh(selector).0
    }

    /// The same, and about how many steps it took: each property is looked for among all headers.
    pub(crate) fn weigh(&self, selector: &Selector) -> (bool, usize) {
        let (suits, steps) = selector.weigh(self);
        (suits, steps + selector.names() * (self.event.envelope().len() / BYTES_A_STEP))
    }

    /// What it was sent to.
    fn destination(&self) -> Destination {
        let died_in = self.event.header(DEAD_STREAM);
        let died_in = died_in.and_then(|stream| StreamName::new(&stream).ok());
        Destination::of_stream(died_in.as_ref().unwrap_or(self.stream))
    }
}

impl Properties for Candidate<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        let event = self.event;
        let header = |name: &str| event.header(name).map(Value::Text);
        let number = |name: &str| event.header(name).and_then(|text| text.trim().parse().ok());
        match name {
            "JMSMessageID" => Some(Value::Text(event.message_id())),
            "JMSTimestamp" => Some(Value::Int(event.meta().occurred.millis())),
            "JMSActiveMQBrokerInTime" => Some(Value::Int(event.meta().processed.millis())),
            "JMSType" => header("type").or_else(|| {
                let of_event = Some(event.event_type()).filter(|one| *one != MESSAGE_TYPE);
                of_event.map(|one| Value::Text(one.into()))
            }),
            "JMSCorrelationID" => header("correlation-id"),
            "JMSReplyTo" => event.header("reply-to").map(|text| Value::Text(respelt(text))),
            "JMSDestination" => Some(Value::Text(self.destination().to_string().into())),
            "JMSPriority" => Some(Value::Int(number("priority").unwrap_or(4))),
            "JMSExpiration" => {
                let until = event.header(EXPIRES);
                let until = until.and_then(|text| Timestamp::parse_rfc3339(text.as_bytes()));
                Some(Value::Int(until.map_or(0, Timestamp::millis)))
            }
            "JMSDeliveryMode" => {
                // A message whose sender said nothing is not persistent; any other event is kept.
                let is_message = event.event_type() == MESSAGE_TYPE;
                let said = event.header(PERSISTENT);
                let is_kept = said.map_or(!is_message, |said| said.eq_ignore_ascii_case("true"));
                let mode = if is_kept { "PERSISTENT" } else { "NON_PERSISTENT" };
                Some(Value::Text(Cow::Borrowed(mode)))
            }
            "JMSRedelivered" => Some(Value::Bool(self.deliveries > 0)),
            "JMSXDeliveryCount" => Some(Value::Int(i64::from(self.deliveries) + 1)),
            "JMSXGroupID" => event.key().map(Value::Text),
            "JMSXGroupSeq" => Some(Value::Int(number(GROUP_SEQUENCE).unwrap_or(0))),
            _ => event.property(name),
        }
    }
}

/// How headers spell destinations, and how clients of brokers compare them.
const SPELLINGS: [(&str, &str); 6] = [
    ("/queue/", "queue://"),
    ("/topic/", "topic://"),
    ("/temp-queue/", "temp-queue://"),
    ("/temp-topic/", "temp-topic://"),
    ("/remote-temp-queue/", "temp-queue://"),
    ("/remote-temp-topic/", "temp-topic://"),
];

/// A destination in a header, as selectors see it.
fn respelt(text: Cow<'_, str>) -> Cow<'_, str> {
    let known = SPELLINGS.iter().find_map(|(from, to)| Some((to, text.strip_prefix(from)?)));
    match known {
        Some((scheme, name)) => Cow::Owned([scheme, name].concat()),
        None => text,
    }
}

impl EventView {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        let Some(types) = self.header(TYPES) else {
            return self.header(name).or_else(|| self.behind(name)).map(Value::Text);
        };
        let (text, called) = match self.behind(name) {
            Some(text) => (text, Cow::Owned([PROPERTY, name].concat())),
            None => (self.header(name)?, Cow::Borrowed(name)),
        };
        let mut typed = types.split(';').filter_map(|one| one.split_once(':'));
        let letter = typed.find(|(_, known)| *known == called).map(|(letter, _)| letter);
        Some(letter.and_then(|letter| value(letter, &text)).unwrap_or(Value::Text(text)))
    }

    /// The property whose name is also that of a header with another meaning.
    fn behind(&self, name: &str) -> Option<Cow<'_, str>> {
        let envelope = self.envelope();
        // The usual event has none, which a search of its bytes tells.
        BEHIND.find(envelope)?;
        let mut members = event::header_object(envelope)?.members();
        let (_, value) =
            members.find(|(known, _)| known.to_text().strip_prefix(PROPERTY) == Some(name))?;
        Some(value.as_string()?.to_text())
    }
}

/// The value of a property of this type; `None`: it is none, or a text.
fn value(letter: &str, text: &str) -> Option<Value<'static>> {
    Some(match letter {
        "z" => Value::Bool(text.parse().ok()?),
        "b" | "s" | "i" | "l" => Value::Int(text.parse().ok()?),
        // What it is in 32 bits, which may be no more than near to what is written.
        "f" => Value::Float(text.parse::<f32>().ok()?.into()),
        "d" => Value::Float(text.parse().ok()?),
        _ => return None,
    })
}
