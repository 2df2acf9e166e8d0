//! What a SUBSCRIBE frame asks for.

use std::borrow::Cow;

use outflow_hub::destination::Destination;
use outflow_hub::selector::{Dialect, Selector};

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

/// A SUBSCRIBE frame, read.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The client's id of the subscription; `None` only in 1.0.
    pub id: Option<String>,
    /// From where, as spelt.
    pub destination: String,
    /// How messages are acked.
    pub mode: AckMode,
    /// Which messages.
    pub selector: Option<Selector>,
    /// Whether it only looks.
    pub browser: bool,
    /// The name of a durable subscription to a topic.
    pub durable: Option<String>,
    /// Messages sent and not acked at once.
    pub prefetch: u32,
    /// The consumer's priority.
    pub priority: u8,
    /// Whether it wants all messages for itself.
    pub exclusive: bool,
    /// Whether a topic's subscriber wants what is retained, too.
    pub retroactive: bool,
    /// Whether it wants none of this connection's own messages.
    pub no_local: bool,
    /// The receipt it asks for.
    pub receipt: Option<String>,
}

impl Wish {
    /// Reads `frame`. An ack mode that is not known is `auto`, as with ActiveMQ.
    ///
    /// # Errors
    /// [`Failure`] says what is missing or wrong.
    pub fn read(frame: &Frame<'_>, version: Version, options: &Options) -> Result<Self, Failure> {
        let id = frame.header("id").map(Cow::into_owned);
        if id.is_none() && version != Version::V1_0 {
            return Err(Failure::malformed("SUBSCRIBE received without a subscription id!"));
        }
        let destination = frame.header("destination");
        let destination = destination.map(|text| text.trim().to_owned()).filter(|d| !d.is_empty());
        let destination = destination.ok_or_else(|| {
            Failure::malformed("SUBSCRIBE received without a Destination specified!")
        })?;
        let selector = frame.header("selector").or_else(|| consumer(&destination, "selector"));
        let selector = selector.filter(|text| !text.trim().is_empty());
        let selector =
            selector.map(|text| Selector::parse(&text, Dialect::StringsAsNumbers)).transpose()?;
        let mode = match frame.header("ack").as_deref() {
            Some("client") => AckMode::Client,
            Some("client-individual") => AckMode::Individual,
            _ => AckMode::Auto,
        };
        let said = |name: &'static str| {
            let header = frame.header(&format!("activemq.{name}"));
            header.or_else(|| consumer(&destination, name))
        };
        let number = |name| said(name).map(|value| number(name, &value)).transpose();
        let is_true = |name| said(name).is_some_and(|value| is_true(&value));
        let prefetch = number("prefetchSize")?.unwrap_or(options.prefetch);
        let priority = number("priority")?.unwrap_or(0);
        let (exclusive, retroactive) = (is_true("exclusive"), is_true("retroactive"));
        let no_local = is_true("noLocal");
        Ok(Self {
            id,
            mode,
            selector,
            browser: frame.header("browser").is_some_and(|value| self::is_true(&value)),
            durable: durable(frame),
            // Without any nothing could be sent: STOMP has no way to ask for one message.
            prefetch: prefetch.clamp(1, options.max_prefetch),
            priority: u8::try_from(priority.min(127)).unwrap_or(127),
            exclusive,
            retroactive,
            no_local,
            receipt: frame.header("receipt").map(Cow::into_owned),
            destination,
        })
    }

    /// Those of its destinations that may come to stand for more queues than now. A browser sees
    /// what there is.
    pub fn grows_with<'d>(
        &self,
        destinations: &'d [Destination],
    ) -> impl Iterator<Item = &'d Destination> {
        let browser = self.browser;
        destinations
            .iter()
            .filter(move |one| !browser && one.kind.is_queue() && one.has_wildcards())
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

fn number(name: &str, value: &str) -> Result<u32, Failure> {
    let number = value.trim().parse();
    number.map_err(|_| Failure::malformed(format!("The option {name} is not a number")))
}
