//! Wire values to model values and back: ids, topics, messages.
//!
//! Ids are derived, so that nothing is kept for them: a MessageId is the event's place, the same
//! for every subscriber and publisher; a LockId is the lease bound to its message; a SubscriberId
//! is the hash of project and name, so that registering again leads to the same one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use outflow_hub::subscription::{BodyView, LeaseId};
use outflow_hub::{Delivery, Stream};
use outflow_model::subset::id_hash;
use outflow_model::{Grant, Offset, ProjectId, StreamId, StreamName, SubscriptionName, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::{Refusal, ServiceResult};
use crate::wire::Guid;

/// The bits of a MessageId that tell it from a GUID that someone made up.
const MESSAGE_CHECK: u128 = (1 << 26) - 1;
/// The same of a LockId.
const LOCK_CHECK: u128 = (1 << 58) - 1;

/// The id of the subscriber that is called `name` in `project`.
#[must_use]
pub fn subscriber_id(project: &ProjectId, name: &str) -> Guid {
    Guid::of(id_hash(format!("subscriber/{project}/{name}").as_bytes()))
}

/// The name of a subscriber's mailbox among the project's subscriptions.
///
/// # Errors
/// Never: every GUID makes a name.
pub fn mailbox_name(subscriber: Guid) -> Result<SubscriptionName, Refusal> {
    SubscriptionName::new(&format!("mailbox:{subscriber}"))
        .map_err(|_| Refusal::missing("subscriber"))
}

/// The id of the event at this place.
#[must_use]
pub fn message_id(stream: StreamId, offset: Offset) -> Guid {
    let place = (u128::from(stream.0) << 64) | u128::from(offset.get());
    Guid::of((place << 26) | message_check(place))
}

/// The place that a MessageId names; `None` for a GUID that is none.
#[must_use]
pub fn place(message: Guid) -> Option<(StreamId, Offset)> {
    let own = message.own()?;
    let place = own >> 26;
    let stream = u32::try_from(place >> 64).ok()?;
    (own & MESSAGE_CHECK == message_check(place))
        .then_some((StreamId(stream), Offset::new(place as u64)))
}

fn message_check(place: u128) -> u128 {
    id_hash(&[&b"message"[..], &place.to_be_bytes()].concat()) & MESSAGE_CHECK
}

/// The id of the lock that `lease` is on `message`.
#[must_use]
pub fn lock_id(message: Guid, lease: LeaseId) -> Guid {
    Guid::of((u128::from(lease.0) << 58) | lock_check(message, lease))
}

/// The lease that a LockId names; `None` for a GUID that is no lock of this message.
#[must_use]
pub fn lease_of(message: Guid, lock: Guid) -> Option<LeaseId> {
    let own = lock.own()?;
    let lease = LeaseId((own >> 58) as u64);
    (own & LOCK_CHECK == lock_check(message, lease)).then_some(lease)
}

fn lock_check(message: Guid, lease: LeaseId) -> u128 {
    let text = [&message.bits().to_be_bytes()[..], &lease.0.to_be_bytes()].concat();
    id_hash(&text) & LOCK_CHECK
}

/// Whose subscribers a caller's are: its integration's, which may change its credentials, or else
/// its credential's.
#[must_use]
pub fn owner(grant: &Grant) -> String {
    match &grant.integration {
        Some(integration) => format!("integration/{integration}"),
        None => format!("credential/{}", grant.credential),
    }
}

/// The company code and topic that a stream stands for: `AA/INVOICES`. Others are no topics.
#[must_use]
pub fn topic_of(stream: &StreamName) -> Option<(&str, &str)> {
    let (company, topic) = stream.as_str().split_once('/')?;
    (!company.contains([':', '$']) && !topic.contains('/')).then_some((company, topic))
}

/// The stream of a company's topic. What cannot be a name is no topic.
///
/// # Errors
/// 404.
pub fn stream_name(company: &str, topic: &str) -> Result<StreamName, Refusal> {
    let name = StreamName::new(&format!("{company}/{topic}")).ok();
    name.filter(|name| topic_of(name).is_some()).ok_or_else(|| Refusal::missing("topic"))
}

/// The message template that a stream's description begins with, such as `TID-002` (reference 2.1).
#[must_use]
pub fn template(description: &str) -> Option<&str> {
    let word = description.split([' ', ':', ',', '.']).next()?;
    let number = word.strip_prefix("TID-")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(word)
}

/// A message as the vendor's Receive answers it (reference 2.1), and our additions at its end.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Message {
    message_id: String,
    /// Null when it was not locked.
    lock_id: Option<String>,
    topic: String,
    company_code: String,
    message_type: String,
    /// The publisher's JSON byte for byte; other text as a string; bytes as base64 in a string.
    message_body: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'static str>,
    enqueue_time: String,
    delivery_count: u32,
    locked_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_count: Option<u64>,
    service_result: Option<ServiceResult>,
}

impl Message {
    /// Renders a delivery; with its lock when it `is_locked`, and with a `note`.
    #[must_use]
    pub fn of(
        delivery: &Delivery,
        is_locked: bool,
        message_count: Option<u64>,
        note: Option<ServiceResult>,
    ) -> Self {
        let event = &delivery.event;
        let message = message_id(delivery.stream.id, event.offset());
        let (company, topic) = topic_of(&delivery.stream.name).unwrap_or_default();
        let locked_until = delivery.deadline.filter(|_| is_locked).map(|at| at.to_string());
        let is_json = event.header("content-type").is_some_and(|kind| is_json(&kind));
        let (message_body, content_encoding) = body(&event.body(), is_json);
        Self {
            message_id: message.to_string(),
            lock_id: is_locked.then(|| lock_id(message, delivery.lease).to_string()),
            topic: topic.to_owned(),
            company_code: company.to_owned(),
            message_type: event.event_type().to_owned(),
            message_body,
            content_encoding,
            enqueue_time: event.meta().processed.to_string(),
            // A look is numbered as the delivery that comes next, and is none itself.
            delivery_count: delivery.deliveries.saturating_sub(u32::from(!is_locked)),
            locked_until,
            message_count,
            service_result: note,
        }
    }
}

/// Whether a media type is JSON's.
fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn body(body: &BodyView<'_>, is_json: bool) -> (Box<RawValue>, Option<&'static str>) {
    let string = |text: &str| serde_json::value::to_raw_value(text).ok();
    let written = |text: &str| serde_json::from_str::<Box<RawValue>>(text).ok();
    let (value, encoding) = match body {
        BodyView::None => (None, None),
        BodyView::Json(text) => (serde_json::from_slice::<Box<RawValue>>(text).ok(), None),
        // JSON over several lines, as its publisher says.
        BodyView::Text(text) if is_json => (written(text).or_else(|| string(text)), None),
        BodyView::Text(text) => (string(text), None),
        BodyView::Bytes(bytes) => (string(&STANDARD.encode(bytes)), Some("base64")),
    };
    (value.unwrap_or_else(|| RawValue::NULL.to_owned()), encoding)
}

/// A time as answers carry it, where there is one.
#[must_use]
pub fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// A topic in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopicView {
    company_code: String,
    topic: String,
    description: String,
    template_id: Option<String>,
}

impl TopicView {
    /// The topic that `stream` stands for, if it does for one.
    #[must_use]
    pub fn of(stream: &Arc<Stream>) -> Option<Self> {
        let (company, topic) = topic_of(&stream.name)?;
        let description = stream.settings.description.clone();
        Some(Self {
            company_code: company.to_owned(),
            topic: topic.to_owned(),
            template_id: template(&description).map(str::to_owned),
            description,
        })
    }
}
