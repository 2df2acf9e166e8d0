//! One endpoint at its post: taking it on, and doing what its session says.

use std::sync::Arc;

use outflow_hub::subscription::{
    ConsumeError, ConsumerId, ConsumerOptions, EventView, Subscription,
};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Delivery, Settle, WebhookError, WebhookStatus};
use outflow_model::{Offset, Timestamp};

use super::{Command, Post, dispatch};
use crate::attempts::Entry;
use crate::flight;
use crate::note;
use crate::session::{Held, Input, Note, Output, Session};
use crate::settings::{self, Settings};

/// How many requests an endpoint is sent by hand in a minute.
const MAX_BY_HAND: u32 = 10;
const MINUTE_MS: i64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: WebhookId,
    subscription: Arc<Subscription>,
    pub(super) settings: Settings,
    pub(super) session: Session<Delivery>,
    pub(super) consumer: Option<ConsumerId>,
    /// Its timer.
    pub(super) due: Option<Timestamp>,
    /// How many requests in a row were not answered in time.
    pub(super) silences: u32,
    /// The second in which successes are counted, how many were told of in it, and how many were not
    /// since one was.
    pub(super) told: (i64, u32, u64),
    /// The minute in which requests by hand are counted, and how many there were.
    by_hand: (i64, u32),
}

impl Held for Delivery {
    fn offset(&self) -> Offset {
        self.event.offset()
    }

    fn key(&self) -> u64 {
        let meta = self.event.meta();
        // Events without a key are kept in no order among each other.
        if meta.key_hash == 0 { meta.id_hash as u64 } else { meta.key_hash }
    }

    fn bytes(&self) -> usize {
        self.event.meta().line_len as usize
    }
}

impl Endpoint {
    /// Whether one more request by hand is within the limit.
    fn may_send_by_hand(&mut self, now: Timestamp) -> bool {
        let minute = now.millis().div_euclid(MINUTE_MS);
        if self.by_hand.0 != minute {
            self.by_hand = (minute, 0);
        }
        self.by_hand.1 += 1;
        self.by_hand.1 <= MAX_BY_HAND
    }

    fn status(&self) -> WebhookStatus {
        let Note { failing, next_attempt, disabled, .. } = self.session.note();
        let state = match (&disabled, failing) {
            (Some(_), _) => "disabled",
            (None, _) if self.session.rules().is_paused => "paused",
            (None, Some(_)) => "failing",
            (None, None) => "active",
        };
        WebhookStatus {
            state,
            failing_since: failing.map(|failing| failing.since),
            failures: failing.map_or(0, |failing| failing.failures),
            next_attempt: next_attempt.filter(|_| self.session.is_open()),
            disabled: disabled.map(|(why, at)| (why.as_str().to_owned(), at)),
        }
    }
}

impl Post {
    /// Begins to serve an endpoint, or goes on with its settings as they are now.
    pub(super) async fn take_on(&mut self, id: &WebhookId, anew: bool) {
        let hub = self.shared.hub.clone();
        let webhook = hub.integration(&id.0, &id.1).and_then(|one| one.webhook.clone());
        let subscription = hub.endpoint_subscription(&id.0, &id.1);
        let (Some(webhook), Some(subscription)) = (webhook, subscription) else {
            self.leave(id);
            return;
        };
        let settings = match self.shared.auth.webhook_secrets(&id.0, &id.1).await {
            Ok(Some(secrets)) => {
                let read = settings::read(&self.shared.options, id, &webhook, &secrets);
                read.map_err(|fault| format!("{}: {}", fault.pointer, fault.reason))
            }
            Ok(None) => Err("its secrets are missing".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let settings = match settings {
            Ok(settings) => settings,
            Err(reason) => {
                // Such as one that the server allows no more: it keeps its place.
                tracing::warn!(project = %id.0, integration = %id.1, reason, "a webhook cannot be served");
                self.leave(id);
                return;
            }
        };
        let known = self.names.get(id).copied();
        let is_same = |key: &u64| {
            let found = self.endpoints.get(key);
            found.is_some_and(|one| one.subscription.id() == subscription.id())
        };
        if let Some(key) = known.filter(is_same) {
            let rules = settings.rules.clone();
            if let Some(endpoint) = self.endpoints.get_mut(&key) {
                endpoint.settings = settings;
            }
            self.tell(key, Input::Changed(rules)).await;
            self.set_credit(key);
            if anew {
                self.tell(key, Input::Resumed).await;
            }
            return;
        }
        self.leave(id);
        let noted = hub.endpoint_note(id).await.ok().flatten();
        let note = noted.and_then(|value| note::decode(&value)).unwrap_or_default();
        let session = Session::new(settings.rules.clone(), note);
        let key = self.next;
        self.next += 1;
        self.names.insert(id.clone(), key);
        let endpoint = Endpoint {
            id: id.clone(),
            subscription,
            settings,
            session,
            consumer: None,
            due: None,
            silences: 0,
            told: (0, 0, 0),
            by_hand: (0, 0),
        };
        self.endpoints.insert(key, endpoint);
        self.shared.metrics.endpoints.inc();
        self.tell(key, if anew { Input::Resumed } else { Input::Due }).await;
    }

    /// Serves an endpoint no more.
    fn leave(&mut self, id: &WebhookId) {
        let Some(key) = self.names.remove(id) else { return };
        let Some(endpoint) = self.endpoints.remove(&key) else { return };
        if let Some(due) = endpoint.due {
            self.timers.remove(&(due, key));
        }
        if let Some(consumer) = endpoint.consumer {
            self.joined.remove(&consumer);
            self.consumers.remove(consumer);
        }
        self.shared.metrics.endpoints.dec();
    }

    /// Answers a command.
    pub(super) async fn answer(&mut self, command: Command) {
        // Who asked may have gone away: nobody minds that an answer is not heard.
        match command {
            Command::Changed(id, anew) => self.take_on(&id, anew).await,
            Command::Moved(id) => {
                if let Some(&key) = self.names.get(&id) {
                    self.tell(key, Input::Moved).await;
                }
            }
            Command::Retry(id, answer) => {
                let key = self.names.get(&id).copied();
                if let Some(key) = key {
                    self.tell(key, Input::Retry).await;
                }
                let _ = answer.send(key.map(drop).ok_or(WebhookError::NotFound));
            }
            Command::Status(id, answer) => {
                let found = self.names.get(&id).and_then(|key| self.endpoints.get(key));
                let _ = answer.send(found.map(Endpoint::status).ok_or(WebhookError::NotFound));
            }
            Command::Test(id, answer) => {
                let now = self.now();
                let key = self.names.get(&id).copied();
                let Some(endpoint) = key.and_then(|key| self.endpoints.get_mut(&key)) else {
                    let _ = answer.send(Err(WebhookError::NotFound));
                    return;
                };
                if endpoint.may_send_by_hand(now) {
                    let (settings, size) = (&endpoint.settings, endpoint.session.rules().size);
                    dispatch::test(&self.shared, settings, size, now, answer);
                } else {
                    let _ = answer.send(Err(WebhookError::TooOften { max: MAX_BY_HAND }));
                }
            }
            Command::Resend { id, stream, events, answer } => {
                let now = self.now();
                let key = self.names.get(&id).copied();
                let Some(endpoint) = key.and_then(|key| self.endpoints.get_mut(&key)) else {
                    let _ = answer.send(Err(WebhookError::NotFound));
                    return;
                };
                if endpoint.may_send_by_hand(now) {
                    let size = endpoint.session.rules().size;
                    let events: Vec<&EventView> = events.iter().collect();
                    let document = flight::document(&id.0, size, &stream, &events);
                    dispatch::by_hand(&self.shared, &endpoint.settings, document, now, answer);
                } else {
                    let _ = answer.send(Err(WebhookError::TooOften { max: MAX_BY_HAND }));
                }
            }
        }
    }

    /// Tells an endpoint what has happened, and does what it says.
    pub(super) async fn tell(&mut self, key: u64, input: Input<Delivery>) {
        let now = self.now();
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        for output in endpoint.session.apply(input, now, self.shared.hub.rng()) {
            match output {
                Output::Join => {
                    if !self.join(key).await {
                        return;
                    }
                }
                output => self.act(key, output),
            }
        }
        self.set_timer(key);
    }

    /// Lets an endpoint take as many events as its settings want now.
    fn set_credit(&mut self, key: u64) {
        let Some(endpoint) = self.endpoints.get(&key) else { return };
        if let Some(consumer) = endpoint.consumer {
            let credit = u32::try_from(endpoint.session.credit()).unwrap_or(u32::MAX);
            self.consumers.set_credit(consumer, credit);
        }
    }

    /// Makes an endpoint a consumer; one that cannot be is served no more.
    async fn join(&mut self, key: u64) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return false };
        let credit = u32::try_from(endpoint.session.credit()).unwrap_or(u32::MAX);
        let name = format!("webhook {}", endpoint.id.1);
        let options = ConsumerOptions { credit, name, ..ConsumerOptions::default() };
        match self.consumers.add(&endpoint.subscription, options).await {
            Ok(consumer) => {
                endpoint.consumer = Some(consumer);
                self.joined.insert(consumer, key);
                true
            }
            Err(error) => {
                let id = endpoint.id.clone();
                // Its place may be gone already; anything else is for operators to see.
                if error != ConsumeError::NotFound && error != ConsumeError::ShuttingDown {
                    tracing::warn!(project = %id.0, integration = %id.1, %error, "a webhook is served no more until it is changed");
                }
                self.leave(&id);
                false
            }
        }
    }

    /// Does what an endpoint says.
    fn act(&mut self, key: u64, output: Output<Delivery>) {
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        match output {
            // See [`Post::tell`].
            Output::Join => {}
            Output::Leave => {
                if let Some(consumer) = endpoint.consumer.take() {
                    self.joined.remove(&consumer);
                    self.consumers.remove(consumer);
                }
            }
            Output::Send { batch, is_noted } => self.dispatch.want(key, batch, is_noted),
            Output::Done(events) => {
                self.shared.metrics.delivered.inc_by(events.len() as u64);
                let answers: Vec<Settle> = match events.last() {
                    // In order, so all before it is done as well.
                    Some(last) if !endpoint.session.rules().by_key => {
                        vec![Settle::AckThrough(last.lease)]
                    }
                    _ => events.iter().map(|one| Settle::Ack(one.lease)).collect(),
                };
                self.settle(key, &answers);
            }
            Output::Park(events, status) => {
                self.shared.metrics.parked.inc_by(events.len() as u64);
                let cause = format!("the endpoint answered {status}");
                let park =
                    |one: &Delivery| Settle::DeadLetter { lease: one.lease, cause: cause.clone() };
                let answers: Vec<Settle> = events.iter().map(park).collect();
                self.settle(key, &answers);
            }
            Output::Alert(alert) => {
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, percent = alert.percent, since = %alert.since, failures = alert.failures, "a webhook fails");
                self.shared.log.tell(&endpoint.id, Entry::Alert(alert));
            }
            Output::Disable(why) => {
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, why = why.as_str(), "a webhook is disabled");
                self.shared.metrics.disabled.inc();
                self.shared.log.tell(&endpoint.id, Entry::Disabled(why.as_str()));
            }
            Output::Store => {
                let value = note::encode(&endpoint.session.note());
                // Queued in this order; lost, it is written again with the next change of class.
                drop(self.shared.hub.set_endpoint_note(&endpoint.id, value));
            }
        }
    }

    /// Answers the hub. Nobody waits for the disk: what it does not have after a crash is sent again.
    fn settle(&mut self, key: u64, answers: &[Settle]) {
        let consumer = self.endpoints.get(&key).and_then(|endpoint| endpoint.consumer);
        let Some(consumer) = consumer else { return };
        if let Err(error) = self.consumers.settle_held(consumer, answers) {
            tracing::debug!(%error, "what a webhook took was taken back before");
        }
    }

    /// Sets an endpoint's timer to what it waits for.
    fn set_timer(&mut self, key: u64) {
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let due = endpoint.session.next_due();
        if due == endpoint.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut endpoint.due, due) {
            self.timers.remove(&(old, key));
        }
        self.timers.extend(due.map(|due| (due, key)));
    }
}
