//! ConsumerInfo, SessionInfo, ProducerInfo, ConsumerControl and MessagePull.

use std::time::Duration;

use outflow_broker::session::Added;
use outflow_broker::{About, Part, Wish};
use outflow_model::ErrorCode;
use tokio::time::Instant;

use super::subscription::{Own, Pull};
use super::{Advised, Asked, Outbox, Outcomes, Session, Step, Work, bound};
use crate::error::Failure;
use crate::translate::destination::{self, advisories};
use crate::translate::wish::{self, Ask, prefetch};
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
        bound::connection(id.connection_id.as_ref())?;
        info.destination.as_ref().map_or(Ok(()), bound::destination)?;
        let max = self.face.options.max_producers;
        if self.producers.len() >= max && !self.producers.contains_key(id) {
            let message = format!("A connection may have at most {max} producers");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.producers.insert(id.clone(), info.window_size);
        self.introduce_producer(info);
        Ok(())
    }

    pub(super) fn add_consumer(
        &mut self,
        info: &ConsumerInfo,
        asked: Asked,
        out: &mut Outbox,
    ) -> Outcomes {
        let id = info.consumer_id.as_ref();
        bound::connection(id.and_then(|id| id.connection_id.as_ref()))?;
        info.destination.as_ref().map_or(Ok(()), bound::destination)?;
        let max = self.face.options.max_consumers;
        let check = |count: usize| {
            let message = || format!("A connection may have at most {max} consumers");
            if count < max { Ok(()) } else { Err(Failure::new(ErrorCode::TooLarge, message())) }
        };
        if let (Some(id), Some(destination)) = (id, &info.destination)
            && let Some(topics) = advisories(destination)
        {
            // They are counted apart: a client has one that its user knows nothing of.
            check(self.advised.len())?;
            Advised::check(self.advised.len() + 1, topics.len())?;
            let topics = topics.into_iter().map(str::to_owned).collect();
            self.advise(id, topics, &asked, out);
            return Ok(Step::Done);
        }
        check(self.subscriptions.len())?;
        let (ask, wish) = wish::read(info, asked.clone(), &self.face.options)?;
        if self.numbers.contains_key(&ask.id) {
            // A client that reconnects may say it twice.
            self.batch.answers.add(asked, Part::Ready);
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
            let failure = Failure::new(ErrorCode::Forbidden, message);
            return Err(failure.about(About::Destination));
        }
        let temporary = Vec::new();
        Ok(Step::Then(Work::Subscribe { ask, wish: Box::new(wish), temporary }))
    }

    /// The consumers are there.
    pub(super) fn subscribed(
        &mut self,
        ask: Ask,
        wish: Box<Wish>,
        consumers: Added,
        out: &mut Outbox,
    ) -> Step {
        let asked = ask.asked.clone();
        if consumers.is_ok() {
            self.introduce(&ask, &wish);
        }
        let result = consumers.map(|consumers| {
            let own = Own::new(ask, wish.prefetch);
            let id = own.id.clone();
            let number = self.subscriptions.add(wish, own, &consumers, destination::write);
            self.numbers.insert(id, number);
        });
        self.answer(result, &asked, out)
    }

    /// Consumers were added to one with wildcards: one that has asked for a message may get it from
    /// them, too.
    pub(super) fn widened(&mut self, number: u32, consumers: Added, out: &mut Outbox) -> Step {
        let result = consumers.map(|added| {
            self.subscriptions.extend(number, &added, destination::write);
            if self.subscriptions.get(number).is_some_and(|one| one.own.pull.is_some()) {
                added.iter().for_each(|(consumer, _)| self.batch.credit(*consumer, 1));
            }
        });
        self.answer(result, &Asked::silent(), out)
    }

    /// A consumer is changed: how many messages it may have.
    pub(super) fn control(&mut self, control: &ConsumerControl, asked: Asked) -> Step {
        self.batch.answers.add(asked, Part::Ready);
        let number = control.consumer_id.as_ref().and_then(|id| self.number(id));
        let Some(one) = number.and_then(|number| self.subscriptions.get_mut(number)) else {
            return Step::Done;
        };
        one.own.prefetch = prefetch(control.prefetch, &self.face.options);
        if let Some(wish) = &mut one.grows {
            wish.prefetch = one.own.prefetch;
        }
        let (consumers, prefetch) = (one.consumers.clone(), one.own.prefetch);
        Step::Then(Work::Prefetch { consumers, prefetch })
    }

    /// A consumer without prefetch asks for a message (reference `activemq.md` a4).
    pub(super) fn pull(&mut self, pull: &MessagePull) {
        let number = pull.consumer_id.as_ref().and_then(|id| self.number(id));
        let Some(one) = number.and_then(|number| self.subscriptions.get_mut(number)) else {
            return;
        };
        if one.own.prefetch > 0 {
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
        if one.own.pull.replace(Pull { until }).is_none() {
            for consumer in &one.consumers {
                self.batch.credit(*consumer, 1);
            }
        }
        self.recount();
    }

    /// When the first pull ends, if one does.
    pub(super) fn first_due(&self) -> Option<Instant> {
        if self.timed == 0 {
            return None;
        }
        self.subscriptions.iter().filter_map(|(_, one)| one.own.pull?.until).min()
    }

    /// Notes that pulls which end at a certain time came or went.
    pub(super) fn recount(&mut self) {
        let is_timed = |own: &Own| own.pull.is_some_and(|pull| pull.until.is_some());
        self.timed = self.subscriptions.iter().filter(|(_, one)| is_timed(&one.own)).count();
    }

    /// Ends the pulls whose time is over: the client is told that there is nothing.
    pub(super) fn end_pulls(&mut self, now: Instant, out: &mut Outbox) -> Step {
        for (_, one) in self.subscriptions.iter_mut() {
            if one.own.pull.and_then(|pull| pull.until).is_some_and(|until| until <= now) {
                one.own.pull = None;
                for consumer in &one.consumers {
                    self.batch.credit(*consumer, -1);
                }
                let consumer_id = Some(one.own.id.clone());
                let nothing = MessageDispatch { consumer_id, ..MessageDispatch::default() };
                out.send(&Command::MessageDispatch(nothing));
            }
        }
        self.recount();
        Step::Done
    }
}
