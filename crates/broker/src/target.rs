//! Where sends go: the streams that a destination means, remembered for the next send.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use outflow_hub::Stream;

use crate::failure::Failure;

/// The streams that a destination means.
pub type Streams = Arc<[Arc<Stream>]>;

/// Where sends of a connection went before, by the destination as its client has it.
#[derive(Debug)]
pub struct Targets<K> {
    known: HashMap<K, Streams>,
    /// The destination of the last send, which the next one most likely has again.
    last: Option<(K, Streams)>,
    /// What the last question found, for the send that waits for it.
    failed: Option<(K, Failure)>,
}

/// Whether none was deleted since: a queue that an operator has deleted is made again by the next
/// send, as by the first.
fn are_there(streams: &Streams) -> bool {
    !streams.iter().any(|stream| stream.is_gone())
}

/// How many destinations are remembered; beyond it all are forgotten.
const MAX_TARGETS: usize = 256;

impl<K> Default for Targets<K> {
    fn default() -> Self {
        Self { known: HashMap::new(), last: None, failed: None }
    }
}

impl<K: Hash + Eq + Clone> Targets<K> {
    /// Remembers what was found.
    pub fn put(&mut self, spelling: K, streams: Result<Vec<Arc<Stream>>, Failure>) {
        match streams {
            Err(failure) => self.failed = Some((spelling, failure)),
            Ok(streams) => {
                if self.known.len() >= MAX_TARGETS {
                    self.known.clear();
                }
                let streams: Streams = streams.into();
                self.last = Some((spelling.clone(), Arc::clone(&streams)));
                self.known.insert(spelling, streams);
            }
        }
    }

    /// The streams of a destination; `None`: not known, ask.
    ///
    /// # Errors
    /// What the question found that was asked for this destination.
    pub fn get<Q>(&mut self, spelling: &Q) -> Result<Option<Streams>, Failure>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if let Some((last, streams)) = &self.last
            && last.borrow() == spelling
            && are_there(streams)
        {
            return Ok(Some(Arc::clone(streams)));
        }
        if let Some((failed, failure)) = self.failed.take()
            && failed.borrow() == spelling
        {
            return Err(failure);
        }
        let known = self.known.get(spelling).filter(|streams| are_there(streams)).cloned();
        if let Some(streams) = &known {
            self.last = Some((spelling.to_owned(), Arc::clone(streams)));
        }
        Ok(known)
    }

    /// Whether a destination was looked up before.
    ///
    /// # Errors
    /// As [`Targets::get`].
    pub fn knows<Q>(&mut self, spelling: &Q) -> Result<bool, Failure>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.failed.take_if(|(failed, _)| (*failed).borrow() == spelling) {
            Some((_, failure)) => Err(failure),
            None => Ok(self.known.get(spelling).is_some_and(are_there)),
        }
    }

    /// Forgets everything: a stream may be gone, and another have its name.
    pub fn forget(&mut self) {
        self.known.clear();
        self.last = None;
    }
}
