//! What each call does: the subscriber's side. Publishing and lists are in [`topics`].
//!
//! Called by `listen` with a [`Caller`]; calls the hub. Knows nothing of HTTP but statuses.
//!
//! Invariants: a subscriber or topic that is not the caller's is answered as one that does not
//! exist; what is confirmed is durable before its answer; a Peek that waits holds a place among
//! `max_parked` and no thread.

mod messages;
mod topics;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use outflow_auth::Auth;
use outflow_face::Drain;
use outflow_hub::subscription::{
    DeliveryOrder, NewSubscription, Source, Sources, SubscriptionSettings,
};
use outflow_hub::{CatalogError, Hub, Start, Subscriber, Subscription};
use outflow_model::{Action, ErrorCode, StreamName, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::authenticate::Caller;
use crate::config::{Options, SubscribeStatus};
use crate::error::Refusal;
use crate::metrics::Metrics;
use crate::translate::{self, mailbox_name, owner, subscriber_id, topic_of};
use crate::wire::{Call, Grammar, Guid, Topic};

/// What the calls share.
#[derive(Debug)]
pub struct Face {
    pub(crate) hub: Hub,
    pub(crate) auth: Auth,
    pub(crate) options: Options,
    pub(crate) drain: Drain,
    pub(crate) metrics: Metrics,
    pub(crate) parked: AtomicUsize,
}

/// A good answer: a JSON object, or nothing.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The object as text; `None` for an answer without a body.
    pub body: Option<String>,
}

impl Answer {
    fn ok(body: &impl Serialize) -> Result<Self, Refusal> {
        Self::with(StatusCode::OK, body)
    }

    fn with(status: StatusCode, body: &impl Serialize) -> Result<Self, Refusal> {
        let text = serde_json::to_string(body).map_err(|error| {
            tracing::error!(%error, "an answer could not be written");
            Refusal::new(ErrorCode::Internal, "the answer could not be written")
        })?;
        Ok(Self { status, body: Some(text) })
    }
}

/// A subscriber that is the caller's.
pub(crate) struct Own {
    id: Guid,
    record: Subscriber,
}

impl Face {
    /// Does what is asked, but for publishing, which has a body.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn perform(
        &self,
        caller: &Caller,
        grammar: Grammar,
        call: Call,
    ) -> Result<Answer, Refusal> {
        match call {
            Call::Register { name } => self.register(caller, grammar, name).await,
            Call::Unregister { subscriber } => self.unregister(caller, subscriber).await,
            Call::Subscribe { subscriber, topic, strict } => {
                self.subscribe(caller, grammar, subscriber, &topic, strict).await
            }
            Call::Unsubscribe { subscriber, topic } => {
                self.unsubscribe(caller, subscriber, &topic).await
            }
            Call::ViewSubscriptions { subscriber } => {
                self.view_subscriptions(caller, subscriber).await
            }
            Call::ViewTopics { company } => self.view_topics(caller, company.as_deref()),
            Call::Peek { subscriber, timeout } => self.peek(caller, subscriber, timeout).await,
            Call::Take { subscriber, timeout, lock_timeout } => {
                self.take(caller, subscriber, timeout, lock_timeout).await
            }
            Call::Receive { subscriber, message, lock_timeout } => {
                self.receive(caller, subscriber, message, lock_timeout).await
            }
            Call::Confirm { subscriber, message, lock } => {
                self.confirm(caller, subscriber, message, lock).await
            }
            Call::Renew { subscriber, message, lock, lock_timeout } => {
                self.renew(caller, subscriber, message, lock, lock_timeout).await
            }
            Call::Release { subscriber, message, lock } => {
                self.release(caller, subscriber, message, lock).await
            }
            // These two do not come here: they need a body, or no caller.
            Call::Publish { .. } | Call::Describe => Err(Refusal::missing("call")),
        }
    }

    /// The same name leads its owner to the same subscriber, so that a client whose answer was
    /// lost, or that forgot its id, registers again.
    async fn register(
        &self,
        caller: &Caller,
        grammar: Grammar,
        name: String,
    ) -> Result<Answer, Refusal> {
        may_read(caller)?;
        let id = subscriber_id(&caller.project, &name);
        let known = self.hub.subscriber(&caller.project, &id.to_string()).await?;
        let is_new = known.is_none();
        let record = match known {
            Some(record) => record,
            None => {
                let new = Subscriber {
                    project: caller.project.clone(),
                    id: id.to_string(),
                    name,
                    owner: owner(&caller.grant),
                    created: Timestamp::default(),
                };
                self.hub.register_subscriber(new).await?
            }
        };
        if !is_callers(caller, &record) {
            let detail = "the name belongs to another client; choose another";
            return Err(Refusal::new(ErrorCode::Conflict, detail));
        }
        let status = created(grammar == Grammar::V2 && is_new);
        let name = &record.name;
        let body = json!({"SubscriberId": id.to_string(), "Name": name, "ServiceResult": null});
        Answer::with(status, &body)
    }

    async fn unregister(&self, caller: &Caller, subscriber: Guid) -> Result<Answer, Refusal> {
        let own = self.own(caller, subscriber).await?;
        // The mailbox first: without its subscriber nobody could reach it.
        if let Some(mailbox) = self.find_mailbox(caller, &own)? {
            self.hub.delete_subscription(&mailbox).await?;
        }
        self.hub.delete_subscriber(&caller.project, &own.record.id).await?;
        let name = &own.record.name;
        Answer::ok(&json!({"SubscriberId": own.record.id, "Name": name, "ServiceResult": null}))
    }

    async fn subscribe(
        &self,
        caller: &Caller,
        grammar: Grammar,
        subscriber: Guid,
        topic: &Topic,
        strict: Option<bool>,
    ) -> Result<Answer, Refusal> {
        let own = self.own(caller, subscriber).await?;
        let stream = self.topic(caller, topic, Action::Read)?;
        let source = Source { stream: stream.name.clone(), start: Start::Latest, filter: None };
        let is_new = match self.find_mailbox(caller, &own)? {
            Some(mailbox) => self.widen(&mailbox, source, strict).await?,
            None => self.open(caller, &own, source, strict).await?,
        };
        let status = match grammar {
            Grammar::V1 => {
                created(is_new && self.options.subscribe_status == SubscribeStatus::Created)
            }
            Grammar::V2 => created(is_new),
        };
        Answer::with(status, &subscribed(&own, &stream.name))
    }

    /// Makes the mailbox with its first topic.
    async fn open(
        &self,
        caller: &Caller,
        own: &Own,
        source: Source,
        strict: Option<bool>,
    ) -> Result<bool, Refusal> {
        let is_strict = strict.unwrap_or(self.options.strict_order);
        let settings = SubscriptionSettings {
            order: order(is_strict),
            idle_expiry: Some(self.options.idle_expiry),
            description: format!("Mailbox of {}", own.record.name),
            ..SubscriptionSettings::default()
        };
        let name = mailbox_name(own.id)?;
        let sources = Sources::Streams(vec![source.clone()]);
        let new = NewSubscription { name, sources, settings, durable: true };
        match self.hub.create_subscription(&caller.project, new).await {
            Ok(_) => Ok(true),
            // Two topics at once: the other call was faster.
            Err(CatalogError::Exists) => {
                self.widen(&self.mailbox(caller, own)?, source, strict).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a topic to a mailbox; says whether it is new there.
    async fn widen(
        &self,
        mailbox: &Arc<Subscription>,
        source: Source,
        strict: Option<bool>,
    ) -> Result<bool, Refusal> {
        let settings = mailbox.settings();
        if let Some(order) = strict.map(order).filter(|order| *order != settings.order) {
            let settings = SubscriptionSettings { order, ..SubscriptionSettings::clone(&settings) };
            self.hub.update_subscription(mailbox, settings).await?;
        }
        if streams_of(mailbox).contains(&source.stream) {
            return Ok(false);
        }
        self.hub.add_source(mailbox, source).await?;
        Ok(true)
    }

    async fn unsubscribe(
        &self,
        caller: &Caller,
        subscriber: Guid,
        topic: &Topic,
    ) -> Result<Answer, Refusal> {
        let own = self.own(caller, subscriber).await?;
        let mailbox = self.mailbox(caller, &own)?;
        let streams = streams_of(&mailbox);
        let name = self.subscribed_topic(&streams, topic)?;
        if streams.len() == 1 {
            // With its last topic the mailbox goes, as it came with the first.
            self.hub.delete_subscription(&mailbox).await?;
        } else {
            self.hub.remove_source(&mailbox, &name).await?;
        }
        Answer::ok(&subscribed(&own, &name))
    }

    /// The topic that is meant of those that a mailbox has; its stream may be gone by now.
    fn subscribed_topic(
        &self,
        streams: &[StreamName],
        topic: &Topic,
    ) -> Result<StreamName, Refusal> {
        let not_there = || Refusal::missing("subscription");
        if let Some(company) = &topic.company {
            let name = translate::stream_name(company, &topic.name).map_err(|_| not_there())?;
            return streams.iter().find(|one| **one == name).cloned().ok_or_else(not_there);
        }
        let matching = |one: &&StreamName| {
            one.as_str() == topic.name || topic_of(one).is_some_and(|(_, name)| name == topic.name)
        };
        let mut found = streams.iter().filter(matching);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (None, _) => Err(not_there()),
            (Some(_), Some(_)) => Err(topics::ambiguous()),
        }
    }

    async fn view_subscriptions(
        &self,
        caller: &Caller,
        subscriber: Guid,
    ) -> Result<Answer, Refusal> {
        let own = self.own(caller, subscriber).await?;
        let Some(mailbox) = self.find_mailbox(caller, &own)? else {
            return Answer::ok(&overview(&own, &[], 0, None, None, 0));
        };
        let stats = self.hub.subscription_stats(&mailbox);
        let rows: Vec<Value> = streams_of(&mailbox)
            .iter()
            .map(|stream| {
                let (company, topic) = topic_of(stream).unwrap_or_default();
                json!({"SubscriberId": own.record.id, "CompanyCode": company, "Topic": topic})
            })
            .collect();
        let last = Some(stats.last_used);
        Answer::ok(&overview(&own, &rows, stats.backlog, stats.oldest, last, stats.in_flight))
    }

    /// The subscriber with this id, if it is the caller's.
    async fn own(&self, caller: &Caller, id: Guid) -> Result<Own, Refusal> {
        may_read(caller)?;
        let found = self.hub.subscriber(&caller.project, &id.to_string()).await?;
        let record = found.filter(|record| is_callers(caller, record));
        record.map(|record| Own { id, record }).ok_or_else(|| Refusal::missing("subscriber"))
    }

    fn find_mailbox(
        &self,
        caller: &Caller,
        own: &Own,
    ) -> Result<Option<Arc<Subscription>>, Refusal> {
        Ok(self.hub.subscription(&caller.project, mailbox_name(own.id)?.as_str()))
    }

    /// The subscriber's mailbox. It is not there before the first Subscribe, nor after it has
    /// timed out.
    fn mailbox(&self, caller: &Caller, own: &Own) -> Result<Arc<Subscription>, Refusal> {
        self.find_mailbox(caller, own)?.ok_or_else(|| {
            let detail = "the subscriber has no mailbox, or it has timed out; subscribe to a topic";
            Refusal::new(ErrorCode::NotFound, detail)
        })
    }

    /// Takes a place among the Peeks that wait, until it is dropped.
    fn park(&self) -> Result<Parked<'_>, Refusal> {
        let parked = Parked(self);
        self.metrics.parked.inc();
        if self.parked.fetch_add(1, Ordering::Relaxed) >= self.options.max_parked {
            let detail = "as many Peeks wait as may; ask again in a while";
            return Err(Refusal::new(ErrorCode::Unavailable, detail));
        }
        Ok(parked)
    }
}

/// A place among the Peeks that wait.
struct Parked<'a>(&'a Face);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.parked.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.parked.dec();
    }
}

fn may_read(caller: &Caller) -> Result<(), Refusal> {
    if caller.grant.allows(Action::Read, &caller.project) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "the credential does not allow reading events"))
}

/// Whether a subscriber is the caller's: its own, or its project's to manage, so that no mailbox
/// is out of reach once a credential has been replaced.
fn is_callers(caller: &Caller, record: &Subscriber) -> bool {
    record.owner == owner(&caller.grant) || caller.grant.allows(Action::Manage, &caller.project)
}

const fn created(is_created: bool) -> StatusCode {
    if is_created { StatusCode::CREATED } else { StatusCode::OK }
}

const fn order(is_strict: bool) -> DeliveryOrder {
    if is_strict { DeliveryOrder::Strict } else { DeliveryOrder::Normal }
}

/// The streams that a mailbox receives.
pub(crate) fn streams_of(mailbox: &Subscription) -> Vec<StreamName> {
    match mailbox.sources() {
        Sources::Streams(sources) => sources.into_iter().map(|source| source.stream).collect(),
        // Not made here.
        Sources::Matching { .. } => Vec::new(),
    }
}

fn subscribed(own: &Own, stream: &StreamName) -> Value {
    let (company, topic) = topic_of(stream).unwrap_or_default();
    json!({
        "SubscriberId": own.record.id,
        "Topic": topic,
        "CompanyCode": company,
        "ServiceResult": null,
    })
}

fn overview(
    own: &Own,
    rows: &[Value],
    count: u64,
    oldest: Option<Timestamp>,
    last_polled: Option<Timestamp>,
    locked: u64,
) -> Value {
    json!({
        "SubscriberId": own.record.id,
        "Name": own.record.name,
        "MessageCount": count,
        "LockedCount": locked,
        "OldestEnqueueTime": translate::time(oldest),
        "LastPolled": translate::time(last_polled),
        "Subscriptions": rows,
        "ServiceResult": null,
    })
}
