//! `/v1/projects/{project}/subscriptions`: the places that the server keeps for consumers.
//!
//! Subscriptions are made by those who consume: here they are seen, purged and removed, and dead
//! events are given another try. [`change`] changes what one does, [`events`] shows what is in one.

pub(crate) mod change;
pub(crate) mod events;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::{StatusCode, Uri};
use outflow_hub::subscription::{DeliveryOrder, Sources};
use outflow_hub::{Hub, Start, Subscription};
use outflow_model::{Action, ErrorCode, Grant, StreamName};
use serde::{Deserialize, Serialize};

use crate::access::{Admin, Caller};
use crate::error::Refused;
use crate::input::{self, Input};
use crate::page::{Page, PageQuery};

/// The most events that one request moves.
const MAX_MOVED: usize = 100_000;
/// The events that a request moves, unless it says otherwise.
const DEFAULT_MOVED: usize = 1_000;

/// A subscription: what it does and how it stands.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Subscription))]
pub(crate) struct SubscriptionView {
    /// Unique in its project; a queue's is `queue:` and its name.
    name: String,
    /// For people.
    description: String,
    /// The streams it takes events from; absent: all that match `pattern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<Vec<String>>,
    /// The names of the streams it takes events from, by wildcard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<String>,
    /// Which of their events it holds; null: all.
    selector: Option<String>,
    /// `normal`, or `strict`: nothing behind an event that is not settled.
    order: &'static str,
    /// Whether only one consumer at a time is served.
    exclusive: bool,
    /// Whether its streams go with it.
    owns: bool,
    /// After how many deliveries an event is dead; null: never.
    max_deliveries: Option<u32>,
    /// The stream that dead events go to; null: none.
    dead_letter: Option<String>,
    /// For how long a consumer holds an event, in milliseconds; null: while it is there.
    lease_ms: Option<u64>,
    /// After how long without a consumer it is deleted, in milliseconds; null: never.
    idle_expiry_ms: Option<u64>,
    /// After how long an event that nobody has settled is dead, in milliseconds; null: as long as its
    /// stream keeps it.
    max_age_ms: Option<u64>,
    /// The events not settled yet.
    backlog: u64,
    /// When the oldest of them was taken; null: there is none, or it is not known.
    oldest: Option<String>,
    /// The events that consumers hold.
    in_flight: u64,
    /// How often events were handed out again since the server started.
    redelivered: u64,
    /// How many consumers it has now.
    consumers: usize,
    /// When a consumer last was there.
    last_used: String,
    /// How many events retention took before they were settled, since the server started.
    lost: u64,
    /// Whether nobody has consumed for long although there is something, or it will expire soon.
    abandoned: bool,
}

impl SubscriptionView {
    fn of(hub: &Hub, subscription: &Subscription) -> Self {
        let (settings, stats) = (subscription.settings(), hub.subscription_stats(subscription));
        let (streams, pattern) = match subscription.sources() {
            Sources::Streams(all) => {
                (Some(all.iter().map(|one| one.stream.to_string()).collect()), None)
            }
            Sources::Matching { pattern, .. } => (None, Some(pattern.to_string())),
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            name: subscription.name().to_string(),
            description: settings.description.clone(),
            streams,
            pattern,
            selector: settings.selector.as_ref().map(ToString::to_string),
            order: match settings.order {
                DeliveryOrder::Normal => "normal",
                DeliveryOrder::Strict => "strict",
            },
            exclusive: settings.exclusive,
            owns: settings.owns,
            max_deliveries: settings.max_deliveries,
            dead_letter: settings.dead_letter.as_ref().map(ToString::to_string),
            lease_ms: settings.lease.map(millis),
            idle_expiry_ms: settings.idle_expiry.map(millis),
            max_age_ms: settings.max_age.map(millis),
            backlog: stats.backlog,
            oldest: stats.oldest.map(|at| at.to_string()),
            in_flight: stats.in_flight,
            redelivered: stats.redelivered,
            consumers: stats.consumers,
            last_used: stats.last_used.to_string(),
            lost: stats.lost,
            abandoned: stats.abandoned,
        }
    }
}

impl SubscriptionView {
    /// Says what takes a read: how old the oldest event is where nobody consumes.
    async fn complete(&mut self, hub: &Hub, subscription: &Subscription) {
        if self.backlog > 0 && self.oldest.is_none() {
            self.oldest = hub.oldest_waiting(subscription).await.map(|at| at.to_string());
        }
    }
}

/// Which subscriptions.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(deny_unknown_fields)]
pub(crate) struct SubscriptionQuery {
    /// How many entries at most.
    #[cfg_attr(test, param(minimum = 1, maximum = 1000, default = 100))]
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
    /// Whether to list only those that nobody seems to need any more.
    #[serde(default)]
    abandoned: bool,
}

/// How many events there were.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(crate) struct Counted {
    /// The events.
    pub(crate) events: u64,
}

/// Where to move events.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct MoveInput {
    /// The stream to put them in; `queue:` and its name for a queue.
    to: String,
    /// How many at most; 1,000 if absent.
    #[cfg_attr(test, schema(minimum = 1, maximum = 100_000))]
    limit: Option<usize>,
}

/// The subscription that the path names, if the caller may do `action` in its project. A
/// credential that is made for some streams reaches subscriptions over those only.
fn found(admin: &Admin, caller: &Caller, action: Action) -> Result<Arc<Subscription>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, action)?;
    let named = |name: &str| {
        let subscription = admin.hub().subscription(&project.id, name);
        subscription.filter(|one| is_reached(&caller.grant, one))
    };
    let name = &caller.path.last;
    named(name).ok_or_else(|| match named(&format!("queue:{name}")) {
        Some(queue) => Refused::new(
            ErrorCode::NotFound,
            format!("there is no such subscription; the queue of that name is `{}`", queue.name()),
        ),
        None => Refused::missing("subscription"),
    })
}

fn is_reached(grant: &Grant, subscription: &Subscription) -> bool {
    let Some(only) = &grant.streams else { return true };
    match subscription.sources() {
        Sources::Streams(all) => all.iter().all(|source| only.contains(&source.stream)),
        Sources::Matching { .. } => false,
    }
}

/// What who manages a project may do with its events: all that a key it may issue could do.
fn managing(grant: &Grant) -> Grant {
    let more = [Action::Read, Action::Publish];
    let actions = grant.actions.iter().copied().chain(more).collect();
    Grant { actions: Arc::new(actions), ..grant.clone() }
}

/// List a project's subscriptions.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(("project" = String, Path, description = "The project."), SubscriptionQuery),
    responses((status = 200, description = "A page of subscriptions.", body = Page<SubscriptionView>))))]
pub(crate) async fn list(
    State(admin): State<Admin>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Page<SubscriptionView>>, Refused> {
    let project = admin.project(&caller.grant, &caller.path.project, Action::Manage)?;
    let query: SubscriptionQuery = input::query(&uri)?;
    let page = PageQuery::new(query.limit, query.after)?;
    let mut all = admin.hub().subscriptions(&project.id);
    all.retain(|one| is_reached(&caller.grant, one));
    if query.abandoned {
        all.retain(|one| admin.hub().subscription_stats(one).abandoned);
    }
    let show = |one: &Arc<Subscription>| SubscriptionView::of(admin.hub(), one);
    let mut page = page.cut(all, |one| one.name().as_str(), show);
    for view in page.items_mut() {
        if let Some(one) = admin.hub().subscription(&project.id, &view.name) {
            view.complete(admin.hub(), &one).await;
        }
    }
    Ok(Json(page))
}

/// Show a subscription: what it does, what waits in it, who consumes.
#[cfg_attr(test, utoipa::path(get, path = "/v1/projects/{project}/subscriptions/{subscription}", tag = "subscriptions", operation_id = "get_subscription",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription.")),
    responses((status = 200, description = "The subscription.", body = SubscriptionView))))]
pub(crate) async fn show(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<SubscriptionView>, Refused> {
    let subscription = found(&admin, &caller, Action::Manage)?;
    let mut view = SubscriptionView::of(admin.hub(), &subscription);
    view.complete(admin.hub(), &subscription).await;
    Ok(Json(view))
}

/// Remove a subscription with its place, for good; a queue's events go with it. Its consumers end.
#[cfg_attr(test, utoipa::path(delete, path = "/v1/projects/{project}/subscriptions/{subscription}", tag = "subscriptions", operation_id = "delete_subscription",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription.")),
    responses((status = 204, description = "It is gone."))))]
pub(crate) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<StatusCode, Refused> {
    let subscription = found(&admin, &caller, Action::Manage)?;
    let owned = subscription.owned();
    admin.hub().delete_subscription(&subscription).await?;
    for stream in owned {
        if admin.hub().stream(subscription.project(), &stream).is_some() {
            admin.hub().delete_stream(subscription.project(), &stream).await?;
        }
    }
    tracing::info!(subscription = %subscription.name(), "subscription removed");
    Ok(StatusCode::NO_CONTENT)
}

/// Settle all that waits in a subscription, but for what consumers hold.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/subscriptions/{subscription}/purge", tag = "subscriptions", operation_id = "purge_subscription",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription.")),
    responses((status = 200, description = "How many events were settled.", body = Counted))))]
pub(crate) async fn purge(
    State(admin): State<Admin>,
    caller: Caller,
) -> Result<Json<Counted>, Refused> {
    let subscription = found(&admin, &caller, Action::Manage)?;
    let events = admin.hub().purge_subscription(&subscription).await?;
    tracing::info!(subscription = %subscription.name(), events, "subscription purged");
    Ok(Json(Counted { events }))
}

/// Move events of a subscription, such as dead letters, to a stream.
#[cfg_attr(test, utoipa::path(post, path = "/v1/projects/{project}/subscriptions/{subscription}/move", tag = "subscriptions", operation_id = "move_events",
    params(("project" = String, Path, description = "The project."), ("subscription" = String, Path, description = "The subscription.")),
    request_body = MoveInput, responses((status = 200, description = "How many events were moved.", body = Counted))))]
pub(crate) async fn move_events(
    State(admin): State<Admin>,
    input: Input<MoveInput>,
) -> Result<Json<Counted>, Refused> {
    let from = found(&admin, &input.caller, Action::Manage)?;
    let wanted = input.body()?;
    let limit = wanted.limit.unwrap_or(DEFAULT_MOVED);
    let limit = input::within("/limit", limit, &(1..=MAX_MOVED))?;
    let name = input::id("/to", &wanted.to, StreamName::new)?;
    let path = &input.caller.path;
    let to = admin.stream(&input.caller.grant, &path.project, name.as_str(), Action::Manage)?;
    let grant = managing(&input.caller.grant);
    let events = admin.hub().move_dead(&grant, &from, &to, limit).await?;
    tracing::info!(subscription = %from.name(), to = %to.name, events, "events moved");
    Ok(Json(Counted { events }))
}

/// The same sources, from now on.
fn from_now(sources: Sources) -> Sources {
    match sources {
        Sources::Streams(mut all) => {
            all.iter_mut().for_each(|source| source.start = Start::Latest);
            Sources::Streams(all)
        }
        Sources::Matching { pattern, .. } => Sources::Matching { pattern, start: Start::Latest },
    }
}
