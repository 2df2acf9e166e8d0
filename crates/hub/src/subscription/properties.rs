//! What selectors see of an event.
//!
//! | property | is |
//! | --- | --- |
//! | `JMSMessageID` | the event's id |
//! | `JMSTimestamp` | when it occurred, in milliseconds |
//! | `JMSType` | the header `type`, else the event's type |
//! | `JMSCorrelationID`, `JMSReplyTo`, `JMSDestination` | the headers `correlation-id`, `reply-to`, `destination` |
//! | `JMSPriority` | the header `priority`, else 4 |
//! | `JMSExpiration` | the header `expires`, else 0 |
//! | `JMSDeliveryMode` | `PERSISTENT`, or `NON_PERSISTENT` where the header `persistent` is not `true` |
//! | `JMSXGroupID` | the event's key |
//! | any other | the header of that name, or of that name behind `property:` |
//!
//! Headers are texts, but for those whose types [`TYPES`] tells: a number is compared and calculated
//! with as one, and is no text, as in the system it came from.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::headers::{PROPERTY, TYPES};
use super::{EventView, event};
use crate::selector::{Properties, Value};

/// [`PROPERTY`] as it stands in a line.
static BEHIND: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"property:"));

impl Properties for EventView {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        let header = |name: &str| self.header(name).map(Value::Text);
        let number = |name: &str| self.header(name).and_then(|text| text.trim().parse().ok());
        match name {
            "JMSMessageID" => Some(Value::Text(self.id().into())),
            "JMSTimestamp" => Some(Value::Int(self.meta().occurred.millis())),
            "JMSType" => header("type").or_else(|| Some(Value::Text(self.event_type().into()))),
            "JMSCorrelationID" => header("correlation-id"),
            "JMSReplyTo" => header("reply-to"),
            "JMSDestination" => header("destination"),
            "JMSPriority" => Some(Value::Int(number("priority").unwrap_or(4))),
            "JMSExpiration" => Some(Value::Int(number("expires").unwrap_or(0))),
            "JMSDeliveryMode" => {
                let is_kept = self.header("persistent").is_none_or(|text| text == "true");
                let mode = if is_kept { "PERSISTENT" } else { "NON_PERSISTENT" };
                Some(Value::Text(Cow::Borrowed(mode)))
            }
            "JMSXGroupID" => self.key().map(Value::Text),
            _ => self.property(name),
        }
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
