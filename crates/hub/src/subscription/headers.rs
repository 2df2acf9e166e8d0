//! The headers that the hub itself heeds: when an event may be seen, and until when.
//!
//! Called as events are loaded. A header counts when its name is written without escapes, as all
//! faces write it; its value is an RFC 3339 time.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use outflow_model::{EventId, Meta, Timestamp, subset};

use super::entry::NEVER;
use super::event;

/// The event is not handed out before this time.
pub const DELIVER_AT: &str = "outflow-deliver-at";
/// The event is not handed out after this time.
pub const EXPIRES: &str = "outflow-expires";
/// Which schedule published the event. JMS clients know it by this name.
pub const SCHEDULE_ID: &str = "scheduledJobId";
/// Where in its group an event stands. Below 0 it ends the group: what comes of its key after it may go
/// to another consumer. JMS clients know it by this name.
pub const GROUP_SEQUENCE: &str = "JMSXGroupSeq";
/// The types of the headers that stand for properties of other types than text: `i:count;d:price`,
/// a letter, a colon and the header's name, with semicolons between them. `z` true or false; `b`,
/// `s`, `i`, `l` whole numbers; `f`, `d` numbers of 32 and 64 bits.
pub const TYPES: &str = "outflow-types";
/// The id that a message was sent with, where no event may have it: then the event's own is made of it,
/// the same for the same message.
pub const MESSAGE_ID: &str = "outflow-message-id";
/// What stands before the name of a property that is also the name of a header with a meaning of its
/// own.
pub const PROPERTY: &str = "property:";
/// The type of events that brokers' clients sent as messages.
pub(crate) const MESSAGE_TYPE: &str = "MESSAGE";
/// Whether such a message is to be kept whatever happens: `true`, or not.
pub(crate) const PERSISTENT: &str = "persistent";
/// When the time of a dead letter would have been over, in milliseconds since 1970, or 0. JMS clients
/// know it by this name.
pub(crate) const ORIGINAL_EXPIRATION: &str = "originalExpiration";
/// That a dead letter was not to be kept whatever happens, where it was not. JMS clients know it by
/// this name.
pub(crate) const ORIGINAL_DELIVERY_MODE: &str = "originalDeliveryMode";
/// Why an event is among the dead letters.
pub const DEAD_CAUSE: &str = "outflow-dead-cause";
/// The stream a dead letter came from.
pub const DEAD_STREAM: &str = "outflow-dead-stream";
/// The subscription that gave it up.
pub const DEAD_SUBSCRIPTION: &str = "outflow-dead-subscription";
/// Where it was in its stream.
pub const DEAD_OFFSET: &str = "outflow-dead-offset";
/// How often it had been handed out.
pub const DEAD_DELIVERIES: &str = "outflow-dead-deliveries";

/// All of them: what a copy of an event does not inherit.
pub(crate) const RESERVED_NAMES: [&str; 7] =
    [DELIVER_AT, EXPIRES, DEAD_CAUSE, DEAD_STREAM, DEAD_SUBSCRIPTION, DEAD_OFFSET, DEAD_DELIVERIES];

/// What all of them begin with, as it stands in a line.
static RESERVED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"outflow-"));

/// [`DELIVER_AT`] and [`EXPIRES`] as they stand in a line.
const TIMES: [&[u8]; 2] = [b"\"outflow-deliver-at\"", b"\"outflow-expires\""];

/// [`GROUP_SEQUENCE`] below 0, as it stands in a line.
static GROUP_END: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new(b"\"JMSXGroupSeq\":\"-"));

/// What the ids begin with that are made of messages' ids.
pub(super) const MADE_ID: &str = "ID:outflow-";

/// The id of the event that a message with the id `shown` is: that one, where an event may have it;
/// else one that is made of it, so that the message is recognised when it comes again, and
/// [`MESSAGE_ID`] keeps what clients are shown.
#[must_use]
pub fn event_id(shown: &str) -> Cow<'_, str> {
    match EventId::check(shown.as_bytes()) {
        Ok(()) => shown.into(),
        Err(_) => format!("{MADE_ID}{:032x}", subset::id_hash(shown.as_bytes())).into(),
    }
}

/// When an event may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    /// Not before.
    pub(crate) from: Timestamp,
    /// Not after.
    pub(crate) until: Timestamp,
}

/// Reads the times of an event. The usual event costs a search of the bytes before its body.
pub(crate) fn times(meta: &Meta, line: &[u8]) -> Times {
    let envelope = event::envelope(meta, line);
    let mut times = Times { from: Timestamp::from_millis(i64::MIN), until: NEVER };
    // Most events that have a header of ours have one that says no time.
    let says_time = |at: usize| {
        let rest = envelope.get(at..).unwrap_or_default();
        TIMES.iter().any(|name| rest.starts_with(name))
    };
    if envelope.is_empty() || !RESERVED.find_iter(envelope).any(says_time) {
        return times;
    }
    let time = |name| Timestamp::parse_rfc3339(event::header(envelope, name)?.as_bytes());
    times.from = time(DELIVER_AT).unwrap_or(times.from);
    times.until = time(EXPIRES).unwrap_or(times.until);
    times
}

/// Whether an event ends its group. The usual event costs a search of the bytes before its body.
pub(crate) fn ends_group(meta: &Meta, line: &[u8]) -> bool {
    let envelope = event::envelope(meta, line);
    let sequence = || event::header(envelope, GROUP_SEQUENCE)?.trim().parse::<i64>().ok();
    GROUP_END.find(envelope).is_some() && sequence().is_some_and(|sequence| sequence < 0)
}
