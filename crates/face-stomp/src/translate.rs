//! Where spelling meets meaning: STOMP's destinations and headers to the hub's nouns and back.
//!
//! Called by [`crate::session`]. [`destination`] spells names, [`letter`] makes an event of a SEND
//! frame, [`message`] a MESSAGE frame of an event, [`wish`] reads SUBSCRIBE and [`options`] what
//! stands behind a destination's `?`.
//!
//! # What a message is as an event
//!
//! | SEND | event | MESSAGE |
//! | --- | --- | --- |
//! | body: a JSON object or array on one line | `body`, as it is | the same bytes |
//! | body: any other UTF-8 | `body`, a JSON string | the same bytes |
//! | body: other bytes | `body`, base64, `content_encoding` | the same bytes |
//! | | `type`: `MESSAGE` | |
//! | `expires` (ms) | header `outflow-expires` | `expires`, 0 when there is none |
//! | `AMQ_SCHEDULED_DELAY` (ms) | header `outflow-deliver-at` | |
//! | `AMQ_SCHEDULED_PERIOD` with `_REPEAT`, `_CRON` | a schedule: an event each time | `scheduledJobId` |
//! | `JMSXGroupID` | `key` | `JMSXGroupID` |
//! | `timestamp` (ms) | `occurred` | `timestamp` |
//! | `priority`, 0 to 9 | header `priority` | `priority`, 4 when there is none |
//! | `persistent:true` | header `persistent` | `persistent:true` |
//! | `type`, `correlation-id`, `reply-to`, `content-type`, any other | header of that name | the same |
//!
//! `content-length`, `receipt`, `transaction` and what only MESSAGE may say are not kept. The first
//! of repeated headers counts. Whether the message is text or bytes for JMS is kept in `outflow-body`
//! where it does not follow from the rest, see [`letter::kind_of`].
//!
//! An event that came another way, such as by HTTP, is a message too: its body is the event's
//! `body`, a JSON value as it was published; one without a body is given as its whole line. Its
//! `type` becomes the header `type`, and JSON is said in `content-type`.

pub mod destination;
pub mod letter;
pub mod message;
pub mod options;
pub mod wish;
