//! The states of entities in memory: those that are being changed, and those that were of late.
//!
//! Filled by `publish` in its turn, settled by whoever sees a commit end. Two generations instead of
//! a list of uses: what was not asked for since the younger one filled up goes with the older.
//!
//! Invariant: a state that is not in flight is the one that the engine holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::Bytes;
use tokio::sync::watch;

/// What an entry takes beside its bytes, about.
const ENTRY_BYTES: usize = 160;

/// Tells that a commit was decided.
pub(crate) type Decided = watch::Receiver<bool>;

/// An entity's stored state; `None`: there is none.
pub(crate) type State = Option<Bytes>;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Table {
    young: HashMap<Bytes, State>,
    old: HashMap<Bytes, State>,
    young_bytes: usize,
    old_bytes: usize,
    flights: HashMap<Bytes, Decided>,
}

/// What the table knows of an entity.
pub(crate) enum Known {
    /// A change of it is on its way to the disk.
    InFlight(Decided),
    /// Its state is here.
    Here,
    /// Nothing.
    Unknown,
}

impl Table {
    /// What is known of an entity; what is here stays through the next [`Table::make_room`].
    pub(crate) fn look(&mut self, key: &Bytes) -> Known {
        if let Some(decided) = self.flights.get(key) {
            return Known::InFlight(decided.clone());
        }
        if self.young.contains_key(key) {
            return Known::Here;
        }
        match self.take_old(key) {
            Some(state) => {
                self.keep(key.clone(), state);
                Known::Here
            }
            None => Known::Unknown,
        }
    }

    /// How many bytes it keeps, about.
    pub(crate) const fn bytes(&self) -> usize {
        self.young_bytes + self.old_bytes
    }

    /// Forgets all states. What is on its way stays known to be.
    pub(crate) fn clear(&mut self) {
        (self.young, self.old) = (HashMap::new(), HashMap::new());
        (self.young_bytes, self.old_bytes) = (0, 0);
    }

    fn take_old(&mut self, key: &Bytes) -> Option<State> {
        let state = self.old.remove(key)?;
        self.old_bytes = self.old_bytes.saturating_sub(weight(key, &state));
        Some(state)
    }

    fn take_young(&mut self, key: &Bytes) {
        if let Some(state) = self.young.remove(key) {
            self.young_bytes = self.young_bytes.saturating_sub(weight(key, &state));
        }
    }

    /// The state of an entity that is here.
    pub(crate) fn get(&self, key: &Bytes) -> State {
        self.young.get(key).or_else(|| self.old.get(key)).cloned().flatten()
    }

    /// Keeps what the engine holds.
    pub(crate) fn keep(&mut self, key: Bytes, state: State) {
        self.take_old(&key);
        self.young_bytes += weight(&key, &state);
        match self.young.entry(key) {
            Entry::Occupied(mut entry) => {
                let former = entry.insert(state);
                self.young_bytes = self.young_bytes.saturating_sub(weight(entry.key(), &former));
            }
            Entry::Vacant(free) => {
                free.insert(state);
            }
        }
    }

    /// Forgets what was not asked for lately when there is more than `max_bytes`. Called before
    /// gathering, never while: what was gathered is then still here.
    pub(crate) fn make_room(&mut self, max_bytes: usize) {
        if self.young_bytes > max_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.old_bytes = std::mem::take(&mut self.young_bytes);
        }
    }

    /// Notes that a change of these is on its way.
    pub(crate) fn depart<'a>(&mut self, keys: impl Iterator<Item = &'a Bytes>, decided: &Decided) {
        self.flights.extend(keys.map(|key| (key.clone(), decided.clone())));
    }

    /// Forgets a flight whose end nobody told, as its batch was given up.
    pub(crate) fn forget_flight(&mut self, key: &Bytes, decided: &Decided) {
        if self.flights.get(key).is_some_and(|flight| flight.same_channel(decided)) {
            self.flights.remove(key);
            self.take_young(key);
            self.take_old(key);
        }
    }

    /// Notes that it has been decided: the new states when it was stored, nothing known otherwise.
    pub(crate) fn arrive(&mut self, states: Vec<(Bytes, State)>, landed: bool) {
        for (key, state) in states {
            self.flights.remove(&key);
            if landed {
                self.keep(key, state);
            } else {
                self.take_old(&key);
                self.take_young(&key);
            }
        }
    }
}

fn weight(key: &Bytes, state: &State) -> usize {
    ENTRY_BYTES + key.len() + state.as_ref().map_or(0, Bytes::len)
}
