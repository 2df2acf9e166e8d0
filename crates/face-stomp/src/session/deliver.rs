//! SUBSCRIBE, UNSUBSCRIBE, and the messages that follow.

use std::sync::Arc;

use outflow_hub::destination::Destination;
use outflow_hub::subscription::{ConsumerId, SubscriptionId};
use outflow_hub::{CloseReason, Delivery, Subscription};
use outflow_model::ErrorCode;

use super::held::{AckId, Entry};
use super::subscription::{died_in, taken};
use super::{Outbox, Outcomes, Session, Step, Work};
use crate::error::Failure;
use crate::translate::ORIGIN;
use crate::translate::destination::{self, own_alias};
use crate::translate::message::{self, Address};
use crate::translate::wish::{self, AckMode, Wish};
use crate::wire::{Frame, Version};

impl Session {
    pub(super) fn subscribe(&mut self, frame: &Frame<'_>) -> Outcomes {
        let options = &self.face.options;
        let wish = Wish::read(frame, self.version, options)?;
        if let Some(id) = wish.id.as_deref()
            && self.subscriptions.find(Some(id), None).is_some()
        {
            return Err(taken(id));
        }
        if self.subscriptions.len() >= options.max_subscriptions {
            let max = options.max_subscriptions;
            let message = format!("A connection may have at most {max} subscriptions");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let destinations = destination::parse(&wish.destination, &self.name)?;
        let foreign = destinations
            .iter()
            .any(|one| one.kind.is_temporary() && own_alias(one, &self.name).is_none());
        if foreign {
            let message = "Only the connection that made a temporary destination may consume it";
            return Err(Failure::new(ErrorCode::Forbidden, message));
        }
        if wish.durable.is_some() {
            if destinations.iter().any(|one| one.kind.is_queue()) {
                return Err(Failure::malformed(
                    "Invalid Subscription: cannot durably subscribe to a Queue destination!",
                ));
            }
            if self.opened().is_none_or(|opened| opened.client.is_none()) {
                return Err(Failure::malformed(
                    "A durable subscription needs a client-id in CONNECT",
                ));
            }
        }
        if wish.browser && self.version == Version::V1_0 {
            return Err(Failure::malformed("Queue browsers are not part of STOMP 1.0"));
        }
        self.remember(&destinations)?;
        Ok(Step::Then(Work::Subscribe { wish: Box::new(wish), destinations }))
    }

    /// The consumers are there: answers before the first message (rule 10).
    pub(super) fn subscribed(
        &mut self,
        mut wish: Box<Wish>,
        destinations: &[Destination],
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
        out: &mut Outbox,
    ) -> Step {
        let receipt = wish.receipt.take();
        let result = consumers.map(|consumers| {
            self.subscriptions.add(wish, destinations, &consumers, self.version, &self.name);
        });
        self.answer(result, receipt.as_deref(), out)
    }

    /// What has to be done now that a queue was made: each subscription with wildcards looks again.
    #[must_use]
    pub fn widen(&self) -> Vec<Work> {
        let wide = self.subscriptions.iter().filter_map(|(number, one)| {
            let (wish, destinations) = one.grows.as_deref()?.clone();
            Some(Work::Widen { number, wish: Box::new(wish), destinations })
        });
        wide.collect()
    }

    /// The hub's subscriptions that serve the subscription with this number.
    #[must_use]
    pub fn subscriptions_of(&self, number: u32) -> Vec<SubscriptionId> {
        self.subscriptions.served_by(number)
    }

    /// Consumers were added to a subscription with wildcards.
    pub(super) fn widened(
        &mut self,
        number: u32,
        consumers: Result<Vec<(ConsumerId, Arc<Subscription>)>, Failure>,
        out: &mut Outbox,
    ) -> Step {
        let result = consumers.map(|consumers| {
            self.subscriptions.extend(number, &consumers, &self.name);
        });
        self.answer(result, None, out)
    }

    pub(super) fn unsubscribe(&mut self, frame: &Frame<'_>) -> Outcomes {
        let (id, destination) = (frame.header("id"), frame.header("destination"));
        let destination = destination.as_deref().map(str::trim);
        let durable = wish::durable(frame);
        if id.is_none() && destination.is_none() && durable.is_none() {
            return Err(Failure::malformed(
                "Must specify the subscription id or the destination you are unsubscribing from",
            ));
        }
        let found = self.subscriptions.find(id.as_deref(), destination);
        let consumers = match found.and_then(|number| self.subscriptions.remove(number)) {
            Some(removed) => removed.consumers,
            None if durable.is_some() => Vec::new(),
            None => {
                return Err(Failure::new(ErrorCode::NotFound, "No subscription matched."));
            }
        };
        let receipt = frame.header("receipt").map(std::borrow::Cow::into_owned);
        Ok(Step::Then(Work::Unsubscribe { consumers, durable, receipt }))
    }

    /// Writes a message and remembers it until it is acked.
    pub(super) fn deliver(
        &mut self,
        consumer: ConsumerId,
        delivery: &Delivery,
        out: &mut Outbox,
    ) -> Step {
        // It may have been removed while the message waited; the hub has taken it back then.
        let Some((one, source)) = self.subscriptions.of_consumer(consumer) else {
            return Step::Done;
        };
        if one.no_local && delivery.event.header(ORIGIN).is_some_and(|by| *by == *self.name) {
            if one.mode != AckMode::Auto {
                let ack = outflow_hub::Settle::Ack(delivery.lease);
                self.batch.settle(consumer, [ack]);
            }
            return Step::Done;
        }
        let ack = (one.mode != AckMode::Auto && !one.is_browser).then(|| {
            let id = AckId { subscription: source.number, serial: one.held.next() };
            one.held.push(Entry::new(consumer, delivery.lease, delivery.event.meta().id_hash));
            id
        });
        let died_in = died_in(delivery, &self.name);
        let (destination, original) = source.spell(&delivery.stream, &self.name);
        let address = Address {
            lines: &one.lines,
            destination,
            original: died_in.as_deref().or(original),
            // Older clients know of no such header.
            ack: ack.filter(|_| self.version == Version::V1_2),
        };
        let name = &self.name;
        message::write(out, self.version, &address, delivery, |reply_to| {
            destination::locally(reply_to, name)
        });
        self.delivered += 1;
        Step::Done
    }

    /// Writes a message to a browser, or its end (reference b2).
    pub(super) fn browse(
        &mut self,
        consumer: ConsumerId,
        delivery: Option<&Delivery>,
        out: &mut Outbox,
    ) -> Step {
        if let Some(delivery) = delivery {
            return self.deliver(consumer, delivery, out);
        }
        let Some((one, _)) = self.subscriptions.of_consumer(consumer) else { return Step::Done };
        one.consumers.retain(|other| *other != consumer);
        if one.consumers.is_empty() {
            let mut frame = out.begin(self.version, "MESSAGE");
            frame.plain("browser", "end").header("destination", &one.destination);
            frame.lines(&one.lines).plain("message-id", "0").end();
        }
        Step::Done
    }

    /// A consumer ended by itself, or all did.
    pub(super) fn ended(
        &mut self,
        consumer: Option<ConsumerId>,
        reason: &CloseReason,
        out: &mut Outbox,
    ) -> Step {
        let Some(consumer) = consumer else {
            // Clients take a connection that just ends for what it is: a reason to come back.
            if !matches!(reason, CloseReason::Draining) {
                self.say_closed(reason, "", out);
            }
            return Step::Then(Work::Close);
        };
        if let Some(one) = self.subscriptions.end(consumer) {
            self.say_closed(reason, &one.destination, out);
        }
        Step::Done
    }

    fn say_closed(&self, reason: &CloseReason, destination: &str, out: &mut Outbox) {
        let (code, why) = match reason {
            CloseReason::Revoked => (ErrorCode::Unauthenticated, "The credential was revoked"),
            CloseReason::Expired => (ErrorCode::Unauthenticated, "The credential has expired"),
            CloseReason::Deleted => (ErrorCode::NotFound, "The destination was deleted"),
            CloseReason::Draining => (ErrorCode::ShuttingDown, "The server is shutting down"),
            CloseReason::Trimmed => (ErrorCode::Expired, "Messages were removed by retention"),
            CloseReason::Damaged(_) | CloseReason::Failed(_) => {
                tracing::error!(session = self.name, ?reason, "a consumer was closed");
                (ErrorCode::Internal, "Messages cannot be read")
            }
        };
        let message = match destination {
            "" => why.to_owned(),
            destination => format!("{why}: {destination}"),
        };
        let failure = Failure::new(code, message);
        self.count_failures(std::slice::from_ref(&failure));
        failure.write(out, self.version, None);
    }
}
