//! What a ConsumerInfo asks for.

use outflow_hub::destination;
use outflow_hub::selector::{Dialect, Selector};

use crate::config::Options;
use crate::error::Failure;
use crate::session::Asked;
use crate::translate::destination::read;
use crate::wire::{ConsumerId, ConsumerInfo, Destination};

/// A ConsumerInfo, read.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The client's id of the consumer.
    pub id: ConsumerId,
    /// From where, as the client has it.
    pub destination: Destination,
    /// The same, element by element.
    pub destinations: Vec<destination::Destination>,
    /// Which messages.
    pub selector: Option<Selector>,
    /// Whether it only looks.
    pub browser: bool,
    /// The name of a durable subscription to a topic.
    pub durable: Option<String>,
    /// Messages sent and not acked at once; 0: only when pulled.
    pub prefetch: u32,
    /// The consumer's priority.
    pub priority: u8,
    /// Whether it wants all messages for itself.
    pub exclusive: bool,
    /// Whether a topic's subscriber wants what is retained, too.
    pub retroactive: bool,
    /// Whether it wants none of this connection's own messages. Of topics only, as JMS has it: a
    /// queue's message that nobody here wants is another consumer's.
    pub no_local: bool,
    /// Who is answered.
    pub asked: Asked,
}

impl Wish {
    /// Reads `info`.
    ///
    /// # Errors
    /// [`Failure`] says what is missing or wrong.
    pub fn read(info: &ConsumerInfo, asked: Asked, options: &Options) -> Result<Self, Failure> {
        let missing = || Failure::malformed("A consumer needs an id and a destination");
        let id = info.consumer_id.clone().ok_or_else(missing)?;
        let destination = info.destination.clone().ok_or_else(missing)?;
        let selector = info.selector.as_deref().filter(|text| !text.trim().is_empty());
        // As in the reference: properties that came by other faces are texts, which are no numbers
        // unless the selector begins with `convert_string_expressions:`.
        let selector = selector.map(|text| Selector::parse(text, Dialect::Plain)).transpose()?;
        let durable = info.subscription_name.as_deref().filter(|name| !name.is_empty());
        let destinations = read(&destination)?;
        if durable.is_some() && destinations.iter().any(|one| one.kind.is_queue()) {
            let message = "Invalid Subscription: cannot durably subscribe to a Queue destination!";
            return Err(Failure::malformed(message));
        }
        let no_local = info.no_local && destinations.iter().all(|one| !one.kind.is_queue());
        Ok(Self {
            id,
            destinations,
            selector,
            browser: info.browser,
            durable: durable.map(str::to_owned),
            prefetch: prefetch(info.prefetch_size, options),
            priority: info.priority.clamp(0, 127).unsigned_abs(),
            exclusive: info.exclusive,
            retroactive: info.retroactive,
            no_local,
            asked,
            destination,
        })
    }

    /// Whether it may come to stand for more queues than now. A browser sees what there is.
    #[must_use]
    pub fn grows(&self) -> bool {
        !self.browser && self.destinations.iter().any(may_grow)
    }

    /// The same of those of its destinations alone that may come to stand for more queues.
    #[must_use]
    pub fn growing(mut self: Box<Self>) -> Box<Self> {
        self.destinations.retain(may_grow);
        self
    }
}

fn may_grow(one: &destination::Destination) -> bool {
    one.kind.is_queue() && one.has_wildcards()
}

/// A prefetch as it is granted.
#[must_use]
pub fn prefetch(asked: i32, options: &Options) -> u32 {
    u32::try_from(asked).unwrap_or(0).min(options.max_prefetch)
}
