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
//! | any other | the header of that name |
//!
//! Headers are texts.

use std::borrow::Cow;

use super::EventView;
use crate::selector::{Properties, Value};

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
            _ => header(name),
        }
    }
}
