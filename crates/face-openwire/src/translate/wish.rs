//! What a ConsumerInfo asks for.

use outflow_broker::Wish;
use outflow_hub::selector::{Dialect, Selector};

use crate::config::Options;
use crate::error::Failure;
use crate::session::Asked;
use crate::translate::destination;
use crate::wire::{ConsumerId, ConsumerInfo, Destination};

/// What of a ConsumerInfo its consumer keeps.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The client's id of the consumer.
    pub id: ConsumerId,
    /// From where, as the client has it.
    pub destination: Destination,
    /// Who is answered.
    pub asked: Asked,
}

/// Reads `info`.
///
/// # Errors
/// [`Failure`] says what is missing or wrong.
pub fn read(info: &ConsumerInfo, asked: Asked, options: &Options) -> Result<(Ask, Wish), Failure> {
    let missing = || Failure::malformed("A consumer needs an id and a destination");
    let id = info.consumer_id.clone().ok_or_else(missing)?;
    let destination = info.destination.clone().ok_or_else(missing)?;
    let selector = info.selector.as_deref().filter(|text| !text.trim().is_empty());
    // As in the reference: properties that came by other faces are texts, which are no numbers
    // unless the selector begins with `convert_string_expressions:`.
    let selector = selector.map(|text| Selector::parse(text, Dialect::Plain)).transpose()?;
    let durable = info.subscription_name.as_deref().filter(|name| !name.is_empty());
    let destinations = destination::read(&destination)?;
    if durable.is_some() && destinations.iter().any(|one| one.kind.is_queue()) {
        let message = "Invalid Subscription: cannot durably subscribe to a Queue destination!";
        return Err(Failure::malformed(message));
    }
    let wish = Wish {
        selector,
        browser: info.browser,
        durable: durable.map(str::to_owned),
        prefetch: prefetch(info.prefetch_size, options),
        priority: info.priority.clamp(0, 127).unsigned_abs(),
        exclusive: info.exclusive,
        retroactive: info.retroactive,
        no_local: Wish::no_local(info.no_local, &destinations),
        auto_ack: false,
        destinations,
    };
    Ok((Ask { id, destination, asked }, wish))
}

/// A prefetch as it is granted.
#[must_use]
pub fn prefetch(asked: i32, options: &Options) -> u32 {
    u32::try_from(asked).unwrap_or(0).min(options.limits.max_prefetch)
}
