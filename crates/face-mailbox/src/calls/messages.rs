//! The calls about messages: Peek, Receive, Confirm, Renew, Release.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use outflow_face::Phase;
use outflow_hub::subscription::{
    ConsumeError, EventRef, EventState, LeaseError, LeaseId, Peeked, Settle, SettleError,
};
use outflow_hub::{Delivery, Subscription};
use outflow_model::{ErrorCode, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use super::span::Span;
use super::subscriptions::streams_of;
use super::{Answer, Face};
use crate::authenticate::Caller;
use crate::error::{Refusal, ServiceResult};
use crate::translate::{Message, lease_of, lock_id, message_id, place, time, topic_of};
use crate::wire::{Guid, WireError};

/// How often a Take tries again whose message another was faster to get.
const TAKE_ATTEMPTS: usize = 16;

/// How long a message is held between finding and confirming it, where no lock was named.
const CONFIRM_HOLD: Duration = Duration::from_secs(30);

impl Face {
    /// Says how many messages there are and which is next. In time, nothing is an answer, too:
    /// 200 is the only code that needs no investigation (seed 003).
    pub(super) async fn peek(
        &self,
        caller: &Caller,
        subscriber: Guid,
        timeout: Option<u32>,
    ) -> Result<Answer, Refusal> {
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        let span = self.peek_time(timeout);
        let peeked = self.wait(caller, &mailbox, span.time).await?;
        let Some(next) = &peeked.next else {
            self.metrics.timeouts.inc();
            let note = span.cut().map(|cut| format!("; {cut}")).unwrap_or_default();
            let seconds = span.time.as_secs();
            let message = format!("no message became available within {seconds} s{note}");
            return Answer::ok(&json!({
                "MessageCount": 0,
                "NextMessageId": null,
                "Topic": null,
                "CompanyCode": null,
                "ServiceResult": ServiceResult { code: "Timeout", message },
            }));
        };
        let (company, topic) = topic_of(&next.name).unwrap_or_default();
        Answer::ok(&json!({
            "MessageCount": peeked.available,
            "NextMessageId": message_id(next.stream, next.offset).to_string(),
            "Topic": topic,
            "CompanyCode": company,
            "ServiceResult": Span::note([span]),
        }))
    }

    /// The second grammar's peek: the message itself, locked if asked for; 204 when there is none.
    pub(super) async fn take(
        &self,
        caller: &Caller,
        subscriber: Guid,
        timeout: Option<u32>,
        lock_timeout: Option<u32>,
    ) -> Result<Answer, Refusal> {
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        let lock = lock_timeout.map(|seconds| self.lock_time(Some(seconds))).transpose()?;
        let span = self.peek_time(timeout);
        let until = Instant::now() + span.time;
        for _ in 0..TAKE_ATTEMPTS {
            let left = until.saturating_duration_since(Instant::now());
            let peeked = self.wait(caller, &mailbox, left).await?;
            let Some(next) = &peeked.next else { break };
            let found = match lock {
                Some(hold) => {
                    match self.hub.lease(&caller.grant, &mailbox, next, hold.time).await {
                        Ok(delivery) => Some(delivery),
                        Err(LeaseError::Gone | LeaseError::Held { .. }) => None,
                        Err(error) => return Err(error.into()),
                    }
                }
                None => self.look(caller, &mailbox, next).await?,
            };
            if let Some(delivery) = found {
                let count = Some(peeked.available);
                let note = Span::note([Some(span), lock].into_iter().flatten());
                return Answer::ok(&Message::of(&delivery, lock.is_some(), count, note));
            }
        }
        self.metrics.timeouts.inc();
        Ok(Answer { status: StatusCode::NO_CONTENT, body: None })
    }

    /// The event, without taking it.
    async fn look(
        &self,
        caller: &Caller,
        mailbox: &Arc<Subscription>,
        event: &EventRef,
    ) -> Result<Option<Delivery>, Refusal> {
        let mut browse = self.hub.browse(&caller.grant, mailbox, None).await?;
        while let Some(delivery) = browse.next().await {
            if delivery.stream.id == event.stream && delivery.event.offset() == event.offset {
                return Ok(Some(delivery));
            }
        }
        Ok(None)
    }

    pub(super) async fn receive(
        &self,
        caller: &Caller,
        subscriber: Guid,
        message: Guid,
        lock_timeout: Option<u32>,
    ) -> Result<Answer, Refusal> {
        let hold = self.lock_time(lock_timeout)?;
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        let event = self.event(caller, &mailbox, message)?;
        let delivery = self.hub.lease(&caller.grant, &mailbox, &event, hold.time).await;
        let delivery = delivery.map_err(|error| self.not_leased(error))?;
        Answer::ok(&Message::of(&delivery, true, None, Span::note([hold])))
    }

    /// Removes a message for good. A repeat with the same lock, or with none, is answered as the
    /// first was, for as long as the mailbox is there: that it was settled is what its place says.
    /// A lock that is none, or that was lost before another confirmed, is answered 409 (reference
    /// 2.4).
    pub(super) async fn confirm(
        &self,
        caller: &Caller,
        subscriber: Guid,
        message: Guid,
        lock: Option<Guid>,
    ) -> Result<Answer, Refusal> {
        if lock.is_none() && self.options.require_lock {
            return Err(WireError::Missing { name: "lockId" }.into());
        }
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        let event = self.event(caller, &mailbox, message)?;
        let lease = match lock {
            Some(lock) => Some(lease_of(message, lock).ok_or_else(lost)?),
            None => self.any_lease(caller, &mailbox, &event).await?,
        };
        let acked = match lease {
            Some(lease) => self.hub.settle_lease(&caller.grant, &mailbox, Settle::Ack(lease)).await,
            None => Err(SettleError::NotFound),
        };
        match acked {
            Ok(_) => {
                if let Some(lease) = lease {
                    self.confirmed.note(subscriber, message, lease);
                }
            }
            Err(SettleError::Unknown { .. } | SettleError::NotFound) => {
                let named = lease.filter(|_| lock.is_some());
                let is_its =
                    named.is_none_or(|lease| self.confirmed.may_be(subscriber, message, lease));
                if !is_its || self.state(caller, &mailbox, &event).await? != EventState::Settled {
                    return Err(lost());
                }
                self.metrics.repeated.inc();
            }
            Err(error) => return Err(error.into()),
        }
        Answer::ok(&json!({"MessageId": message.to_string(), "ServiceResult": null}))
    }

    /// The lease by which a message is settled whoever holds it: the vendor's Confirm names none.
    /// `None`: it is settled.
    async fn any_lease(
        &self,
        caller: &Caller,
        mailbox: &Arc<Subscription>,
        event: &EventRef,
    ) -> Result<Option<LeaseId>, Refusal> {
        for _ in 0..TAKE_ATTEMPTS {
            match self.state(caller, mailbox, event).await? {
                EventState::Held { lease, .. } => return Ok(Some(lease)),
                EventState::Settled => return Ok(None),
                EventState::Unknown => return Err(Refusal::missing("message")),
                EventState::Waiting => {}
            }
            match self.hub.lease(&caller.grant, mailbox, event, CONFIRM_HOLD).await {
                Ok(delivery) => return Ok(Some(delivery.lease)),
                // Someone was faster: look again who holds it.
                Err(LeaseError::Held { .. } | LeaseError::Gone) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(lost())
    }

    pub(super) async fn renew(
        &self,
        caller: &Caller,
        subscriber: Guid,
        message: Guid,
        lock: Guid,
        lock_timeout: Option<u32>,
    ) -> Result<Answer, Refusal> {
        let by = self.lock_time(lock_timeout)?;
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        self.event(caller, &mailbox, message)?;
        let lease = lease_of(message, lock).ok_or_else(lost)?;
        let answer = Settle::Extend { lease, by: by.time };
        let until = self.hub.settle_lease(&caller.grant, &mailbox, answer).await?;
        Answer::ok(&json!({
            "MessageId": message.to_string(),
            "LockId": lock_id(message, lease).to_string(),
            "LockedUntil": time(until),
            "ServiceResult": Span::note([by]),
        }))
    }

    pub(super) async fn release(
        &self,
        caller: &Caller,
        subscriber: Guid,
        message: Guid,
        lock: Guid,
    ) -> Result<Answer, Refusal> {
        let mailbox = self.mailbox(caller, &self.own(caller, subscriber).await?)?;
        self.event(caller, &mailbox, message)?;
        let lease = lease_of(message, lock).ok_or_else(lost)?;
        let answer = Settle::Requeue { lease, delay: None };
        self.hub.settle_lease(&caller.grant, &mailbox, answer).await?;
        Answer::ok(&json!({"MessageId": message.to_string(), "ServiceResult": null}))
    }

    /// Waits for a message. A server that goes away answers at once that there is none: the client
    /// asks again, and reaches one that stays.
    async fn wait(
        &self,
        caller: &Caller,
        mailbox: &Arc<Subscription>,
        wait: Duration,
    ) -> Result<Peeked, Refusal> {
        let nothing = Peeked { available: 0, next: None };
        let is_draining = self.drain.phase() >= Phase::Draining;
        let wait_here = if is_draining { Duration::ZERO } else { wait };
        let _place = if wait_here.is_zero() { None } else { Some(self.park()?) };
        let peeked = tokio::select! {
            biased;
            peeked = self.hub.peek(&caller.grant, mailbox, wait_here) => peeked,
            () = self.drain.reached(Phase::Draining), if !is_draining => return Ok(nothing),
        };
        let peeked = match peeked {
            Err(ConsumeError::ShuttingDown) => nothing,
            other => other?,
        };
        if is_draining && peeked.next.is_none() {
            tokio::time::sleep(wait.min(self.options.drain_pause)).await;
        }
        Ok(peeked)
    }

    fn peek_time(&self, seconds: Option<u32>) -> Span {
        let max = self.options.max_peek;
        Span::of("timeout", seconds, max, max)
    }

    fn lock_time(&self, seconds: Option<u32>) -> Result<Span, Refusal> {
        if seconds == Some(0) {
            let rule = "be at least one second";
            return Err(WireError::Bad { name: "lockTimeout", rule }.into());
        }
        Ok(Span::of("lockTimeout", seconds, self.options.lock, self.options.max_lock))
    }

    /// The place that a MessageId names, if the mailbox receives what is there.
    fn event(
        &self,
        caller: &Caller,
        mailbox: &Subscription,
        message: Guid,
    ) -> Result<EventRef, Refusal> {
        let missing = || Refusal::missing("message");
        let (number, offset) = place(message).ok_or_else(missing)?;
        let streams = streams_of(mailbox);
        let mut found = streams.iter().filter_map(|name| self.hub.stream(&caller.project, name));
        let stream = found.find(|stream| stream.id == number).ok_or_else(missing)?;
        Ok(EventRef { stream: number, name: stream.name.clone(), offset, id: String::new() })
    }

    async fn state(
        &self,
        caller: &Caller,
        mailbox: &Arc<Subscription>,
        event: &EventRef,
    ) -> Result<EventState, Refusal> {
        Ok(self.hub.event_state(&caller.grant, mailbox, event.stream, event.offset).await?)
    }

    fn not_leased(&self, error: LeaseError) -> Refusal {
        let until: Option<Timestamp> = match &error {
            LeaseError::Gone => return Refusal::missing("message, or it was confirmed"),
            LeaseError::Held { until } => *until,
            _ => return error.into(),
        };
        let left = until.map_or(1_000, |until| until.millis() - self.hub.clock().now().millis());
        let retry_after = Some(u64::try_from(left).unwrap_or_default().div_ceil(1000).max(1));
        let detail = "the message is locked by another receiver, or its turn has not come";
        Refusal { retry_after, ..Refusal::new(ErrorCode::Conflict, detail) }
    }
}

/// The answer to a lock that is none any more.
fn lost() -> Refusal {
    let detail = "the lock is not current: it has expired, or the server was started again; \
                  the message may have been received by another";
    Refusal::new(ErrorCode::Conflict, detail)
}

impl From<ConsumeError> for Refusal {
    fn from(error: ConsumeError) -> Self {
        if let ConsumeError::Unavailable(reason) = &error {
            tracing::error!(reason, "a mailbox could not be read");
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<LeaseError> for Refusal {
    fn from(error: LeaseError) -> Self {
        if let LeaseError::Unavailable(reason) = &error {
            tracing::error!(reason, "a message could not be read");
        }
        Self::new(error.code(), error.to_string())
    }
}

impl From<SettleError> for Refusal {
    fn from(error: SettleError) -> Self {
        match &error {
            SettleError::Unknown { .. } => return lost(),
            SettleError::Unavailable(reason) | SettleError::Uncertain(reason) => {
                tracing::error!(reason, "a message could not be settled");
            }
            SettleError::NotFound
            | SettleError::Forbidden
            | SettleError::TooLarge { .. }
            | SettleError::TooMany { .. } => {}
        }
        Self::new(error.code(), error.to_string())
    }
}
