//! The one place that counts the calls to disk and state, breaks the chosen one, and remembers
//! them all as one number.
//!
//! Shared by [`crate::disk`] and [`crate::volatile`]; driven by the tests.
//!
//! Invariants: nothing here depends on anything but the seed and the calls. After a crash every
//! call fails until [`Faults::revive`]: the process that made them is gone.

use std::io;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use parking_lot::Mutex;

/// What happens at a chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The machine stops: the call may or may not have had its effect.
    Crash,
    /// The disk fails this one call; of a write, a part may have been done.
    Eio,
    /// The disk is full for this one call; of a write, a part may have been done.
    Enospc,
}

/// Calls that only look, calls that change something, calls that make changes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads, lengths, lists, opens of what exists.
    Look,
    /// Writes and names.
    Change,
    /// Syncs of files, directories and state.
    Sync,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Faults {
    rng: SeededRng,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// How many calls of the armed kinds are left until the fault; `None`: none is armed.
    armed: Option<(u64, Fault, bool)>,
    has_fired: bool,
    is_dead: bool,
    changes: u64,
    syncs: u64,
    trace: u64,
    log: Option<Vec<String>>,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: SeededRng::new(seed), inner: Mutex::default() }
    }

    pub(crate) fn rng(&self) -> &SeededRng {
        &self.rng
    }

    /// Arms `fault` for the `nth` change or sync from now, 0 being the next; for the `nth` sync
    /// when `only_syncs`.
    pub(crate) fn arm(&self, nth: u64, fault: Fault, only_syncs: bool) {
        let mut inner = self.inner.lock();
        inner.armed = Some((nth, fault, only_syncs));
        inner.has_fired = false;
    }

    /// Takes back what was armed. Says whether it has happened.
    pub(crate) fn disarm(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.armed = None;
        std::mem::take(&mut inner.has_fired)
    }

    /// Whether what was armed has happened since it was armed.
    pub(crate) fn has_fired(&self) -> bool {
        self.inner.lock().has_fired
    }

    /// Stops the machine.
    pub(crate) fn kill(&self) {
        self.inner.lock().is_dead = true;
    }

    pub(crate) fn revive(&self) {
        let mut inner = self.inner.lock();
        inner.is_dead = false;
        inner.armed = None;
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.inner.lock().is_dead
    }

    /// How many changes and syncs there were so far.
    pub(crate) fn calls(&self) -> u64 {
        let inner = self.inner.lock();
        inner.changes + inner.syncs
    }

    /// A number that two runs share if and only if they made the same calls.
    pub(crate) fn trace(&self) -> u64 {
        self.inner.lock().trace
    }

    /// Keeps the calls in words from now on, for a failing seed.
    pub(crate) fn keep_log(&self) {
        self.inner.lock().log.get_or_insert_default();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.inner.lock().log.clone().unwrap_or_default()
    }

    /// Notes something that is no call, so that it stands in the trace.
    pub(crate) fn note(&self, what: &str) {
        let mut inner = self.inner.lock();
        inner.trace = mix(inner.trace, what.as_bytes());
        if let Some(log) = &mut inner.log {
            log.push(what.into());
        }
    }

    /// Counts a call. Returns the fault that the call itself must carry out.
    pub(crate) fn enter(&self, kind: Kind, what: &str, data: &[u8]) -> io::Result<Option<Fault>> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        if inner.is_dead {
            return Err(dead());
        }
        inner.trace = mix(mix(inner.trace, what.as_bytes()), data);
        match kind {
            Kind::Look => return Ok(None),
            Kind::Change => inner.changes += 1,
            Kind::Sync => inner.syncs += 1,
        }
        if let Some(log) = &mut inner.log {
            log.push(format!("{what} {} bytes", data.len()));
        }
        let Some((left, fault, only_syncs)) = &mut inner.armed else { return Ok(None) };
        if *only_syncs && kind != Kind::Sync {
            return Ok(None);
        }
        if *left > 0 {
            *left -= 1;
            return Ok(None);
        }
        let fault = *fault;
        inner.armed = None;
        inner.has_fired = true;
        inner.is_dead = fault == Fault::Crash;
        if let Some(log) = &mut inner.log {
            log.push(format!("^^^ {fault:?}"));
        }
        Ok(Some(fault))
    }
}

impl Fault {
    pub(crate) fn error(self) -> io::Error {
        match self {
            Self::Crash => dead(),
            Self::Eio => io::Error::from_raw_os_error(5),
            Self::Enospc => io::Error::from_raw_os_error(28),
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the machine is down")
}

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let sum = u64::from(crc32c::crc32c(bytes)) ^ (bytes.len() as u64) << 32;
    (hash.rotate_left(17) ^ sum).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What becomes of things that were not synced when the machine stops.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Loss {
    /// All of it is lost.
    Everything,
    /// All of it happened to be written.
    Nothing,
    /// Each piece for itself, in no order.
    Any,
}

impl Loss {
    pub(crate) fn draw(rng: &dyn Rng) -> Self {
        match rng.below(4) {
            0 => Self::Everything,
            1 => Self::Nothing,
            _ => Self::Any,
        }
    }

    /// Whether the next piece survives.
    pub(crate) fn survives(self, rng: &dyn Rng) -> bool {
        match self {
            Self::Everything => false,
            Self::Nothing => true,
            Self::Any => rng.below(2) == 0,
        }
    }
}
