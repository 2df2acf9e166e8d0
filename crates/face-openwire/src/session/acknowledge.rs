//! MessageAck, of all kinds (reference `activemq.md` a4).

use outflow_broker::letter::event_id;
use outflow_broker::{BoundAck, Entry, Part};
use outflow_hub::Settle;
use outflow_hub::subscription::LeaseId;
use outflow_model::subset;

use super::transaction::refused;
use super::{Asked, Outcomes, Session, Step};
use crate::error::Failure;
use crate::translate::id;
use crate::wire::{MessageAck, MessageId, TransactionId};

/// What an ack says of its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The client has them, and has room for more.
    Delivered,
    /// The client gave them up.
    Poison,
    /// They are done: a range.
    Standard,
    /// The client hands them to its user again.
    Redelivered,
    /// One is done.
    Individual,
    /// The client does not want them.
    Unmatched,
    /// Their time was over when they came.
    Expired,
}

impl Kind {
    fn of(code: i8) -> Option<Self> {
        Some(match code {
            0 => Self::Delivered,
            1 => Self::Poison,
            2 => Self::Standard,
            3 => Self::Redelivered,
            4 => Self::Individual,
            5 => Self::Unmatched,
            6 => Self::Expired,
            _ => return None,
        })
    }
}

/// How many messages a consumer may have that asks for more before it acks any.
const MAX_HELD: usize = 100_000;

impl Session {
    pub(super) fn acknowledge(&mut self, ack: &MessageAck, asked: Asked) -> Outcomes {
        let kind = Kind::of(ack.ack_type)
            .ok_or_else(|| Failure::malformed("There is no such kind of acknowledgement"))?;
        let number = ack.consumer_id.as_ref().and_then(|id| self.number(id));
        let range = number.and_then(|number| self.range(number, ack, kind));
        let meant = number.map(|number| self.meant(number, range)).unwrap_or_default();
        // A transaction may ack twice what it has: a client that suspends it does. What another has comes
        // again if that is rolled back.
        let is_missed = match meant.is_empty() && self.acked(ack, number, range) == 0 {
            true => self.is_missed(ack, number, kind, &asked),
            false => self.lacks(ack, number, range, meant.len()),
        };
        if is_missed {
            return self.miss(ack, &asked);
        }
        let part = match (number, &ack.transaction_id) {
            // Those of advisories, of browsers, and of messages that went elsewhere meanwhile.
            (None, _) => Part::Ready,
            (Some(number), _) if matches!(kind, Kind::Delivered | Kind::Redelivered) => {
                if kind == Kind::Delivered {
                    self.extend_window(number, &meant);
                }
                Part::Ready
            }
            (Some(_), Some(_)) if kind == Kind::Poison => {
                return Err(Failure::malformed("A poisoned message is no part of a transaction"));
            }
            (Some(number), Some(transaction)) => {
                self.bind(number, &meant, cause(ack, kind).as_deref(), transaction)?
            }
            (Some(number), None) => {
                let part = self.settle(number, &meant, cause(ack, kind).as_deref());
                part.unwrap_or(Part::Ready)
            }
        };
        if asked.is_wanted() {
            self.batch.answers.add(asked, part);
        }
        Ok(Step::Done)
    }

    /// Whether an ack that counts for nothing which is with the client is a fault. It was taken back
    /// meanwhile, or the client has it from a connection before.
    ///
    /// In a transaction it is: what is sent for the message must not be stored while the message
    /// comes again. Alone it is none where the message is done (reference `activemq.md` a4).
    fn is_missed(&self, ack: &MessageAck, number: Option<u32>, kind: Kind, asked: &Asked) -> bool {
        let is_ours = match (number, &ack.consumer_id) {
            // A browser's messages are not its own.
            (Some(number), _) => !self.subscriptions.get(number).is_some_and(|one| one.is_browser),
            (None, Some(id)) => !self.advised.has(id),
            (None, None) => true,
        };
        is_ours
            && match kind {
                Kind::Standard | Kind::Individual => ack.transaction_id.is_some(),
                Kind::Delivered | Kind::Poison | Kind::Redelivered | Kind::Expired => {
                    asked.is_wanted() && number.is_some()
                }
                Kind::Unmatched => false,
            }
    }

    /// How many messages of a range the transaction of an ack has acked before.
    fn acked(&self, ack: &MessageAck, number: Option<u32>, range: Option<(u64, u64)>) -> usize {
        let (Some(id), Some(number), Some(range)) = (&ack.transaction_id, number, range) else {
            return 0;
        };
        self.transactions.acked(id, number, range)
    }

    /// Whether some of the messages that an ack in a transaction counts were taken back meanwhile, where
    /// `open` are with the client; what the transaction acked before is counted again
    /// (`ActiveMQMessageConsumer.acknowledge` of `activemq-client`).
    ///
    /// Of a distributed transaction, so is what another acked: a session that goes on to the next before
    /// the one is committed does not forget what it has given to its user (`TransactionContext.start`).
    fn lacks(
        &self,
        ack: &MessageAck,
        number: Option<u32>,
        range: Option<(u64, u64)>,
        open: usize,
    ) -> bool {
        let (Some(Kind::Standard), Some(transaction)) =
            (Kind::of(ack.ack_type), &ack.transaction_id)
        else {
            return false;
        };
        // Where the broker's sequence is not given back the beginning may not be found.
        let is_exact = |id: &MessageId| id.broker_sequence_id > 0;
        if !ack.last_message_id.as_ref().is_some_and(is_exact) {
            return false;
        }
        let one = number.and_then(|number| self.subscriptions.get(number));
        let said = usize::try_from(ack.message_count).unwrap_or(0);
        let (Some(one), Some((first, last))) = (one.filter(|one| !one.is_browser), range) else {
            return false;
        };
        if open >= said {
            return false;
        }
        let counted = match transaction {
            TransactionId::Local(_) => open + self.acked(ack, number, range),
            TransactionId::Xa(_) => one.held.count(first, last),
        };
        counted < said
    }

    /// Refuses an ack. A client that does not wait for its answer learns of it by the commit.
    fn miss(&mut self, ack: &MessageAck, asked: &Asked) -> Outcomes {
        let message = "Could not correlate acknowledgment with dispatched message";
        let failure = Failure::malformed(message);
        if asked.is_wanted() {
            return Err(failure);
        }
        if let Some(id) = &ack.transaction_id {
            self.transactions.doom(id, &failure);
        }
        Ok(Step::Done)
    }

    /// The first and the last message that an ack counts for.
    fn range(&mut self, number: u32, ack: &MessageAck, kind: Kind) -> Option<(u64, u64)> {
        let one = self.subscriptions.get_mut(number)?;
        let mut lease = |id: &MessageId| {
            let sequence = u64::try_from(id.broker_sequence_id).ok().filter(|lease| *lease > 0);
            if sequence.is_some_and(|lease| one.held.may_have_had(lease)) {
                return sequence;
            }
            // Not every client gives the broker's sequence back; and one that has lost its connection
            // acks what came again on this one by the sequence that it came with first.
            let shown = id::shown(id);
            let hash = shown.map(|shown| subset::id_hash(event_id(&shown).as_bytes()));
            hash.and_then(|hash| one.held.find_any(hash)).or(sequence)
        };
        let last = ack.last_message_id.as_ref().and_then(&mut lease)?;
        let first = match &ack.first_message_id {
            _ if kind == Kind::Individual => last,
            Some(id) => lease(id).unwrap_or(last),
            // A range of several without a beginning begins at the first; of one, at the last.
            None if ack.message_count == 1 => last,
            None => 0,
        };
        Some((first, last))
    }

    /// The messages that an ack counts for, in order: those of them that are with the client.
    fn meant(&self, number: u32, range: Option<(u64, u64)>) -> Vec<(u64, Entry)> {
        let one = self.subscriptions.get(number);
        let held = one.zip(range).map(|(one, (first, last))| one.held.range(first, last));
        held.unwrap_or_default()
    }

    /// Lets the consumer have one more for each message that it has and did not ack yet.
    fn extend_window(&mut self, number: u32, meant: &[(u64, Entry)]) {
        let Some(one) = self.subscriptions.get_mut(number) else { return };
        if one.own.prefetch == 0 {
            return;
        }
        for (lease, entry) in meant {
            if one.held.len() < MAX_HELD && one.held.extend(*lease) {
                self.batch.credit(entry.consumer, 1);
            }
        }
    }

    /// Settles now; `None`: there was nothing.
    fn settle(&mut self, number: u32, meant: &[(u64, Entry)], cause: Option<&str>) -> Option<Part> {
        let one = self.subscriptions.get_mut(number)?;
        let (last, entry) = *meant.last()?;
        self.face.metrics.settled.inc_by(meant.len() as u64);
        // The usual cases: one message, or all up to one.
        let is_through = meant.len() > 1
            && cause.is_none()
            && one.consumers.len() == 1
            && one.held.is_all_through(last, meant.len());
        let mut part = None;
        if is_through {
            part = Some(self.batch.settle(entry.consumer, [Settle::AckThrough(LeaseId(last))]));
        } else {
            for (lease, entry) in meant {
                part = Some(self.batch.settle(entry.consumer, [answer(*lease, cause)]));
            }
        }
        meant.iter().for_each(|(lease, _)| one.held.settle(*lease));
        part
    }

    /// Settles at the commit. The consumer gets as many messages more, or a transaction of more
    /// messages than its window could not be completed.
    fn bind(
        &mut self,
        number: u32,
        meant: &[(u64, Entry)],
        cause: Option<&str>,
        transaction: &TransactionId,
    ) -> Result<Part, Failure> {
        self.transactions
            .check_acks(transaction, meant.len())
            .map_err(|refusal| refused(refusal, transaction))?;
        self.extend_window(number, meant);
        let acks = meant.iter().map(|(lease, Entry { consumer, .. })| {
            let answer = answer(*lease, cause);
            BoundAck { number, lease: *lease, consumer: *consumer, answer }
        });
        let bound = self.transactions.acknowledge(transaction, acks);
        bound.map_err(|refusal| refused(refusal, transaction))?;
        if let Some(one) = self.subscriptions.get_mut(number) {
            meant.iter().for_each(|(lease, _)| one.held.bind(*lease));
        }
        Ok(Part::Ready)
    }
}

/// Why messages go to the dead letters, if they do.
fn cause(ack: &MessageAck, kind: Kind) -> Option<String> {
    match kind {
        Kind::Poison => {
            let cause = ack.poison_cause.as_ref();
            let said = cause.and_then(|cause| cause.message.as_deref().or(cause.class.as_deref()));
            let said: String =
                said.unwrap_or("given up by its consumer").chars().take(500).collect();
            Some(said)
        }
        Kind::Expired => Some("expired".to_owned()),
        _ => None,
    }
}

fn answer(lease: u64, cause: Option<&str>) -> Settle {
    let lease = LeaseId(lease);
    match cause {
        Some(cause) => Settle::DeadLetter { lease, cause: cause.to_owned() },
        None => Settle::Ack(lease),
    }
}
