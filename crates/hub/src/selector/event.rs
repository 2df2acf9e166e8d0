//! The properties of an event, as selectors name them.
//!
//! Made by subscriptions for each event they look at. Headers are properties by their own names;
//! those that brokers keep elsewhere have names that begin with `JMS` (reference `activemq.md` a5):
//!
//! | name | what it is |
//! | --- | --- |
//! | `JMSMessageID` | the event's id |
//! | `JMSType`, `JMSReplyTo`, `JMSCorrelationID` | the headers `type`, `reply-to`, `correlation-id` |
//! | `JMSDestination` | the header `original-destination`, else `queue://Q` or `topic://T` of its stream |
//! | `JMSDeliveryMode` | `PERSISTENT` when the header `persistent` is `true`, else `NON_PERSISTENT` |
//! | `JMSPriority` | the header `priority`, else 4 |
//! | `JMSTimestamp` | the header `timestamp`, else when the server took it, in ms |
//! | `JMSExpiration` | when it expires, in ms; 0 for never |
//! | `JMSXGroupID`, `JMSXGroupSeq` | the event's key; the header of this name, else 0 |
//! | `JMSXDeliveryCount`, `JMSRedelivered` | how often it was handed out, this time included; more than once |
//! | `outflow_type` | the event's type |

use std::borrow::Cow;

use outflow_model::json::value::Members;
use outflow_model::{Meta, StreamName, Timestamp};

use super::{Properties, Value};
use crate::destination::Destination;
use crate::subscription::event::{envelope, header};

/// The header that says when an event expires.
const EXPIRES: &str = "outflow-expires";

/// An event where it stands. See the module.
#[derive(Debug, Clone, Copy)]
pub struct EventProperties<'a> {
    /// The stream it stands in.
    pub stream: &'a StreamName,
    /// Its sidecar.
    pub meta: &'a Meta,
    /// Its stored line.
    pub line: &'a [u8],
    /// How often it was handed out, this time included.
    pub deliveries: u32,
}

impl<'a> EventProperties<'a> {
    fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        header(envelope(self.meta, self.line), name)
    }

    fn number(&self, name: &str) -> Option<Value<'a>> {
        self.header(name)?.parse().ok().map(Value::Int)
    }

    fn key(&self) -> Option<Cow<'a, str>> {
        if self.meta.key_hash == 0 {
            return None;
        }
        let value = Members::inside(envelope(self.meta, self.line)).called(b"key")?;
        Some(value.as_string()?.to_text())
    }

    fn text(bytes: &'a [u8]) -> Option<Value<'a>> {
        std::str::from_utf8(bytes).ok().map(|text| Value::Text(Cow::Borrowed(text)))
    }

    fn destination(&self) -> Value<'a> {
        let told = self.header("original-destination");
        let told = told.unwrap_or_else(|| Destination::of_stream(self.stream).to_string().into());
        Value::Text(told)
    }

    fn expires(&self) -> Value<'a> {
        let at = self.header(EXPIRES).and_then(|at| Timestamp::parse_rfc3339(at.as_bytes()));
        Value::Int(at.map_or(0, Timestamp::millis))
    }

    fn delivery_mode(&self) -> Value<'a> {
        let persistent = self.header("persistent").is_some_and(|value| value == "true");
        Value::Text(Cow::Borrowed(if persistent { "PERSISTENT" } else { "NON_PERSISTENT" }))
    }
}

impl Properties for EventProperties<'_> {
    fn get(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "JMSMessageID" => Self::text(self.meta.id(self.line)),
            "JMSType" => self.header("type").map(Value::Text),
            "JMSReplyTo" => self.header("reply-to").map(Value::Text),
            "JMSCorrelationID" => self.header("correlation-id").map(Value::Text),
            "JMSDestination" => Some(self.destination()),
            "JMSDeliveryMode" => Some(self.delivery_mode()),
            "JMSPriority" => Some(self.number("priority").unwrap_or(Value::Int(4))),
            "JMSTimestamp" => {
                let taken = Value::Int(self.meta.processed.millis());
                Some(self.number("timestamp").unwrap_or(taken))
            }
            "JMSExpiration" => Some(self.expires()),
            "JMSXGroupID" => self.key().map(Value::Text),
            "JMSXGroupSeq" => Some(self.number(name).unwrap_or(Value::Int(0))),
            "JMSXDeliveryCount" => Some(Value::Int(self.deliveries.into())),
            "JMSRedelivered" => Some(Value::Bool(self.deliveries > 1)),
            "outflow_type" => Self::text(self.meta.event_type(self.line)),
            _ => self.header(name).map(Value::Text),
        }
    }
}
