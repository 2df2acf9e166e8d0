//! The calls about topics: ViewTopics and Publish.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use outflow_hub::Stream;
use outflow_model::draft::{Body, NewEvent};
use outflow_model::{Action, Draft, ErrorCode};
use serde_json::json;

use super::{Answer, Face};
use crate::authenticate::Caller;
use crate::error::Refusal;
use crate::translate::{TopicView, message_id, stream_name, topic_of};
use crate::wire::{Grammar, Topic};

/// The type of events published here: what the vendor's Receive shows as MessageType (2.1).
const MESSAGE_TYPE: &str = "ITASMessage";
/// The header of an event whose text is JSON.
const CONTENT_TYPE_JSON: (&str, &str) = ("content-type", "application/json");

impl Face {
    pub(super) fn view_topics(
        &self,
        caller: &Caller,
        company: Option<&str>,
    ) -> Result<Answer, Refusal> {
        super::may_read(caller)?;
        let wanted = |stream: &&Arc<Stream>| {
            let of = topic_of(&stream.name).map(|(company, _)| company);
            company.is_none_or(|company| of == Some(company))
                && self.hub.reaches(&caller.grant, Action::Read, stream)
        };
        let streams = self.hub.streams(&caller.project);
        let topics: Vec<_> = streams.iter().filter(wanted).filter_map(TopicView::of).collect();
        Answer::ok(&json!({"Topics": topics, "ServiceResult": null}))
    }

    /// Publishes a message; the answer comes when it is durable.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn publish(
        &self,
        caller: &Caller,
        grammar: Grammar,
        topic: &Topic,
        message: &Bytes,
    ) -> Result<Answer, Refusal> {
        let stream = self.topic(caller, topic, Action::Publish)?;
        if message.trim_ascii().is_empty() {
            return Err(Refusal::new(ErrorCode::Malformed, "the message, a JSON body, is missing"));
        }
        let draft = self.draft(message)?;
        let receipt = self.hub.publish(&caller.grant, &stream, draft).await?;
        let placed = receipt.events.first().ok_or_else(|| Refusal::missing("message"))?;
        let id = message_id(stream.id, placed.offset).to_string();
        let status = if grammar == Grammar::V2 { StatusCode::CREATED } else { StatusCode::OK };
        Answer::with(status, &json!({"MessageId": id, "ServiceResult": null}))
    }

    /// The message as an event. JSON over several lines is kept as a text that is JSON, for an event
    /// is one line and its body is kept byte for byte.
    fn draft(&self, message: &Bytes) -> Result<Draft, Refusal> {
        let (rules, rng) = (self.hub.rules(), self.hub.rng());
        let mut draft = Draft::default();
        let mut event = NewEvent {
            id: None,
            event_type: MESSAGE_TYPE,
            occurred: None,
            key: None,
            headers: &[],
            body: Body::Json(message),
        };
        // Also where it is kept as a text: what is no JSON is refused.
        draft.push(&event, &rules, rng)?;
        let text = std::str::from_utf8(message).ok();
        if let Some(text) = text.filter(|text| text.contains(['\n', '\r'])) {
            draft = Draft::default();
            event.headers = &[CONTENT_TYPE_JSON];
            event.body = Body::Text(text);
            draft.push(&event, &rules, rng)?;
        }
        Ok(draft)
    }

    /// The stream of a topic that the caller may do `action` on. The second grammar names no
    /// company: then it must be the only one with such a topic.
    pub(super) fn topic(
        &self,
        caller: &Caller,
        topic: &Topic,
        action: Action,
    ) -> Result<Arc<Stream>, Refusal> {
        if !caller.grant.allows(action, &caller.project) {
            let detail = match action {
                Action::Publish => "the credential does not allow publishing",
                _ => "the credential does not allow reading events",
            };
            return Err(Refusal::new(ErrorCode::Forbidden, detail));
        }
        let missing = || Refusal::missing("topic");
        let may = |stream: &Arc<Stream>| self.hub.reaches(&caller.grant, action, stream);
        let whole = topic.name.split_once('/');
        let named = match (&topic.company, whole) {
            (Some(company), _) => Some((company.as_str(), topic.name.as_str())),
            (None, whole) => whole,
        };
        if let Some((company, name)) = named {
            let stream = self.hub.stream(&caller.project, &stream_name(company, name)?);
            return stream.filter(|stream| may(stream)).ok_or_else(missing);
        }
        let streams = self.hub.streams(&caller.project);
        let is_meant = |stream: &&Arc<Stream>| {
            topic_of(&stream.name).is_some_and(|(_, name)| name == topic.name) && may(stream)
        };
        let mut found = streams.iter().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(stream), None) => Ok(Arc::clone(stream)),
            (None, _) => Err(missing()),
            (Some(_), Some(_)) => Err(ambiguous()),
        }
    }
}

/// The answer to a topic that several companies have.
pub(super) fn ambiguous() -> Refusal {
    let detail = "several companies have this topic; name one with `companyCode`";
    Refusal::new(ErrorCode::Malformed, detail)
}
