//! The caches of a connection, one per direction: a value that was sent before is named by its index.
//! Reference `activemq.md`, (c2).
//!
//! Called by `field` and `codec`.
//!
//! The sender decides: it gives indexes in turn, and forgets its oldest values when fewer than a
//! hundred places are left, between frames. So a receiver only stores what it is told. What is not
//! there is cached too.

use std::collections::HashMap;

use super::identity::{Cacheable, Identity};
use super::structure::Structure;

/// How many places the sender keeps free for the values of one frame.
const FREE: usize = 100;

/// What the peer has been sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    size: usize,
    indexes: HashMap<Option<Identity>, i16>,
    /// The value of each place, while the peer has it. Grows to `size` as places are first taken.
    places: Vec<Option<Option<Identity>>>,
    /// The place that the next value is given.
    next: usize,
    /// The place whose value is forgotten next.
    oldest: usize,
    /// By [`slot`], the place of the value last sent: the next is most likely the same.
    last: [Option<i16>; SLOTS],
}

/// How many kinds of values have a place of their own in [`Sent::last`].
const SLOTS: usize = 16;

/// Where the last value of a type stands: codes that end alike are of no two types that are cached.
fn slot(code: Option<u8>) -> usize {
    code.map_or(1, |code| usize::from(code) % SLOTS)
}

/// What a cached value is to be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The peer has it there.
    Known(i16),
    /// The peer does not have it.
    New,
}

/// Why a peer's value is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotKept {
    /// The cache is smaller.
    NoPlace,
    /// The values have too much text.
    TooLarge,
}

/// The index that says that the value is not kept.
pub(super) const NOT_KEPT: i16 = -1;

impl Sent {
    /// A cache of `size` values; a peer's number, so nothing is allocated for it.
    pub(super) fn new(size: u16) -> Self {
        Self { size: size.into(), ..Self::default() }
    }

    /// Makes room for the values of one frame.
    pub(super) fn begin_frame(&mut self) {
        while self.indexes.len() > self.size.saturating_sub(FREE) {
            if let Some(value) = self.places.get_mut(self.oldest).and_then(Option::take) {
                self.indexes.remove(&value);
            }
            self.oldest = self.after(self.oldest);
        }
    }

    const fn after(&self, place: usize) -> usize {
        if place + 1 >= self.size { 0 } else { place + 1 }
    }

    /// The place of `value` if it is the last of its type that was sent: told without a search.
    pub(super) fn last<T: Cacheable>(&self, value: Option<&T>) -> Option<i16> {
        let index = (*self.last.get(slot(value.map(T::code)))?)?;
        let kept = self.places.get(usize::try_from(index).ok()?)?.as_ref()?;
        let is_it = match (value, kept) {
            (None, None) => true,
            (Some(value), Some(kept)) => value.is(kept),
            _ => false,
        };
        is_it.then_some(index)
    }

    pub(super) fn place(&mut self, value: &Option<Identity>) -> Place {
        let Some(index) = self.indexes.get(value) else { return Place::New };
        if let Some(last) = self.last.get_mut(slot(value.as_ref().map(Structure::code))) {
            *last = Some(*index);
        }
        Place::Known(*index)
    }

    /// Gives `value` a place; [`NOT_KEPT`] when there is none.
    pub(super) fn add(&mut self, value: Option<Identity>) -> i16 {
        let place = self.next;
        let Ok(index) = i16::try_from(place) else { return NOT_KEPT };
        self.next = self.after(place);
        if self.indexes.len() >= self.size {
            return NOT_KEPT;
        }
        if place >= self.places.len() {
            self.places.resize_with(place + 1, || None);
        }
        // What the peer has there is gone with it.
        if let Some(slot) = self.places.get_mut(place)
            && let Some(before) = slot.replace(value.clone())
        {
            self.indexes.remove(&before);
        }
        self.indexes.insert(value, index);
        index
    }

    /// Forgets what the peer has: values were given places in a frame that was not sent.
    pub(super) fn forget(&mut self) {
        self.indexes.clear();
        self.places.clear();
        self.oldest = self.next;
    }
}

/// The most bytes of text that a peer's values may have together: what a peer may make a connection
/// keep for it. A thousand ids and destinations have a hundred thousand.
pub(super) const RECEIVED_BYTES_MAX: usize = 1 << 22;

/// A place's value, if it was ever given one; what is not there is a value too.
type Kept = Option<Option<Identity>>;

/// What the peer has sent.
#[derive(Debug, Default)]
pub(super) struct Received {
    size: usize,
    /// How many bytes of text the values have.
    bytes: usize,
    /// Grows to `size` as places are first taken.
    places: Vec<Kept>,
    /// How it was when a trial began: its bytes, and each place's value before it was given another.
    trial: Option<(usize, Vec<(usize, Kept)>)>,
}

impl Received {
    /// A cache of `size` values; a peer's number, so nothing is allocated for it.
    pub(super) fn new(size: u16) -> Self {
        Self { size: size.into(), ..Self::default() }
    }

    /// Keeps `value` at `index`.
    pub(super) fn keep(&mut self, index: i16, value: Option<Identity>) -> Result<(), NotKept> {
        if index == NOT_KEPT {
            return Ok(());
        }
        let place = usize::try_from(index).ok().filter(|place| *place < self.size);
        let place = place.ok_or(NotKept::NoPlace)?;
        let weight = |value: &Option<Identity>| value.as_ref().map_or(0, Identity::weight);
        let before = self.places.get(place).and_then(Option::as_ref).map_or(0, weight);
        let bytes = self.bytes.saturating_sub(before).saturating_add(weight(&value));
        if bytes > RECEIVED_BYTES_MAX {
            return Err(NotKept::TooLarge);
        }
        if place >= self.places.len() {
            self.places.resize_with(place + 1, || None);
        }
        if let Some(slot) = self.places.get_mut(place) {
            let before = slot.replace(value.map(Identity::detached));
            if let Some((_, changed)) = &mut self.trial {
                changed.push((place, before));
            }
            self.bytes = bytes;
        }
        Ok(())
    }

    /// What is kept from now on may have to be taken back: nobody knows whether the frame is whole.
    pub(super) fn begin_trial(&mut self) {
        self.trial = Some((self.bytes, Vec::new()));
    }

    /// Ends the trial. Unless the frame was whole everything is as it was before.
    pub(super) fn end_trial(&mut self, is_whole: bool) {
        let Some((bytes, changed)) = self.trial.take().filter(|_| !is_whole) else { return };
        self.bytes = bytes;
        for (place, before) in changed.into_iter().rev() {
            if let Some(slot) = self.places.get_mut(place) {
                *slot = before;
            }
        }
    }

    /// What is kept at `index`.
    pub(super) fn get(&self, index: i16) -> Option<&Option<Identity>> {
        self.places.get(usize::try_from(index).ok()?)?.as_ref()
    }
}
