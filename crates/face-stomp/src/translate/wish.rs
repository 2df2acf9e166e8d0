//! What a SUBSCRIBE frame asks for.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use outflow_broker::Wish;
use outflow_hub::selector::{Dialect, Selector};

use super::destination;
use super::options::consumer;
use crate::config::Options;
use crate::error::Failure;
use crate::wire::{Frame, Version};

/// How messages are acked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AckMode {
    /// Sent is acked.
    #[default]
    Auto,
    /// An ack counts for all messages before it.
    Client,
    /// An ack counts for its message.
    Individual,
}

/// What of a SUBSCRIBE frame its subscription keeps.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The client's id of the subscription; `None` only in 1.0.
    pub id: Option<String>,
    /// From where, as spelt.
    pub destination: String,
    /// How messages are acked.
    pub mode: AckMode,
    /// The receipt it asks for.
    pub receipt: Option<String>,
}

impl Ask {
    /// Reads `frame`. An ack mode that is not known is `auto`, as with ActiveMQ.
    ///
    /// # Errors
    /// [`Failure`] says what is missing.
    pub fn read(frame: &Frame<'_>, version: Version) -> Result<Self, Failure> {
        let id = frame.header("id").map(Cow::into_owned);
        if id.is_none() && version != Version::V1_0 {
            return Err(Failure::malformed("SUBSCRIBE received without a subscription id!"));
        }
        let destination = frame.header("destination");
        let destination = destination.map(|text| text.trim().to_owned()).filter(|d| !d.is_empty());
        let destination = destination.ok_or_else(|| {
            Failure::malformed("SUBSCRIBE received without a Destination specified!")
        })?;
        let mode = match frame.header("ack").as_deref() {
            Some("client") => AckMode::Client,
            Some("client-individual") => AckMode::Individual,
            _ => AckMode::Auto,
        };
        let receipt = frame.header("receipt").map(Cow::into_owned);
        Ok(Self { id, destination, mode, receipt })
    }

    /// What `frame` wants, of a client of the connection called `session`.
    ///
    /// # Errors
    /// [`Failure`] says what is wrong.
    pub fn wish(
        &self,
        frame: &Frame<'_>,
        session: &str,
        options: &Options,
    ) -> Result<Wish, Failure> {
        let destination = &self.destination;
        let selector = frame.header("selector").or_else(|| consumer(destination, "selector"));
        let selector = selector.filter(|text| !text.trim().is_empty());
        let selector =
            selector.map(|text| Selector::parse(&text, Dialect::StringsAsNumbers)).transpose()?;
        let said = |name: &'static str| {
            let header = frame.header(&format!("activemq.{name}"));
            header.or_else(|| consumer(destination, name))
        };
        let number = |name, range| said(name).map(|value| number(name, &value, range)).transpose();
        let is_true = |name| said(name).is_some_and(|value| is_true(&value));
        let prefetch =
            number("prefetchSize", 1..=options.limits.max_prefetch)?.unwrap_or(options.prefetch);
        let priority = number("priority", 0..=127)?.unwrap_or(0);
        let (exclusive, retroactive) = (is_true("exclusive"), is_true("retroactive"));
        let destinations = destination::parse(destination, session)?;
        Ok(Wish {
            selector,
            browser: frame.header("browser").is_some_and(|value| self::is_true(&value)),
            durable: durable(frame),
            // Without any nothing could be sent: STOMP has no way to ask for one message.
            prefetch: prefetch.clamp(1, options.limits.max_prefetch),
            priority: u8::try_from(priority.min(127)).unwrap_or(127),
            exclusive,
            retroactive,
            no_local: Wish::no_local(is_true("noLocal"), &destinations),
            auto_ack: self.mode == AckMode::Auto,
            destinations,
        })
    }
}

/// The name of a durable subscription, in a SUBSCRIBE or UNSUBSCRIBE frame.
#[must_use]
pub fn durable(frame: &Frame<'_>) -> Option<String> {
    // The second spelling is that of clients written for older servers.
    let name = frame
        .header("activemq.subscriptionName")
        .or_else(|| frame.header("durable-subscriber-name"));
    name.map(Cow::into_owned).filter(|name| !name.is_empty())
}

fn is_true(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("true")
}

/// The number that an option is; beyond `range` is as at its end.
fn number(name: &str, value: &str, range: RangeInclusive<u32>) -> Result<u32, Failure> {
    let number = value.trim().parse();
    number.map_err(|_| {
        let (least, most) = range.into_inner();
        let message = format!(
            "The option {name} is not a number; one beyond {least} to {most} is as the nearer"
        );
        Failure::malformed(message)
    })
}
