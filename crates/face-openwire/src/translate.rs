//! Where spelling meets meaning: OpenWire's messages and destinations to the hub's nouns and back.
//!
//! Called by [`crate::session`]. [`bodies`] keeps what is built for several consumers, [`destination`] spells names, [`id`] messages' ids, [`letter`]
//! makes an event of a message, [`message`] a message of an event, [`properties`] headers of typed
//! properties and back, [`wish`] reads ConsumerInfo.
//!
//! # What a message is as an event
//!
//! It is the same event that STOMP makes, so either face's clients read what the other's sent.
//!
//! | message | event |
//! | --- | --- |
//! | text: a JSON object or array on one line | `body`, as it is |
//! | text, and bytes that are UTF-8 | `body`, a JSON string |
//! | other bytes; map, stream and object bodies | `body`, base64, `content_encoding` |
//! | which of these it is | header `outflow-body`: `text`, `bytes`, `map`, `stream`, `object`, `message` |
//! | `messageId` | `id`; header `outflow-message-id` where that is longer than events' ids, or not ASCII |
//! | | `type`: `MESSAGE` |
//! | `expiration` | header `outflow-expires` |
//! | property `AMQ_SCHEDULED_DELAY` | header `outflow-deliver-at` |
//! | properties `AMQ_SCHEDULED_PERIOD` with `_REPEAT`, `_CRON` | a schedule: an event each time, with header `scheduledJobId` |
//! | `groupID`, `groupSequence` | `key`, header `JMSXGroupSeq` |
//! | `timestamp` | `occurred` |
//! | `priority`, `persistent` | headers of those names |
//! | `type`, `correlationId`, `replyTo`, `userID` | headers `type`, `correlation-id`, `reply-to`, `JMSXUserID` |
//! | a property | header of its name; `property:` before names that the rows above use |
//! | the types of properties that are no texts | header `outflow-types` |
//!
//! What a message's bytes are follows from this, so that a body that came by OpenWire leaves by it as it
//! came. Where it does not, as with a compressed body, which an event holds inflated for all to read,
//! the bytes are kept beside it: headers `outflow-openwire-…`, see [`as_written`].
//!
//! An event that came another way is a text message: its body is the event's `body`, a JSON value
//! as it was published; one without a body is given as its whole line. Its `type` is the message's.

mod as_written;
pub mod bodies;
pub mod destination;
pub mod id;
pub mod letter;
pub mod message;
pub mod properties;
pub mod wish;
