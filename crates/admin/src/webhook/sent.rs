//! What an endpoint was sent: the attempts, a test, and a message once more.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Uri;
use outflow_hub::WebhookAnswer;
use outflow_hub::webhook::attempt::{AttemptPage, AttemptQuery, AttemptStatus, WebhookAttempt};
use outflow_model::{Offset, Timestamp};
use serde::{Deserialize, Serialize};

use super::input::Resend;
use super::{Found, found, service};
use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self as read, Input};
use crate::page::{Page, PageQuery};

/// What came of a test.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct WebhookTest {
    /// Whether the endpoint took it.
    taken: bool,
    /// The answer's status; null: there was none.
    status: Option<u16>,
    /// Why there was none.
    failure: Option<String>,
    /// How long it took.
    duration_ms: u64,
    /// The beginning of the answer's body; as base64 where it is no text.
    response: String,
}

impl WebhookTest {
    fn of(answer: WebhookAnswer) -> Self {
        let WebhookAnswer { taken, status, failure, duration_ms, excerpt } = answer;
        let response = text(&excerpt);
        Self { taken, status, failure, duration_ms, response }
    }
}

/// Bytes as text; as base64 where they are none.
fn text(bytes: &Bytes) -> String {
    let text = std::str::from_utf8(bytes);
    text.map_or_else(|_| STANDARD.encode(bytes), str::to_owned)
}

/// An attempt at sending a message.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WebhookAttempt))]
pub(crate) struct AttemptView {
    /// When it ended.
    at: String,
    /// The message's id, the same at each attempt: the header `webhook-id`.
    message: String,
    /// How many events it has.
    events: u64,
    /// The offset of its first event.
    first_offset: Option<String>,
    /// The offset of its last event.
    last_offset: Option<String>,
    /// Its events: the first and the last offset of each run without a gap, in the order in which they
    /// were sent.
    offsets: Vec<[String; 2]>,
    /// Which attempt at the message it was; the first is 1.
    attempt: u32,
    /// `taken`, `again` (it failed and is tried again), `refused` (the events are parked) or `gone`.
    outcome: String,
    /// The answer's status; null: there was none.
    status: Option<u16>,
    /// Why there was none.
    failure: Option<String>,
    /// How long it took.
    duration_ms: u64,
    /// The beginning of the answer's body; as base64 where it is no text.
    response: String,
    /// When the next attempt was to be made.
    next_attempt: Option<String>,
    /// How many attempts of its kind before it are not listed: of an endpoint's successes ten a second and the
    /// last are, and of its failures.
    left_out: u64,
}

impl AttemptView {
    fn of(one: WebhookAttempt) -> Self {
        let count = |all: u64, (first, last): &(Offset, Offset)| {
            all.saturating_add(last.get().saturating_sub(first.get())).saturating_add(1)
        };
        Self {
            at: one.ended.to_string(),
            events: one.runs.iter().fold(0, count),
            first_offset: one.runs.first().map(|(first, _)| first.to_string()),
            last_offset: one.runs.last().map(|(_, last)| last.to_string()),
            offsets: one.runs.iter().map(|run| [run.0.to_string(), run.1.to_string()]).collect(),
            message: one.message,
            attempt: one.number,
            outcome: one.outcome,
            status: one.status,
            failure: one.failure,
            duration_ms: one.duration_ms,
            response: text(&one.excerpt),
            next_attempt: one.next_attempt.map(|at| at.to_string()),
            left_out: one.left_out,
        }
    }
}

/// Which attempts.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptsQuery {
    /// What came of them: `taken`, `failed`, `again`, `refused`, `gone`, or the answer's status such as
    /// `503`.
    status: Option<String>,
    /// Only those since this time, RFC 3339.
    since: Option<String>,
    /// How many entries at most.
    #[cfg_attr(test, param(minimum = 1, maximum = 1000, default = 100))]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

impl AttemptsQuery {
    fn query(self) -> Result<AttemptQuery, Refused> {
        let status = self.status.as_deref().map(|text| {
            let reason = "it is none of taken, failed, again, refused, gone, nor 100 to 599";
            AttemptStatus::parse(text).ok_or_else(|| Refused::member("/status", reason))
        });
        let since: Option<Result<Timestamp, Refused>> =
            self.since.as_deref().map(|text| read::time("/since", text));
        let page = PageQuery::new(self.limit, self.after)?;
        let (limit, after) = page.limit_and_after();
        let before = after.map(|text| {
            let offset = text.parse().map(Offset::new);
            offset.map_err(|_| Refused::member("/after", "it is the `next` of no page"))
        });
        Ok(AttemptQuery {
            status: status.transpose()?,
            since: since.transpose()?,
            before: before.transpose()?,
            limit,
        })
    }
}

/// List the attempts at sending messages, the last one first. A page may have fewer entries than `limit`,
/// or none, though there are more: go on while `next` is not null.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/integrations/{integration}/webhook/attempts", tag = "webhooks", operation_id = "list_webhook_attempts",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration."), AttemptsQuery),
    responses((status = 200, description = "A page of attempts.", body = Page<AttemptView>))))]
pub(crate) async fn attempts(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<AttemptView>>, Refused> {
    let Found { id, .. } = found(&admin, &caller)?;
    let query = read::query::<AttemptsQuery>(&uri)?.query()?;
    let AttemptPage { attempts, next } = service(&admin)?.attempts(&id, query).await?;
    let items = attempts.into_iter().map(AttemptView::of).collect();
    Ok(Json(Page::going_on(items, next.map(|next| next.to_string()))))
}

/// Send a made-up event of type `CUSTOM`, past all that waits; at most ten times a minute.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/test", tag = "webhooks", operation_id = "test_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    responses((status = 200, description = "What came of it.", body = WebhookTest))))]
pub(crate) async fn test(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<WebhookTest>, Refused> {
    let Found { id, .. } = found(&admin, &caller)?;
    Ok(Json(WebhookTest::of(service(&admin)?.test(&id).await?)))
}

/// Send a message once more as it was sent, past all that waits. What the endpoint makes of it changes
/// nothing else; at most ten times a minute with tests. Messages are known by the attempts that are
/// listed.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/integrations/{integration}/webhook/resend", tag = "webhooks", operation_id = "resend_webhook",
    params(("project" = String, Path, description = "The project."), ("integration" = String, Path, description = "The integration.")),
    request_body = Resend, responses((status = 200, description = "What came of it.", body = WebhookTest))))]
pub(crate) async fn resend(
    State(admin): State<Admin>,
    input: Input<Resend>,
) -> Result<Json<WebhookTest>, Refused> {
    let Found { id, .. } = found(&admin, &input.caller)?;
    let message = input.body()?.message;
    Ok(Json(WebhookTest::of(service(&admin)?.resend(&id, &message).await?)))
}
