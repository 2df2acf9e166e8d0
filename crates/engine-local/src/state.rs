//! The keyed state: places, marks, the catalog, and what the engine itself keeps (keys that start
//! with byte 0). Derived from the journal: it is written without a sync of its own, in one atomic
//! step with the journal position it holds, and replayed from there after a crash.
//!
//! Called by the committer, the sealer and recovery; calls fjall. [`State`] is a trait so that the
//! simulator can supply one whose unsynced writes are lost in a crash.
//!
//! A stored value is its revision (u64, little-endian) and then the bytes that were put.

use std::fmt::Debug;
use std::io;
use std::path::Path;

use bytes::Bytes;
use outflow_store::StateEntry;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatePut {
    /// The key, not empty.
    pub key: Bytes,
    /// The new value and its revision; `None` deletes.
    pub value: Option<(Bytes, u64)>,
}

/// The derived state.
///
/// What an implementation must hold: an `apply` is whole or absent after a crash, together with
/// its position; an `apply` survives only if all earlier ones do; after `persist` returned, every
/// earlier `apply` survives. Calls may come from several threads.
pub trait State: Send + Sync + Debug {
    /// The journal sequence up to which changes are in; 0 at first.
    fn applied(&self) -> u64;

    /// Makes the changes, and moves the position when `applied` is given. Not durable by itself.
    ///
    /// # Errors
    /// The store's; nothing is known afterwards and the engine must stop.
    fn apply(&self, puts: &[StatePut], applied: Option<u64>) -> io::Result<()>;

    /// Makes every earlier `apply` durable.
    ///
    /// # Errors
    /// The store's; the engine must stop.
    fn persist(&self) -> io::Result<()>;

    /// The entry of a key.
    ///
    /// # Errors
    /// The store's.
    fn get(&self, key: &[u8]) -> io::Result<Option<StateEntry>>;

    /// Up to `limit` entries whose key starts with `prefix`, in order, after key `after`.
    ///
    /// # Errors
    /// The store's.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> io::Result<Vec<StateEntry>>;
}

/// [`State`] in fjall.
pub struct FjallState {
    database: fjall::Database,
    entries: fjall::Keyspace,
    /// The position lives apart, so that no scan of entries meets it.
    position: fjall::Keyspace,
    applied: std::sync::atomic::AtomicU64,
}

impl Debug for FjallState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallState").field("applied", &self.applied).finish_non_exhaustive()
    }
}

/// The file by which fjall knows a database of its own; without it, it makes a new one.
pub(crate) const MARKER: &str = "version";
/// The folder with a folder for each keyspace, and the file by which fjall knows one.
pub(crate) const PARTS: &str = "keyspaces";
pub(crate) const PART_MARKER: &str = "current";
/// How many keyspaces there are: `entries`, `position` and fjall's own.
pub(crate) const PART_COUNT: usize = 3;

/// Where folders go that lie among the keyspaces' and are none.
const STRAY: &str = "stray";

const APPLIED: &[u8] = b"applied";

fn failed(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The first key after all that begin with `prefix`; `None` when there is none.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix.get(..=kept)?.to_vec();
    let last = end.last_mut()?;
    *last += 1;
    Some(end)
}

impl FjallState {
    /// Opens or makes the state in `dir`.
    ///
    /// # Errors
    /// When fjall cannot open it, or a stray folder not be moved out of its way.
    pub fn open(dir: &Path, cache_bytes: u64) -> io::Result<Self> {
        set_stray_aside(dir)?;
        let database = fjall::Database::builder(dir)
            .manual_journal_persist(true)
            .cache_size(cache_bytes)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let keyspace =
            |name| database.keyspace(name, fjall::KeyspaceCreateOptions::default).map_err(failed);
        let (entries, position) = (keyspace("entries")?, keyspace("position")?);
        let applied = position.get(APPLIED).map_err(failed)?;
        let applied =
            applied.and_then(|bytes| bytes.as_ref().try_into().ok()).map(u64::from_le_bytes);
        Ok(Self { database, entries, position, applied: applied.unwrap_or(0).into() })
    }
}

/// Whether a folder of this name is a keyspace's: fjall calls them by their numbers.
pub(crate) fn is_part(name: &str) -> bool {
    name.parse::<u64>().is_ok_and(|number| number.to_string() == name)
}

/// Moves folders out of the way that lie among the keyspaces' and have no number: fjall would panic.
/// Files it passes over.
fn set_stray_aside(dir: &Path) -> io::Result<()> {
    let entries = match std::fs::read_dir(dir.join(PARTS)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_part) || entry.file_type()?.is_file() {
            continue;
        }
        let aside = dir.join(STRAY);
        std::fs::create_dir_all(&aside)?;
        // One of that name may have been moved before.
        let (mut to, mut number) = (aside.join(&name), 0);
        while to.symlink_metadata().is_ok() {
            number += 1;
            let mut name = name.clone();
            name.push(format!(".{number}"));
            to = aside.join(name);
        }
        let from = entry.path();
        std::fs::rename(&from, &to)?;
        let (from, to) = (from.display(), to.display());
        tracing::warn!(%from, %to, "a folder that is no part of the state was moved out of it");
    }
    Ok(())
}

/// Splits a stored value into the revision and the bytes.
fn entry(key: Bytes, stored: &[u8]) -> Option<StateEntry> {
    let (revision, value) = stored.split_first_chunk::<8>()?;
    let revision = u64::from_le_bytes(*revision);
    Some(StateEntry { key, value: Bytes::copy_from_slice(value), revision })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a state entry is too short")
}

impl State for FjallState {
    fn applied(&self) -> u64 {
        self.applied.load(std::sync::atomic::Ordering::Acquire)
    }

    fn apply(&self, puts: &[StatePut], applied: Option<u64>) -> io::Result<()> {
        let mut batch = self.database.batch();
        for put in puts {
            match &put.value {
                Some((value, revision)) => {
                    let mut stored = Vec::with_capacity(8 + value.len());
                    stored.extend_from_slice(&revision.to_le_bytes());
                    stored.extend_from_slice(value);
                    batch.insert(&self.entries, put.key.as_ref(), stored);
                }
                None => batch.remove(&self.entries, put.key.as_ref()),
            }
        }
        if let Some(applied) = applied {
            batch.insert(&self.position, APPLIED, applied.to_le_bytes());
        }
        batch.commit().map_err(failed)?;
        if let Some(applied) = applied {
            self.applied.store(applied, std::sync::atomic::Ordering::Release);
        }
        Ok(())
    }

    fn persist(&self) -> io::Result<()> {
        self.database.persist(fjall::PersistMode::SyncAll).map_err(failed)
    }

    fn get(&self, key: &[u8]) -> io::Result<Option<StateEntry>> {
        let Some(stored) = self.entries.get(key).map_err(failed)? else { return Ok(None) };
        entry(Bytes::copy_from_slice(key), &stored).map(Some).ok_or_else(damaged)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> io::Result<Vec<StateEntry>> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let from = match after {
            Some(after) if after >= prefix => Excluded(after),
            _ => Included(prefix),
        };
        // Bounded above: behind the prefix may lie a million marks of removed entries, all of which
        // would be gone over to find one that is there.
        let end = end_of(prefix);
        let to = end.as_deref().map_or(Unbounded, Excluded);
        if matches!((from, to), (Included(from) | Excluded(from), Excluded(to)) if from >= to) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for guard in self.entries.range::<&[u8], _>((from, to)) {
            if found.len() >= limit {
                break;
            }
            let (key, stored) = guard.into_inner().map_err(failed)?;
            found.push(entry(Bytes::copy_from_slice(&key), &stored).ok_or_else(damaged)?);
        }
        Ok(found)
    }
}
