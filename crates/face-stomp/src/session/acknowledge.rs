//! ACK and NACK, in the forms of all versions (reference `activemq.md` b1, rule 9).

use outflow_broker::letter::event_id;
use outflow_broker::{BoundAck, Entry, Part};
use outflow_hub::Settle;
use outflow_hub::subscription::LeaseId;
use outflow_model::{ErrorCode, subset};

use super::transaction::refused;
use super::{AckId, Outcomes, Session, Step};
use crate::error::Failure;
use crate::translate::wish::AckMode;
use crate::wire::{Frame, Version};

/// What the dead letters say of a message that its consumer refused.
const REFUSED: &str = "refused by its consumer (NACK)";

impl Session {
    /// ACK, or NACK, which sends the message to the dead letters (reference a4).
    pub(super) fn acknowledge(&mut self, frame: &Frame<'_>, refuses: bool) -> Outcomes {
        if refuses && self.version == Version::V1_0 {
            return Err(Failure::malformed("NACK is not part of STOMP 1.0"));
        }
        let id = self.which(frame)?;
        let receipt = frame.header("receipt");
        let part = match frame.header("transaction") {
            Some(name) => self.bind(id, refuses, &name)?,
            None => self.settle(id, refuses),
        };
        self.batch.answers.receipt(self.version, receipt.as_deref(), part);
        Ok(Step::Done)
    }

    /// The message that a frame names: by `id`, which is MESSAGE's `ack`, or by `message-id`, with
    /// its `subscription` or without.
    fn which(&mut self, frame: &Frame<'_>) -> Result<AckId, Failure> {
        let id = frame.header("id");
        let by_ack = id.as_deref().and_then(AckId::parse).filter(|id| self.is_open_at(*id));
        // Clients that give the one where the other is meant are understood, in any version.
        let message = frame.header("message-id").or(id);
        let named = message.as_deref().filter(|_| by_ack.is_none());
        let by_ack =
            by_ack.or_else(|| named.and_then(AckId::parse).filter(|id| self.is_open_at(*id)));
        let found = by_ack
            .or_else(|| self.find(message.as_deref()?, frame.header("subscription").as_deref()));
        found.ok_or_else(|| {
            let id: String = message.as_deref().unwrap_or("null").chars().take(160).collect();
            Failure::new(
                ErrorCode::NotFound,
                format!("Unexpected ACK received for message-id [{id}]"),
            )
        })
    }

    fn is_open_at(&self, id: AckId) -> bool {
        let subscribed = self.subscriptions.get(id.subscription);
        subscribed.is_some_and(|one| one.held.open(id.lease).is_some())
    }

    /// The first message with this id that is with the client.
    fn find(&mut self, message: &str, subscription: Option<&str>) -> Option<AckId> {
        let hash = subset::id_hash(event_id(message).as_bytes());
        let mut named = self
            .subscriptions
            .iter_mut()
            .filter(|(_, one)| subscription.is_none_or(|id| one.own.is_called(id)));
        named.find_map(|(subscription, one)| {
            Some(AckId { subscription, lease: one.held.find(hash)? })
        })
    }

    /// The messages that an ack of `id` counts for, in order.
    fn meant(&self, id: AckId) -> Vec<(u64, Entry)> {
        let Some(one) = self.subscriptions.get(id.subscription) else { return Vec::new() };
        match one.own.mode {
            AckMode::Client => one.held.range(0, id.lease),
            AckMode::Auto | AckMode::Individual => one.held.range(id.lease, id.lease),
        }
    }

    /// Settles now.
    fn settle(&mut self, id: AckId, refuses: bool) -> Part {
        let Some(one) = self.subscriptions.get_mut(id.subscription) else { return Part::Ready };
        if one.own.mode != AckMode::Client {
            // The usual case: one message, nothing gathered.
            let Some(entry) = one.held.open(id.lease) else { return Part::Ready };
            one.held.settle(id.lease);
            self.face.metrics.settled.inc();
            return self.batch.settle(entry.consumer, [answer(id.lease, refuses)]);
        }
        let meant = self.meant(id);
        let Some(one) = self.subscriptions.get_mut(id.subscription) else { return Part::Ready };
        self.face.metrics.settled.inc_by(meant.len() as u64);
        let through =
            !refuses && one.consumers.len() == 1 && one.held.is_all_through(id.lease, meant.len());
        let mut part = Part::Ready;
        if let (true, Some((lease, last))) = (through, meant.last()) {
            part = self.batch.settle(last.consumer, [Settle::AckThrough(LeaseId(*lease))]);
        } else {
            for (lease, entry) in &meant {
                part = part.and(self.batch.settle(entry.consumer, [answer(*lease, refuses)]));
            }
        }
        meant.iter().for_each(|(lease, _)| one.held.settle(*lease));
        part
    }

    /// Settles at COMMIT. The consumer gets as many messages more, or a transaction of more
    /// messages than are sent at once could not be completed.
    fn bind(&mut self, id: AckId, refuses: bool, name: &str) -> Result<Part, Failure> {
        let meant = self.meant(id);
        let number = id.subscription;
        let acks = meant.iter().map(|(lease, Entry { consumer, .. })| {
            let answer = answer(*lease, refuses);
            BoundAck { number, lease: *lease, consumer: *consumer, answer }
        });
        let bound = self.transactions.acknowledge(name, acks);
        bound.map_err(|refusal| refused(refusal, name))?;
        for (lease, entry) in meant {
            if let Some(one) = self.subscriptions.get_mut(number) {
                one.held.bind(lease);
            }
            self.batch.credit(entry.consumer, 1);
        }
        Ok(Part::Ready)
    }
}

fn answer(lease: u64, refuses: bool) -> Settle {
    let lease = LeaseId(lease);
    if refuses {
        Settle::DeadLetter { lease, cause: REFUSED.to_owned() }
    } else {
        Settle::Ack(lease)
    }
}
