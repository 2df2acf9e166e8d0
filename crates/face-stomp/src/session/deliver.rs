//! SUBSCRIBE, UNSUBSCRIBE, and the messages that follow.

use outflow_broker::letter::ORIGIN;
use outflow_broker::session::Added;
use outflow_broker::{Entry, Seen, Wish};
use outflow_hub::destination::Destination;
use outflow_hub::subscription::ConsumerId;
use outflow_hub::{CloseReason, Delivery};
use outflow_model::{ErrorCode, StreamName};

use super::subscription::Own;
use super::{AckId, Outbox, Outcomes, Session, Step, Work};
use crate::error::{self, Failure};
use crate::translate::destination::{self, own_alias, spell};
use crate::translate::message::{self, Address, Spelling};
use crate::translate::wish::{self, AckMode, Ask};
use crate::wire::{Frame, Version};

impl Session {
    pub(super) fn subscribe(&mut self, frame: &Frame<'_>) -> Outcomes {
        let options = &self.face.options;
        let ask = Ask::read(frame, self.version)?;
        if let Some(id) = ask.id.as_deref()
            && self.find_subscription(Some(id), None).is_some()
        {
            let message = format!("There is a subscription with the id `{id}` already");
            return Err(Failure::malformed(message));
        }
        if self.subscriptions.len() >= options.max_subscriptions {
            let max = options.max_subscriptions;
            let message = format!("A connection may have at most {max} subscriptions");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let wish = ask.wish(frame, &self.name, options)?;
        let foreign = wish
            .destinations
            .iter()
            .any(|one| one.kind.is_temporary() && own_alias(one, &self.name).is_none());
        if foreign {
            let message = "Only the connection that made a temporary destination may consume it";
            return Err(Failure::new(ErrorCode::Forbidden, message));
        }
        if wish.durable.is_some() {
            if wish.destinations.iter().any(|one| one.kind.is_queue()) {
                return Err(Failure::malformed(
                    "Invalid Subscription: cannot durably subscribe to a Queue destination!",
                ));
            }
            if self.opened.as_ref().is_none_or(|opened| opened.client.is_none()) {
                return Err(Failure::malformed(
                    "A durable subscription needs a client-id in CONNECT",
                ));
            }
        }
        if wish.browser && self.version == Version::V1_0 {
            return Err(Failure::malformed("Queue browsers are not part of STOMP 1.0"));
        }
        let temporary = self.remember(&wish.destinations)?;
        Ok(Step::Then(Work::Subscribe { ask, wish: Box::new(wish), temporary }))
    }

    /// The consumers are there: answers before the first message (rule 10).
    pub(super) fn subscribed(
        &mut self,
        ask: &Ask,
        wish: Box<Wish>,
        consumers: Added,
        out: &mut Outbox,
    ) -> Step {
        let name = &self.name;
        let result = consumers.map(|consumers| {
            let (own, spell) = (Own::new(ask, self.version), |one: &Destination| spell(one, name));
            self.subscriptions.add(wish, own, &consumers, spell);
        });
        self.answer(result, ask.receipt.as_deref(), out)
    }

    /// Consumers were added to a subscription with wildcards.
    pub(super) fn widened(&mut self, number: u32, consumers: Added, out: &mut Outbox) -> Step {
        let name = &self.name;
        let result = consumers.map(|consumers| {
            self.subscriptions.extend(number, &consumers, |one| spell(one, name));
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
        let found = self.find_subscription(id.as_deref(), destination);
        let consumers = match found.and_then(|number| self.subscriptions.remove(number)) {
            Some(removed) => removed.consumers,
            None if durable.is_some() => Vec::new(),
            None => {
                return Err(Failure::new(ErrorCode::NotFound, "No subscription matched."));
            }
        };
        let asked = frame.header("receipt").map(std::borrow::Cow::into_owned);
        let consumers = consumers.into_iter().map(|one| (one, Seen::Unknown)).collect();
        let client = self.opened.as_ref().and_then(|opened| opened.client.clone());
        let durable = durable.map(|name| (client, name));
        Ok(Step::Then(Work::Remove { consumers, durable, asked }))
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
            if one.own.mode != AckMode::Auto {
                let ack = outflow_hub::Settle::Ack(delivery.lease);
                self.batch.settle(consumer, [ack]);
            }
            return Step::Done;
        }
        let ack = (one.own.mode != AckMode::Auto && !one.is_browser).then(|| {
            one.held.push(delivery.lease, Entry::new(consumer, delivery.event.meta().id_hash));
            AckId { subscription: source.number, lease: delivery.lease.0 }
        });
        let from = source.address(&delivery.stream, |one| spell(one, &self.name));
        let address = Address {
            lines: &one.own.lines,
            destination: &from.destination,
            original: from.original.as_deref(),
            // Older clients know of no such header.
            ack: ack.filter(|_| self.version == Version::V1_2),
        };
        message::write(out, self.version, &address, delivery, &Local(&self.name));
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
            frame.plain("browser", "end").header("destination", &one.own.destination);
            frame.lines(&one.own.lines).plain("message-id", "0").end();
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
            self.say_closed(reason, &one.own.destination, out);
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
        error::write(&failure, out, self.version, None);
    }
}

/// The spelling of the connection with this name.
struct Local<'a>(&'a str);

impl Spelling for Local<'_> {
    fn reply_to(&self, reply_to: &str) -> Option<String> {
        destination::locally(reply_to, self.0)
    }

    fn died_in(&self, stream: &str) -> Option<String> {
        let stream = StreamName::new(stream).ok()?;
        Some(spell(&Destination::of_stream(&stream), self.0))
    }
}
