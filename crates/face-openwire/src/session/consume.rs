//! ConsumerInfo, SessionInfo, ProducerInfo, ConsumerControl and MessagePull.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::Subscription;
use outflow_hub::subscription::ConsumerId;
use outflow_model::ErrorCode;
use tokio::time::Instant;

use super::subscription::Pull;
use super::{Asked, Outbox, Outcomes, Session, Step, Work, batch};
use crate::error::Failure;
use crate::translate::destination::advisories;
use crate::translate::wish::{Wish, prefetch};
use crate::wire::{
    Command, ConsumerControl, ConsumerInfo, MessageDispatch, MessagePull, ProducerInfo, SessionInfo,
};

/// How long a pull that does not want to wait is given, so that what is on the disk is found.
const AT_ONCE: Duration = Duration::from_millis(100);

impl Session {
    pub(super) fn add_session(&mut self, info: &SessionInfo) -> Result<(), Failure> {
        let Some(id) = &info.session_id else {
            return Err(Failure::malformed("A session needs an id"));
        };
        let max = self.face.options.max_sessions;
        if self.sessions.len() >= max && !self.sessions.contains(&id.value) {
            let message = format!("A connection may have at most {max} sessions");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.sessions.insert(id.value);
        Ok(())
    }

    pub(super) fn add_producer(&mut self, info: &ProducerInfo) -> Result<(), Failure> {
        let Some(id) = &info.producer_id else {
            return Err(Failure::malformed("A producer needs an id"));
        };
        let max = self.face.options.max_producers;
        if self.producers.len() >= max && !self.producers.contains_key(id) {
            let message = format!("A connection may have at most {max} producers");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.producers.insert(id.clone(), info.window_size);
        Ok(())
    }

    pub(super) fn add_consumer(
        &mut self,
        info: &ConsumerInfo,
        asked: Asked,
        out: &mut Outbox,
    ) -> Outcomes {
        let max = self.face.options.max_consumers;
        if self.subscriptions.len() + self.advised.len() >= max {
            let message = format!("A connection may have at most {max} consumers");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        if let (Some(id), Some(destination)) = (&info.consumer_id, &info.destination)
            && let Some(topics) = advisories(destination)
        {
            let topics = topics.into_iter().map(str::to_owned).collect();
            self.advise(id.clone(), topics, &asked, out);
            return Ok(Step::Done);
        }
        let wish = Wish::read(info, asked.clone(), &self.face.options)?;
        if self.subscriptions.find(&wish.id).is_some() {
            // A client that reconnects may say it twice.
            self.batch.answer(asked, batch::Part::Ready);
            return Ok(Step::Done);
        }
        // A queue that no connection made would be removed with none.
        let is_foreign = |one: &outflow_hub::Destination| {
            one.kind.is_temporary() && !self.temporary.contains(one)
        };
        if let Some(foreign) = wish.destinations.iter().find(|one| is_foreign(one)) {
            let message = format!(
                "Cannot use a temporary destination that this connection did not make: {foreign}"
            );
            let class = "javax.jms.InvalidDestinationException";
            return Err(Failure { class, ..Failure::new(ErrorCode::Forbidden, message) });
        }
        Ok(Step::Then(Work::Subscribe(Box::new(wish))))
    }

    /// The consumers are there.
    pub(super) fn subscribed(
        &mut self,
        wish: Box<Wish>,
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
        out: &mut Outbox,
    ) -> Step {
        let asked = wish.asked.clone();
        let result = consumers.map(|consumers| self.subscriptions.add(wish, &consumers));
        self.answer(result, &asked, out)
    }

    /// What has to be done now that a queue was made: each consumer with wildcards looks again.
    #[must_use]
    pub fn widen(&self) -> Vec<Work> {
        let wide = self
            .subscriptions
            .iter()
            .filter_map(|(number, one)| Some(Work::Widen { number, wish: one.grows.clone()? }));
        wide.collect()
    }

    /// The hub's subscriptions that serve the consumer with this number.
    #[must_use]
    pub fn subscriptions_of(&self, number: u32) -> Vec<outflow_hub::subscription::SubscriptionId> {
        self.subscriptions.served_by(number)
    }

    /// A consumer is changed: how many messages it may have.
    pub(super) fn control(&mut self, control: &ConsumerControl, asked: Asked) -> Step {
        self.batch.answer(asked, batch::Part::Ready);
        let number = control.consumer_id.as_ref().and_then(|id| self.subscriptions.find(id));
        let Some(one) = number.and_then(|number| self.subscriptions.get_mut(number)) else {
            return Step::Done;
        };
        one.prefetch = prefetch(control.prefetch, &self.face.options);
        if let Some(wish) = &mut one.grows {
            wish.prefetch = one.prefetch;
        }
        let (consumers, prefetch) = (one.consumers.clone(), one.prefetch);
        Step::Then(Work::Prefetch { consumers, prefetch })
    }

    /// A consumer without prefetch asks for a message (reference `activemq.md` a4).
    pub(super) fn pull(&mut self, pull: &MessagePull) {
        let number = pull.consumer_id.as_ref().and_then(|id| self.subscriptions.find(id));
        let Some(one) = number.and_then(|number| self.subscriptions.get_mut(number)) else {
            return;
        };
        if one.prefetch > 0 {
            return;
        }
        let wait = match pull.timeout {
            0 => None,
            millis => {
                let millis = u64::try_from(millis).ok();
                Some(millis.map_or(AT_ONCE, |millis| Duration::from_millis(millis).max(AT_ONCE)))
            }
        };
        // A time beyond all times is none.
        let until = wait.and_then(|wait| Instant::now().checked_add(wait));
        if one.pull.replace(Pull { until }).is_none() {
            for consumer in &one.consumers {
                self.batch.credit(*consumer, 1);
            }
        }
        self.subscriptions.recount();
    }

    /// When the first pull ends, if one does.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.subscriptions.first_due()
    }

    /// Ends the pulls whose time is over: the client is told that there is nothing.
    pub(super) fn end_pulls(&mut self, now: Instant, out: &mut Outbox) -> Step {
        for one in self.subscriptions.iter_mut() {
            if one.pull.and_then(|pull| pull.until).is_some_and(|until| until <= now) {
                one.pull = None;
                for consumer in &one.consumers {
                    self.batch.credit(*consumer, -1);
                }
                let consumer_id = Some(one.id.clone());
                let nothing = MessageDispatch { consumer_id, ..MessageDispatch::default() };
                out.send(&Command::MessageDispatch(nothing));
            }
        }
        self.subscriptions.recount();
        Step::Done
    }
}
