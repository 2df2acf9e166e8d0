//! Messages from producers: into the batch, or into an open transaction.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_hub::Stream;
use outflow_model::ErrorCode;

use super::batch::Part;
use super::{Asked, Outcomes, Session, Step, Transaction, Work};
use crate::error::Failure;
use crate::translate::destination;
use crate::translate::letter::Letter;
use crate::wire::{Destination, Message, WireStr};

/// The streams that a destination means.
type Streams = Arc<[Arc<Stream>]>;

/// Where sends of this connection went before.
#[derive(Debug, Default)]
pub(super) struct Targets {
    known: HashMap<Destination, Streams>,
    /// The destination of the last send, which the next one most likely has again.
    last: Option<(Destination, Streams)>,
    /// What the last work found, for the message that waits for it.
    failed: Option<(Destination, Failure)>,
}

/// How many destinations are remembered; beyond it all are forgotten.
const MAX_TARGETS: usize = 256;

/// What a message counts for in its producer's window besides its content (reference `activemq.md`
/// a5, Producer flow control: 2,028 bytes for a text of 1,000).
const MESSAGE_BYTES: usize = 1024;

impl Targets {
    pub(super) fn put(
        &mut self,
        destination: Destination,
        streams: Result<Vec<Arc<Stream>>, Failure>,
    ) {
        match streams {
            Err(failure) => self.failed = Some((destination, failure)),
            Ok(streams) => {
                if self.known.len() >= MAX_TARGETS {
                    self.known.clear();
                }
                let streams: Streams = streams.into();
                self.last = Some((destination.clone(), Arc::clone(&streams)));
                self.known.insert(destination, streams);
            }
        }
    }

    /// The streams of a destination; `None`: not known, ask.
    fn get(&mut self, destination: &Destination) -> Result<Option<Streams>, Failure> {
        if let Some((last, streams)) = &self.last
            && last == destination
        {
            return Ok(Some(Arc::clone(streams)));
        }
        if let Some((failed, failure)) = self.failed.take()
            && failed == *destination
        {
            return Err(failure);
        }
        let known = self.known.get(destination).cloned();
        if let Some(streams) = &known {
            self.last = Some((destination.clone(), Arc::clone(streams)));
        }
        Ok(known)
    }

    /// Forgets everything: a stream may be gone, and another have its name.
    pub(super) fn forget(&mut self) {
        self.known.clear();
        self.last = None;
    }
}

impl Session {
    pub(super) fn send(&mut self, message: &Message, asked: Asked) -> Outcomes {
        if self.batch.is_full() {
            return Ok(Step::Again(Work::Flush));
        }
        let Some(to) = message.destination.as_ref().filter(|to| !to.name().is_empty()) else {
            return Err(Failure::malformed("A message needs a destination"));
        };
        let Some(streams) = self.targets.get(to)? else {
            let (destination, destinations) = (to.clone(), destination::read(to)?);
            return Ok(Step::Again(Work::Resolve { destination, destinations }));
        };
        let rules = *self.rules.get_or_insert_with(|| self.face.hub.rules());
        let connection = self.opened.as_ref().map(|opened| WireStr::clone(&opened.connection));
        let origin = connection.as_deref().filter(|_| self.subscriptions.any_no_local());
        let letter = Letter::read(message, &rules, origin)?;
        let asked = self.with_window(message, asked);
        if let Some(transaction) = &message.transaction_id {
            self.check_transactions(letter.body_len() * streams.len(), streams.len())?;
            let face = Arc::clone(&self.face);
            let open = self.open_transaction(transaction)?;
            for stream in &*streams {
                open.publish(stream, |draft| letter.push(draft, &rules, face.hub.rng()))?;
            }
            self.batch.answer(asked, Part::Ready);
        } else {
            let synced = message.persistent || self.face.options.all_durable;
            self.send_now(&letter, &streams, synced, asked)?;
        }
        self.sent += 1;
        Ok(Step::Done)
    }

    /// Who is answered: a producer with a window gets it back for what it does not wait for.
    fn with_window(&self, message: &Message, asked: Asked) -> Asked {
        let Some(producer) = message.producer_id.as_ref().filter(|_| !message.response_required)
        else {
            return asked;
        };
        if self.producers.get(producer).is_none_or(|window| *window <= 0) {
            return asked;
        }
        let content = message.content.as_ref().map_or(0, bytes::Bytes::len);
        let properties = message.marshalled_properties.as_ref().map_or(0, bytes::Bytes::len);
        let size = MESSAGE_BYTES + content + properties;
        asked.with_window(producer.clone(), i32::try_from(size).unwrap_or(i32::MAX))
    }

    /// Adds the event to the batch.
    fn send_now(
        &mut self,
        letter: &Letter<'_>,
        streams: &[Arc<Stream>],
        synced: bool,
        asked: Asked,
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
        self.batch.grew(bytes);
        self.batch.answer(asked, part);
        Ok(())
    }

    /// Whether open transactions have room for so much more.
    pub(super) fn check_transactions(&self, bytes: usize, messages: usize) -> Result<(), Failure> {
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
}
