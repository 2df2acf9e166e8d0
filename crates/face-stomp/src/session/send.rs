//! SEND: into the batch, or into an open transaction.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_hub::Stream;
use outflow_model::ErrorCode;

use super::batch::Part;
use super::{Outcomes, Session, Step, Transaction, Work};
use crate::error::Failure;
use crate::translate::destination;
use crate::translate::letter::{Letter, Reading};
use crate::wire::Frame;

/// The streams that a spelling means.
type Streams = Arc<[Arc<Stream>]>;

/// Where sends of this connection went before, by spelling.
#[derive(Debug, Default)]
pub(super) struct Targets {
    known: BTreeMap<Box<str>, Streams>,
    /// The spelling of the last send, which the next one most likely has again.
    last: Option<(Box<str>, Streams)>,
    /// What the last work found, for the frame that waits for it.
    failed: Option<(String, Failure)>,
}

/// How many spellings are remembered; beyond it all are forgotten.
const MAX_TARGETS: usize = 256;

impl Targets {
    pub(super) fn put(&mut self, spelling: String, streams: Result<Vec<Arc<Stream>>, Failure>) {
        match streams {
            Err(failure) => self.failed = Some((spelling, failure)),
            Ok(streams) => {
                if self.known.len() >= MAX_TARGETS {
                    self.known.clear();
                }
                let streams: Streams = streams.into();
                self.last = Some((spelling.as_str().into(), Arc::clone(&streams)));
                self.known.insert(spelling.into(), streams);
            }
        }
    }

    /// The streams of a spelling; `None`: not known, ask.
    fn get(&mut self, spelling: &str) -> Result<Option<Streams>, Failure> {
        if let Some((last, streams)) = &self.last
            && **last == *spelling
        {
            return Ok(Some(Arc::clone(streams)));
        }
        if let Some((failed, failure)) = self.failed.take()
            && failed == spelling
        {
            return Err(failure);
        }
        let known = self.known.get(spelling).cloned();
        if let Some(streams) = &known {
            self.last = Some((spelling.into(), Arc::clone(streams)));
        }
        Ok(known)
    }

    /// Whether a spelling was resolved before.
    fn knows(&mut self, spelling: &str) -> Result<bool, Failure> {
        match self.failed.take_if(|(failed, _)| failed == spelling) {
            Some((_, failure)) => Err(failure),
            None => Ok(self.known.contains_key(spelling)),
        }
    }

    /// Forgets everything: a stream may be gone, and another have its name.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.last = None;
    }
}

impl Session {
    pub(super) fn send(&mut self, frame: &Frame<'_>) -> Outcomes {
        if self.batch.is_full() {
            return Ok(Step::Again(Work::Flush));
        }
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let origin = self.subscriptions.any_no_local().then_some(self.name.as_str());
        let reading = Reading { rules: &rules, text_rule: self.face.options.text_rule, origin };
        let answered_here = Cell::new(false);
        let letter = Letter::read(frame, &reading, |reply_to| {
            let own = destination::globally(&reply_to, &self.name);
            answered_here.set(own.is_some());
            own.map_or(reply_to, Cow::Owned)
        })?;
        let spelling = letter.destination.trim();
        if spelling.is_empty() {
            return Err(Failure::malformed("SEND received without a Destination specified!"));
        }
        let Some(streams) = self.targets.get(spelling)? else {
            return self.resolve(spelling);
        };
        if answered_here.get()
            && let Some(reply_to) = frame.header("reply-to")
            && !self.targets.knows(reply_to.trim())?
        {
            // The answer may be sent before the client subscribes to where it goes.
            return self.resolve(reply_to.trim());
        }
        let synced = letter.persistent || self.face.options.all_durable;
        if let Some(transaction) = &letter.transaction {
            self.send_bound(&letter, transaction, &streams)?;
        } else {
            self.send_now(&letter, &streams, synced)?;
        }
        self.sent += 1;
        Ok(Step::Done)
    }

    /// Asks for the streams of a spelling, for the same frame to go on with.
    fn resolve(&mut self, spelling: &str) -> Outcomes {
        let destinations = destination::parse(spelling, &self.name)?;
        self.remember(&destinations)?;
        let spelling = spelling.to_owned();
        Ok(Step::Again(Work::Resolve { spelling, destinations }))
    }

    /// Adds the event to the batch.
    fn send_now(
        &mut self,
        letter: &Letter<'_>,
        streams: &[Arc<Stream>],
        synced: bool,
    ) -> Result<(), Failure> {
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let (mut last, mut bytes) = (None, 0);
        for stream in streams {
            let index = self.batch.parcel(stream, synced);
            let parcel = index.and_then(|index| self.batch.parcels.get_mut(index));
            let Some(parcel) = parcel else { continue };
            let before = parcel.draft.bytes();
            // The first one decides: the event is the same for all.
            letter.push(&mut parcel.draft, &rules, self.face.hub.rng())?;
            bytes += parcel.draft.bytes() - before;
            last = index;
        }
        let part = match (last, streams.len()) {
            (Some(index), 1) => Part::Parcel(index),
            (Some(_), _) => Part::Parcels,
            (None, _) => Part::Ready,
        };
        self.batch.sent(self.version, letter.receipt.as_deref(), part, bytes);
        Ok(())
    }

    /// Adds the event to an open transaction.
    fn send_bound(
        &mut self,
        letter: &Letter<'_>,
        name: &str,
        streams: &[Arc<Stream>],
    ) -> Result<(), Failure> {
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        self.check_transactions(letter.body_len() * streams.len(), streams.len())?;
        let rng = self.face.hub.rng();
        let transaction = self.transactions.iter_mut().find(|one| one.name == *name);
        let transaction = transaction.ok_or_else(|| super::transaction::unknown(name))?;
        transaction.check()?;
        for stream in streams {
            transaction.publish(stream, |draft| letter.push(draft, &rules, rng))?;
        }
        self.batch.receipt(self.version, letter.receipt.as_deref(), Part::Ready);
        Ok(())
    }

    /// Whether open transactions have room for so much more.
    fn check_transactions(&self, bytes: usize, messages: usize) -> Result<(), Failure> {
        let options = &self.face.options;
        let held: usize = self.transactions.iter().map(|one| one.bytes).sum();
        let count: usize = self.transactions.iter().map(Transaction::messages).sum();
        if held + bytes > options.max_transaction_bytes {
            let max = options.max_transaction_bytes;
            let message = format!("Open transactions may hold at most {max} bytes");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        if count + messages > options.max_transaction_messages {
            let max = options.max_transaction_messages;
            let message = format!("Open transactions may hold at most {max} messages");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        Ok(())
    }

    /// Whether open transactions have room for so many acks more.
    pub(super) fn check_bound_acks(&self, count: usize) -> Result<(), Failure> {
        self.check_transactions(0, count)
    }
}
