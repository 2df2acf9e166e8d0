//! Messages on their way to consumers.

use outflow_broker::Entry;
use outflow_broker::letter::ORIGIN;
use outflow_hub::subscription::ConsumerId;
use outflow_hub::{CloseReason, Delivery, Settle};
use outflow_model::ErrorCode;

use super::{Asked, Outbox, Session, Step, Work};
use crate::error::Failure;
use crate::translate::destination;
use crate::translate::message::Maker;
use crate::wire::{Command, ConsumerControl, Identity, MessageDispatch};

impl Session {
    /// Writes a message and remembers it until it is acked.
    pub(super) fn deliver(
        &mut self,
        consumer: ConsumerId,
        delivery: &Delivery,
        out: &mut Outbox,
    ) -> Step {
        let connection = self.opened.as_ref().map_or("", |opened| &opened.connection);
        // It may have been removed while the message waited; the hub has taken it back then.
        let Some((one, source)) = self.subscriptions.of_consumer(consumer) else {
            return Step::Done;
        };
        if one.no_local && delivery.event.header(ORIGIN).is_some_and(|by| *by == *connection) {
            if !one.is_browser {
                self.batch.settle(consumer, [Settle::Ack(delivery.lease)]);
                self.still_pulls(consumer);
            }
            return Step::Done;
        }
        let address = source.address(&delivery.stream, destination::write).clone();
        let from = address.destination;
        let (broker, bodies) = (self.face.broker.as_str(), &self.face.bodies);
        let mut maker = Maker { broker, bodies, sender: &mut self.sender };
        let message = maker.write(delivery, from.clone(), address.original);
        let reply_to = message.reply_to.clone();
        let dispatch = Command::MessageDispatch(MessageDispatch {
            consumer_id: Some(one.own.id.clone()),
            destination: Some(from),
            redelivery_counter: message.redelivery_counter,
            message: Some(message),
            ..MessageDispatch::default()
        });
        if !one.is_browser {
            let entry = Entry::new(consumer, delivery.event.meta().id_hash);
            one.held.push(delivery.lease, entry);
        }
        if let Some(reply_to) = reply_to {
            // The client sends only to temporary destinations that it was told of.
            self.tell_of(&reply_to, out);
        }
        if let Err(error) = out.try_send(&dispatch) {
            return self.bury(consumer, delivery, &error.to_string());
        }
        self.delivered += 1;
        self.has_pulled(consumer);
        Step::Done
    }

    /// Whoever asked for one message has it; other queues of a composite give none more.
    fn has_pulled(&mut self, consumer: ConsumerId) {
        let Some((one, _)) = self.subscriptions.of_consumer(consumer) else { return };
        if one.own.pull.take().is_some() {
            for other in one.consumers.iter().filter(|other| **other != consumer) {
                self.batch.credit(*other, -1);
            }
        }
    }

    /// A message came that the client does not get: whoever asked for one still waits for it.
    fn still_pulls(&mut self, consumer: ConsumerId) {
        if let Some((one, _)) = self.subscriptions.of_consumer(consumer)
            && one.own.pull.is_some()
        {
            self.batch.credit(consumer, 1);
        }
    }

    /// A message that no frame can hold goes to the dead letters.
    fn bury(&mut self, consumer: ConsumerId, delivery: &Delivery, cause: &str) -> Step {
        tracing::warn!(session = self.number, cause, "a message cannot be written as OpenWire");
        if let Some((one, _)) = self.subscriptions.of_consumer(consumer)
            && !one.is_browser
        {
            one.held.settle(delivery.lease.0);
            let (lease, cause) = (delivery.lease, cause.to_owned());
            self.batch.settle(consumer, [Settle::DeadLetter { lease, cause }]);
            self.still_pulls(consumer);
        }
        Step::Done
    }

    /// Writes a message to a browser, or its end.
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
            let consumer_id = Some(one.own.id.clone());
            let end = MessageDispatch { consumer_id, ..MessageDispatch::default() };
            out.send(&Command::MessageDispatch(end));
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
            let message = match reason {
                CloseReason::Revoked => "The credential was revoked",
                CloseReason::Expired => "The credential has expired",
                _ => return Step::Then(Work::Close),
            };
            let failure = Failure::fatal(ErrorCode::Unauthenticated, message);
            return self.fail(&failure, &Asked::silent(), out);
        };
        if let Some(one) = self.subscriptions.end(consumer) {
            tracing::info!(session = self.number, ?reason, "a consumer was closed");
            self.numbers.remove(&one.own.id);
            self.say_goodbye(&Identity::from(one.own.id.clone()));
            let control = ConsumerControl {
                consumer_id: Some(one.own.id),
                destination: Some(one.own.destination),
                close: true,
                ..ConsumerControl::default()
            };
            out.send(&Command::ConsumerControl(control));
        }
        Step::Done
    }
}
