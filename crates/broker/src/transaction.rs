//! Open transactions. What belongs to one is kept here until it is committed: nothing of it is known
//! to the hub before.
//!
//! Invariants: a transaction of which one command was refused is never committed, for a client does
//! not wait for the answers of what it sends in one, so the commit itself has to fail; all open ones
//! of a connection together hold no more than [`Room`] says.

use std::sync::Arc;

use outflow_hub::schedule::Recurrence;
use outflow_hub::subscription::{ConsumerId, Consumers, Transaction as Ready};
use outflow_hub::{Hub, Settle, Stream};
use outflow_model::draft::Rules;
use outflow_model::{Draft, ErrorCode, Grant, Rng};

use crate::failure::Failure;
use crate::letter::Letter;
use crate::pool::Share;

/// An ack that waits for the commit.
#[derive(Debug)]
pub struct BoundAck {
    /// The number of the client's subscription.
    pub number: u32,
    /// The message.
    pub lease: u64,
    /// Whose it is in the hub.
    pub consumer: ConsumerId,
    /// The answer.
    pub answer: Settle,
}

/// What open transactions of a connection may hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// How many may be open.
    pub transactions: usize,
    /// How many bytes of events they may send.
    pub bytes: usize,
    /// How many messages they may send and ack.
    pub messages: usize,
}

/// Events that a transaction sends to one stream.
#[derive(Debug)]
struct Sending {
    stream: Arc<Stream>,
    draft: Draft,
    /// When its one event is published, if that is not at the commit.
    recurrence: Option<Recurrence>,
}

/// An open transaction.
#[derive(Debug, Default)]
pub struct Transaction {
    /// What it sends, in order.
    sends: Vec<Sending>,
    /// What it acks, in order.
    pub acks: Vec<BoundAck>,
    /// How many bytes of events `sends` has.
    bytes: usize,
    /// How many events `sends` has.
    events: usize,
    /// What it acked of consumers that have gone since, or why that cannot be done.
    secured: Option<Result<Ready, Failure>>,
    /// How many these are.
    secured_acks: usize,
    /// Why it cannot be committed: the first of its commands that was refused.
    pub doomed: Option<Failure>,
}

impl Transaction {
    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    const fn messages(&self) -> usize {
        self.acks.len() + self.secured_acks + self.events
    }

    /// Adds an event; consecutive ones of a stream become one draft.
    fn publish<B: AsRef<[u8]>>(
        &mut self,
        stream: &Arc<Stream>,
        letter: &Letter<'_, B>,
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), Failure> {
        let is_same = |last: &&mut Sending| {
            last.stream.id == stream.id && last.recurrence.is_none() && letter.recurrence.is_none()
        };
        match self.sends.last_mut().filter(is_same) {
            Some(Sending { draft, .. }) => {
                let before = draft.bytes();
                letter.push(draft, rules, rng)?;
                self.bytes += draft.bytes() - before;
            }
            None => {
                let mut draft = Draft::default();
                letter.push(&mut draft, rules, rng)?;
                self.bytes += draft.bytes();
                let (stream, recurrence) = (Arc::clone(stream), letter.recurrence.clone());
                self.sends.push(Sending { stream, draft, recurrence });
            }
        }
        self.events += 1;
        Ok(())
    }

    /// Sees to it that what it acked of a consumer that goes does not go back to its queue: programs
    /// close their consumers before a transaction manager ends the transaction.
    pub(crate) fn secure(
        &mut self,
        hub: &Hub,
        grant: &Grant,
        consumers: &mut Consumers,
        leaving: ConsumerId,
    ) {
        let is_left = |ack: &BoundAck| ack.consumer == leaving;
        let answers: Vec<Settle> =
            self.acks.iter().filter(|ack| is_left(ack)).map(|ack| ack.answer.clone()).collect();
        if answers.is_empty() {
            return;
        }
        let so_far = self.secured.take().unwrap_or_else(|| Ok(hub.transaction(grant)));
        self.secured = Some(so_far.and_then(|mut ready| {
            ready.settle(consumers, leaving, &answers)?;
            Ok(ready)
        }));
        self.acks.retain(|ack| !is_left(ack));
        self.secured_acks += answers.len();
    }

    /// Puts it together: what it sends, then what it acks.
    pub(crate) fn gather(
        &mut self,
        hub: &Hub,
        grant: &Grant,
        consumers: &mut Consumers,
    ) -> Result<Ready, Failure> {
        let mut ready = self.secured.take().unwrap_or_else(|| Ok(hub.transaction(grant)))?;
        for Sending { stream, draft, recurrence } in self.sends.drain(..) {
            match recurrence {
                None => ready.publish(&stream, draft)?,
                Some(recurrence) => ready.schedule(&stream, &draft, recurrence)?,
            }
        }
        let mut acks = self.acks.as_slice();
        while let Some(first) = acks.first() {
            let same = acks.iter().take_while(|ack| ack.consumer == first.consumer).count();
            let (now, later) = acks.split_at(same);
            let answers: Vec<Settle> = now.iter().map(|ack| ack.answer.clone()).collect();
            ready.settle(consumers, first.consumer, &answers)?;
            acks = later;
        }
        Ok(ready)
    }
}

/// Why something is not added to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is none of this name.
    Unknown,
    /// It can only be rolled back, because of this.
    Doomed(Failure),
    /// It cannot take this.
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A connection's open transactions, by the client's names for them.
#[derive(Debug)]
pub struct Transactions<N> {
    open: Vec<(N, Transaction)>,
    room: Room,
    /// What all of them hold, so that no message has to count it.
    bytes: usize,
    messages: usize,
    /// What they hold of what all connections may.
    share: Option<Share>,
}

/// About what a message of a transaction holds besides its bytes: an ack, or where an event is.
const MESSAGE_BYTES: usize = 128;

impl<N: PartialEq> Transactions<N> {
    /// None.
    #[must_use]
    pub const fn new(room: Room) -> Self {
        Self { open: Vec::new(), room, bytes: 0, messages: 0, share: None }
    }

    /// Counts what they hold in `share` from now on.
    pub fn count_in(&mut self, share: Share) {
        self.share = Some(share);
        let _held = self.hold(0, 0);
    }

    /// Holds what they hold, and so much more; false: there is no room for that.
    fn hold(&mut self, bytes: usize, messages: usize) -> bool {
        let all = self.bytes + bytes + (self.messages + messages) * MESSAGE_BYTES;
        self.share.as_mut().is_none_or(|share| share.hold(all))
    }

    /// Begins one; false: it is open already.
    ///
    /// # Errors
    /// [`Failure`] when there are too many.
    pub fn begin(&mut self, name: N) -> Result<bool, Failure> {
        if self.open.iter().any(|(known, _)| *known == name) {
            return Ok(false);
        }
        let max = self.room.transactions;
        if self.open.len() >= max {
            let message = format!("There may be at most {max} open transactions");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        self.open.push((name, Transaction::default()));
        Ok(true)
    }

    fn position<Q: ?Sized>(&self, name: &Q) -> Option<usize>
    where
        N: PartialEq<Q>,
    {
        self.open.iter().position(|(known, _)| known == name)
    }

    /// The one of this name, if more may be added to it.
    fn addable<Q: ?Sized>(&mut self, name: &Q) -> Result<&mut Transaction, Refusal>
    where
        N: PartialEq<Q>,
    {
        let at = self.position(name).ok_or(Refusal::Unknown)?;
        let (_, transaction) = self.open.get_mut(at).ok_or(Refusal::Unknown)?;
        match &transaction.doomed {
            Some(cause) => Err(Refusal::Doomed(cause.clone())),
            None => Ok(transaction),
        }
    }

    /// Whether there is room for so much more.
    fn check(&mut self, bytes: usize, messages: usize) -> Result<(), Failure> {
        let Room { bytes: max_bytes, messages: max_messages, .. } = self.room;
        let message = if self.bytes + bytes > max_bytes {
            format!("Open transactions may hold at most {max_bytes} bytes")
        } else if self.messages + messages > max_messages {
            format!("Open transactions may hold at most {max_messages} messages")
        } else if self.hold(bytes, messages) {
            return Ok(());
        } else {
            let message =
                "Open transactions of all connections hold as much as they may; try again";
            return Err(Failure::new(ErrorCode::Unavailable, message));
        };
        Err(Failure::new(ErrorCode::TooLarge, message))
    }

    /// Adds an event for each of `streams`.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn publish<B: AsRef<[u8]>, Q: ?Sized>(
        &mut self,
        name: &Q,
        letter: &Letter<'_, B>,
        streams: &[Arc<Stream>],
        rules: &Rules,
        rng: &dyn Rng,
    ) -> Result<(), Refusal>
    where
        N: PartialEq<Q>,
    {
        self.check(letter.body_len() * streams.len(), streams.len())?;
        let transaction = self.addable(name)?;
        let before = (transaction.bytes, transaction.events);
        let published =
            streams.iter().try_for_each(|stream| transaction.publish(stream, letter, rules, rng));
        let added = (transaction.bytes - before.0, transaction.events - before.1);
        self.bytes += added.0;
        self.messages += added.1;
        // What lines have more than bodies is little, and was not asked for.
        let _held = self.hold(0, 0);
        Ok(published?)
    }

    /// Whether so many acks may be added.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check_acks<Q: ?Sized>(&mut self, name: &Q, count: usize) -> Result<(), Refusal>
    where
        N: PartialEq<Q>,
    {
        self.addable(name)?;
        Ok(self.check(0, count)?)
    }

    /// Adds acks.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn acknowledge<Q: ?Sized>(
        &mut self,
        name: &Q,
        acks: impl ExactSizeIterator<Item = BoundAck>,
    ) -> Result<(), Refusal>
    where
        N: PartialEq<Q>,
    {
        self.check_acks(name, acks.len())?;
        let count = acks.len();
        self.addable(name)?.acks.extend(acks);
        self.messages += count;
        Ok(())
    }

    /// How many messages of a client's subscription it has acked, from `first` to `last`.
    #[must_use]
    pub fn acked<Q: ?Sized>(&self, name: &Q, number: u32, (first, last): (u64, u64)) -> usize
    where
        N: PartialEq<Q>,
    {
        let found = self.position(name).and_then(|at| self.open.get(at));
        let acks = found.map_or(&[][..], |(_, transaction)| &transaction.acks);
        let is_meant =
            |ack: &&BoundAck| ack.number == number && (first..=last).contains(&ack.lease);
        acks.iter().filter(is_meant).count()
    }

    /// All that are open.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Transaction> {
        self.open.iter_mut().map(|(_, transaction)| transaction)
    }

    /// A command that belongs to it was refused: it can only be rolled back any more.
    pub fn doom<Q: ?Sized>(&mut self, name: &Q, cause: &Failure)
    where
        N: PartialEq<Q>,
    {
        let Ok(transaction) = self.addable(name) else { return };
        transaction.doomed = Some(cause.clone());
        // What will not be sent needs no room.
        transaction.sends = Vec::new();
        let bytes = std::mem::take(&mut transaction.bytes);
        let events = std::mem::take(&mut transaction.events);
        self.bytes -= bytes;
        self.messages -= events;
        let _less = self.hold(0, 0);
    }

    /// Takes one out, to be committed or rolled back.
    pub fn take<Q: ?Sized>(&mut self, name: &Q) -> Option<Transaction>
    where
        N: PartialEq<Q>,
    {
        let (_, transaction) = self.open.remove(self.position(name)?);
        self.bytes -= transaction.bytes;
        self.messages -= transaction.messages();
        let _less = self.hold(0, 0);
        Some(transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(lease: u64) -> BoundAck {
        let answer = Settle::Ack(outflow_hub::subscription::LeaseId(lease));
        BoundAck { number: 0, lease, consumer: ConsumerId(1), answer }
    }

    #[test]
    fn transactions_of_a_connection_share_their_room() {
        let room = Room { transactions: 2, bytes: 100, messages: 3 };
        let mut all: Transactions<String> = Transactions::new(room);
        assert!(all.begin("a".to_owned()).unwrap() && all.begin("b".to_owned()).unwrap());
        assert!(!all.begin("a".to_owned()).unwrap());
        all.begin("c".to_owned()).unwrap_err();
        all.acknowledge("a", [ack(1), ack(2)].into_iter()).unwrap();
        let full = all.acknowledge("b", [ack(3), ack(4)].into_iter()).unwrap_err();
        assert!(matches!(full, Refusal::Failed(_)), "{full:?}");
        assert_eq!(all.take("a").unwrap().acks.len(), 2);
        all.acknowledge("b", [ack(3), ack(4)].into_iter()).unwrap();
        assert_eq!(all.check_acks("a", 0), Err(Refusal::Unknown));
    }

    #[test]
    fn transactions_of_all_connections_share_what_there_is() {
        let room = Room { transactions: 1, bytes: 1 << 30, messages: 100_000 };
        let pool = crate::Pool::new(4 << 20, prometheus_client::metrics::gauge::Gauge::default());
        let connection = || {
            let mut all: Transactions<String> = Transactions::new(room);
            all.count_in(pool.share(None));
            all.begin("a".to_owned()).unwrap();
            all
        };
        let (mut one, mut two) = (connection(), connection());
        one.acknowledge("a", (0..20_000_u32).map(|n| ack(n.into()))).unwrap();
        let full = two.acknowledge("a", (0..20_000_u32).map(|n| ack(n.into()))).unwrap_err();
        let Refusal::Failed(failure) = full else { panic!("{full:?}") };
        assert_eq!(failure.code, ErrorCode::Unavailable);
        drop(one.take("a"));
        two.acknowledge("a", (0..20_000_u32).map(|n| ack(n.into()))).unwrap();
    }

    #[test]
    fn one_of_which_something_was_refused_takes_no_more_and_keeps_its_first_cause() {
        let room = Room { transactions: 1, bytes: 1, messages: 1 };
        let mut all: Transactions<String> = Transactions::new(room);
        all.begin("a".to_owned()).unwrap();
        all.doom("a", &Failure::malformed("first"));
        all.doom("a", &Failure::malformed("second"));
        let cause = Failure::malformed("first");
        assert_eq!(all.check_acks("a", 1), Err(Refusal::Doomed(cause.clone())));
        assert_eq!(all.take("a").unwrap().doomed, Some(cause));
    }
}
