//! The calls about what a subscriber receives: Subscribe, Unsubscribe and ViewSubscriptions.
//!
//! Invariant: of the calls that change one mailbox one goes after the other ([`Turns`](super::turns)),
//! so that the end of its last topic does not take with it what was subscribed to meanwhile.

use std::sync::Arc;

use outflow_hub::subscription::{
    DeliveryOrder, NewSubscription, Source, Sources, SubscriptionSettings,
};
use outflow_hub::{CatalogError, Start, Subscription};
use outflow_model::{Action, StreamName, Timestamp};
use serde_json::{Value, json};

use super::subscribers::Own;
use super::{Answer, Face, created, topics};
use crate::authenticate::Caller;
use crate::config::SubscribeStatus;
use crate::error::Refusal;
use crate::translate::{self, mailbox_name, topic_of};
use crate::wire::{Grammar, Guid, Topic};

impl Face {
    pub(super) async fn subscribe(
        &self,
        caller: &Caller,
        grammar: Grammar,
        subscriber: Guid,
        topic: &Topic,
        strict: Option<bool>,
    ) -> Result<Answer, Refusal> {
        let _turn = self.turns.of(subscriber).await;
        let own = self.own(caller, subscriber).await?;
        let stream = self.topic(caller, topic, Action::Read)?;
        // Before the first message: one that nobody confirms stays, whatever the topic was made for.
        let keep_ms = u64::try_from(self.options.keep.as_millis()).unwrap_or(u64::MAX);
        if stream.settings.retention.age_ms < keep_ms {
            self.hub.keep_stream(&caller.project, &stream.name, keep_ms).await?;
        }
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

    pub(super) async fn unsubscribe(
        &self,
        caller: &Caller,
        subscriber: Guid,
        topic: &Topic,
    ) -> Result<Answer, Refusal> {
        let _turn = self.turns.of(subscriber).await;
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

    pub(super) async fn view_subscriptions(
        &self,
        caller: &Caller,
        subscriber: Guid,
    ) -> Result<Answer, Refusal> {
        let own = self.own(caller, subscriber).await?;
        let Some(mailbox) = self.find_mailbox(caller, &own)? else {
            return Answer::ok(&overview(&own, &[], 0, None, None, 0));
        };
        let stats = self.hub.subscription_stats(&mailbox);
        let last = Some(stats.last_used);
        let waiting = self.hub.waiting_by_stream(&mailbox).await;
        let rows: Vec<Value> = streams_of(&mailbox)
            .iter()
            .map(|stream| {
                let (company, topic) = topic_of(stream).unwrap_or_default();
                let of_topic = waiting.iter().find(|one| one.stream == *stream);
                json!({
                    "SubscriberId": own.record.id,
                    "CompanyCode": company,
                    "Topic": topic,
                    "MessageCount": of_topic.map_or(0, |one| one.backlog),
                    "OldestEnqueueTime": translate::time(of_topic.and_then(|one| one.oldest)),
                    "LastPolled": translate::time(last),
                })
            })
            .collect();
        let oldest = self.hub.oldest_waiting(&mailbox).await;
        Answer::ok(&overview(&own, &rows, stats.backlog, oldest, last, stats.in_flight))
    }
}

const fn order(is_strict: bool) -> DeliveryOrder {
    if is_strict { DeliveryOrder::Strict } else { DeliveryOrder::Normal }
}

/// The streams that a mailbox receives.
pub(super) fn streams_of(mailbox: &Subscription) -> Vec<StreamName> {
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
