//! One endpoint at its post: taking it on, and doing what its session says.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use outflow_hub::subscription::{ConsumeError, ConsumerId, ConsumerOptions, Subscription};
use outflow_hub::webhook::WebhookId;
use outflow_hub::{Delivery, Settle, WebhookError, WebhookStatus};
use outflow_model::{Offset, Timestamp};

use super::by_hand::ByHand;
use super::cause::cause;
use super::quota::Quota;
use super::shown::Shown;
use super::turns::{Party, Place, Wanted};
use super::{AGAIN_MS, Command, Post};
use crate::attempts::Entry;
use crate::health::Alert;
use crate::note;
use crate::session::{BatchId, Held, Input, Note, Output, Session, Stuck};
use crate::settings::{self, Settings};

/// After so many slow requests in a row an endpoint shares a part of the room with its like.
const SLOW_AFTER: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: WebhookId,
    subscription: Arc<Subscription>,
    pub(super) settings: Settings,
    pub(super) session: Session<Delivery>,
    pub(super) consumer: Option<ConsumerId>,
    /// How many events the consumer may hold.
    credit: usize,
    /// Whose it is, and where.
    place: Place,
    /// Its timer.
    pub(super) due: Option<Timestamp>,
    /// How many requests in a row took long, or were not answered in time.
    pub(super) slow: u32,
    /// Whether the last one was answered, and did not take long.
    pub(super) is_quick: bool,
    /// Which of its successes are told of, and which of its failures.
    pub(super) successes: Quota,
    pub(super) failures: Quota,
    /// How the answer begins that is being dealt with: it goes with what that parks.
    pub(super) answered: Bytes,
    pub(super) by_hand: ByHand,
    shown: Shown,
    /// What its subscription said of what it may be sent, when that was looked at last.
    shows: u64,
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

/// Whose an endpoint is, and where.
fn place_of(settings: &Settings) -> Place {
    let target = &settings.target;
    Arc::new((target.project.clone(), target.endpoint.authority().to_owned()))
}

impl Endpoint {
    /// What its turn goes by.
    pub(super) fn party(&self) -> Party {
        let place = Arc::clone(&self.place);
        let (lanes, is_slow) = (self.session.rules().lanes, self.slow >= SLOW_AFTER);
        Party { place, lanes, is_slow, is_quick: self.is_quick }
    }

    /// Whether what it may be sent was changed, and it has not heard of it yet. Counts as heard.
    pub(super) fn is_outdated(&mut self) -> bool {
        let shows = self.subscription.shows();
        std::mem::replace(&mut self.shows, shows) != shows
    }

    /// How it is, in the clock's time, which is so far ahead.
    fn status(&self, ahead: i64) -> WebhookStatus {
        let Note { failing, next_attempt, disabled, .. } = self.session.note().shifted(ahead);
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
        let anew = anew | self.postponed.remove(id).is_some_and(|(_, anew)| anew);
        let one = hub.integration(&id.0, &id.1);
        let webhook = one.as_ref().and_then(|one| one.webhook.clone());
        let subscription = hub.endpoint_subscription(&id.0, &id.1);
        let (Some(one), Some(webhook), Some(subscription)) = (one, webhook, subscription) else {
            self.leave(id);
            return;
        };
        let (shown, shows) = (Shown::of(&one), subscription.shows());
        let is_same = |key: &u64| {
            let found = self.endpoints.get(key);
            found.is_some_and(|one| one.subscription.id() == subscription.id())
        };
        let known = self.names.get(id).copied().filter(is_same);
        if let Some(key) = known
            && let Some(endpoint) = self.endpoints.get_mut(&key)
        {
            endpoint.shows = shows;
            if endpoint.shown != shown {
                // Before anything that may take a while, or fail.
                endpoint.shown = Shown::of(&one);
                self.look_again(key, None).await;
            }
        }
        let settings = match self.shared.auth.webhook_secrets(&id.0, &id.1).await {
            Ok(Some(secrets)) => {
                let read = settings::read(&self.shared.options, id, &webhook, &secrets);
                read.map_err(|fault| format!("{}: {}", fault.pointer, fault.reason))
            }
            Ok(None) => Err("its secrets are missing".to_owned()),
            Err(error) => {
                self.postpone(id, anew, &error);
                // One that is served goes on as it was: what it holds and has under way is good.
                if known.is_none() {
                    self.leave(id);
                }
                return;
            }
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
        if let Some(key) = known {
            let rules = settings.rules.clone();
            let mut is_redirected = false;
            if let Some(endpoint) = self.endpoints.get_mut(&key) {
                let (old, new) = (&endpoint.settings.target, &settings.target);
                is_redirected = old.endpoint != new.endpoint || old.headers != new.headers;
                endpoint.place = place_of(&settings);
                endpoint.is_quick &= !is_redirected;
                endpoint.settings = settings;
                // What waits for its turn does so where it is sent now.
                for wanted in self.turns.withdraw(key) {
                    self.turns.want(endpoint.party(), wanted);
                }
            }
            self.tell(key, Input::Changed(rules)).await;
            if is_redirected {
                self.tell(key, Input::Redirected).await;
            }
            if anew {
                self.tell(key, Input::Resumed).await;
            }
            return;
        }
        self.leave(id);
        let noted = match hub.endpoint_note(id).await {
            Ok(noted) => noted,
            Err(error) => {
                self.postpone(id, anew, &error);
                return;
            }
        };
        let note = noted.map(|value| note::decode(&value).ok_or(value.len()));
        let note = match note.transpose() {
            Ok(note) => note.unwrap_or_default(),
            // As if nothing were known of it, when somebody says so.
            Err(_) if anew => Note::default(),
            Err(bytes) => {
                // It may have been disabled, or be in the middle of a batch.
                tracing::error!(project = %id.0, integration = %id.1, bytes, "what was noted of a webhook cannot be read; it is served again when it is resumed");
                return;
            }
        };
        let place = place_of(&settings);
        // The clock may have been set back while the server was down.
        let note = note.shifted(-self.ahead()).within(self.now(), &settings.rules);
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
            credit: 0,
            place,
            due: None,
            slow: 0,
            is_quick: false,
            successes: Quota::default(),
            failures: Quota::default(),
            answered: Bytes::new(),
            by_hand: ByHand::default(),
            shown,
            shows,
        };
        self.endpoints.insert(key, endpoint);
        self.shared.metrics.endpoints.inc();
        self.tell(key, if anew { Input::Resumed } else { Input::Due }).await;
    }

    /// What an endpoint is served by could not be read: it is read again a little later.
    fn postpone(&mut self, id: &WebhookId, anew: bool, error: &dyn std::error::Error) {
        tracing::warn!(project = %id.0, integration = %id.1, %error, "what a webhook is served by cannot be read just now; trying again");
        let at = self.now().plus_millis(AGAIN_MS);
        self.postponed.insert(id.clone(), (at, anew));
    }

    /// Why an endpoint is not here.
    pub(super) fn absent(&self, id: &WebhookId) -> WebhookError {
        if self.postponed.contains_key(id) {
            WebhookError::Unavailable
        } else {
            WebhookError::NotFound
        }
    }

    /// Serves an endpoint no more.
    fn leave(&mut self, id: &WebhookId) {
        self.settle_done();
        let Some(key) = self.names.remove(id) else { return };
        let Some(mut endpoint) = self.endpoints.remove(&key) else { return };
        endpoint.tell_last(&self.shared.log);
        self.turns.withdraw(key);
        self.memory.set(&id.0, key, 0, false);
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
            Command::Moving(id, answer) => {
                self.hear(&id, Input::Moving).await;
                let _ = answer.send(Ok(()));
            }
            Command::Moved(id) => self.hear(&id, Input::Moved).await,
            Command::Reopened(id, from) => self.hear(&id, Input::Reopened(from)).await,
            Command::Retry(id, answer) => {
                let key = self.names.get(&id).copied();
                if let Some(key) = key {
                    self.tell(key, Input::Retry).await;
                }
                let _ = answer.send(key.map(drop).ok_or_else(|| self.absent(&id)));
            }
            Command::Status(id, answer) => {
                let found = self.names.get(&id).and_then(|key| self.endpoints.get(key));
                let status = found.map(|endpoint| endpoint.status(self.ahead()));
                let _ = answer.send(status.ok_or_else(|| self.absent(&id)));
            }
            Command::Test(id, answer) => self.test(&id, answer),
            Command::ByHand(id, answer) => {
                let _ = answer.send(self.permit(&id));
            }
            Command::Resend(id, message, answer) => self.send_again(&id, message, answer),
        }
    }

    /// Tells an endpoint what has happened to its place, if it is served.
    async fn hear(&mut self, id: &WebhookId, input: Input<Delivery>) {
        if let Some(&key) = self.names.get(id) {
            self.tell(key, input).await;
        }
    }

    /// What an endpoint may be sent is other than it was: nothing goes that waits for its turn, nor `next`, whose turn
    /// has come, before it was looked at again.
    pub(super) async fn look_again(&mut self, key: u64, next: Option<BatchId>) {
        let waiting = self.turns.withdraw(key);
        let unsent = next.into_iter().chain(waiting.into_iter().map(|wanted| wanted.batch));
        self.tell(key, Input::Entitled(unsent.collect())).await;
    }

    /// Tells an endpoint what has happened, and does what it says.
    pub(super) async fn tell(&mut self, key: u64, input: Input<Delivery>) {
        let (mut next, mut more) = (Some(input), VecDeque::new());
        while let Some(input) = next {
            let now = self.now();
            let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
            for output in endpoint.session.apply(input, now, self.shared.hub.rng()) {
                match output {
                    Output::Join => more.extend(self.join(key).await),
                    output => self.act(key, output),
                }
            }
            let Some(endpoint) = self.endpoints.get(&key) else { return };
            if !endpoint.session.is_open() || endpoint.session.is_away() {
                // What waits for its turn must not go any more.
                let waiting = self.turns.withdraw(key);
                more.extend(waiting.into_iter().map(|wanted| Input::Unsent(wanted.batch)));
            }
            next = more.pop_front();
        }
        self.set_timer(key);
        self.set_credit(key);
        self.count_bytes(key);
    }

    /// Lets an endpoint take as many events as it has room for now.
    fn set_credit(&mut self, key: u64) {
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let wanted = endpoint.session.credit();
        if let Some(consumer) = endpoint.consumer
            && std::mem::replace(&mut endpoint.credit, wanted) != wanted
        {
            self.consumers.set_credit(consumer, u32::try_from(wanted).unwrap_or(u32::MAX));
        }
    }

    /// Counts what an endpoint holds.
    fn count_bytes(&mut self, key: u64) {
        let Some(endpoint) = self.endpoints.get(&key) else { return };
        let session = &endpoint.session;
        self.memory.set(&endpoint.id.0, key, session.bytes(), !session.is_away());
    }

    /// Makes an endpoint a consumer; gives what happens instead to one that cannot be now.
    async fn join(&mut self, key: u64) -> Option<Input<Delivery>> {
        let endpoint = self.endpoints.get_mut(&key)?;
        endpoint.credit = endpoint.session.credit();
        let credit = u32::try_from(endpoint.credit).unwrap_or(u32::MAX);
        let name = format!("webhook {}", endpoint.id.1);
        let options = ConsumerOptions { credit, name, ..ConsumerOptions::default() };
        match self.consumers.add(&endpoint.subscription, options).await {
            Ok(consumer) => {
                endpoint.consumer = Some(consumer);
                self.joined.insert(consumer, key);
                None
            }
            // Its place is gone already, or the server stops.
            Err(ConsumeError::NotFound | ConsumeError::ShuttingDown) => {
                let id = endpoint.id.clone();
                self.leave(&id);
                None
            }
            Err(error) => {
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, %error, "a webhook gets no events just now; trying again");
                Some(Input::Shed)
            }
        }
    }

    /// Does what an endpoint says.
    fn act(&mut self, key: u64, output: Output<Delivery>) {
        if !matches!(output, Output::Done(_) | Output::Send { .. }) {
            self.settle_done();
        }
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let ahead = || self.steady.ahead(self.shared.hub.clock());
        match output {
            // See [`Post::tell`].
            Output::Join => {}
            Output::Leave => {
                if let Some(consumer) = endpoint.consumer.take() {
                    self.joined.remove(&consumer);
                    self.consumers.remove(consumer);
                }
            }
            Output::Send { batch, is_noted } => {
                let wanted = Wanted { endpoint: key, batch, is_noted };
                self.turns.want(endpoint.party(), wanted);
            }
            Output::GiveBack(events) => {
                let again = |one: &Delivery| Settle::Requeue { lease: one.lease, delay: None };
                let answers: Vec<Settle> = events.iter().map(again).collect();
                let consumer = endpoint.consumer;
                self.settle(key, &answers);
                // Later events of the same keys would come before these.
                if let Some(consumer) = consumer {
                    self.consumers.take_back(consumer);
                }
            }
            Output::Done(events) => {
                self.shared.metrics.delivered.inc_by(events.len() as u64);
                self.done.push((key, events));
            }
            Output::Park(events, status) => {
                self.shared.metrics.parked.inc_by(events.len() as u64);
                let cause = cause(status, &endpoint.answered);
                let park =
                    |one: &Delivery| Settle::DeadLetter { lease: one.lease, cause: cause.clone() };
                let answers: Vec<Settle> = events.iter().map(park).collect();
                self.settle(key, &answers);
            }
            Output::Alert(alert) => {
                let alert = Alert { since: alert.since.plus_millis(ahead()), ..alert };
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, percent = alert.percent, since = %alert.since, failures = alert.failures, "a webhook fails");
                self.shared.log.tell(&endpoint.id, Entry::Alert(alert));
            }
            Output::Stuck(stuck) => {
                let stuck = Stuck { since: stuck.since.plus_millis(ahead()), ..stuck };
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, keys = stuck.keys, since = %stuck.since, failures = stuck.failures, first = %stuck.first, "keys of a webhook are not taken");
                self.shared.log.tell(&endpoint.id, Entry::Stuck(stuck));
            }
            Output::Disable(why) => {
                let (project, integration) = &endpoint.id;
                tracing::warn!(%project, %integration, why = why.as_str(), "a webhook is disabled");
                self.shared.metrics.disabled.inc();
                self.shared.log.tell(&endpoint.id, Entry::Disabled(why.as_str()));
            }
            Output::Store => {
                let value = note::encode(&endpoint.session.note().shifted(ahead()));
                // Queued in this order; lost, it is written again with the next change of class.
                drop(self.shared.hub.set_endpoint_note(&endpoint.id, value));
            }
        }
    }

    /// Tells the hub what endpoints took.
    pub(super) fn settle_done(&mut self) {
        for (key, events) in std::mem::take(&mut self.done) {
            // Each its own: what stands before it may not have been sent yet.
            let answers: Vec<Settle> = events.iter().map(|one| Settle::Ack(one.lease)).collect();
            self.settle(key, &answers);
        }
    }

    /// Answers the hub. Nobody waits for the disk: what it does not have after a crash is sent again.
    fn settle(&mut self, key: u64, answers: &[Settle]) {
        let consumer = self.endpoints.get(&key).and_then(|endpoint| endpoint.consumer);
        let Some(consumer) = consumer else { return };
        if let Err(error) = self.consumers.settle_soon(consumer, answers) {
            tracing::debug!(%error, "what a webhook took was taken back before");
        }
    }

    /// Sets an endpoint's timer to what it waits for.
    pub(super) fn set_timer(&mut self, key: u64) {
        let Some(endpoint) = self.endpoints.get_mut(&key) else { return };
        let told = [endpoint.successes.due(), endpoint.failures.due()];
        let due = told.into_iter().flatten().chain(endpoint.session.next_due()).min();
        if due == endpoint.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut endpoint.due, due) {
            self.timers.remove(&(old, key));
        }
        self.timers.extend(due.map(|due| (due, key)));
    }
}
