//! Checks the state: in a copy, because its store writes to whatever it opens.
//!
//! Called by [`super::verify`]; calls fjall's reader and the check that recovery makes.

use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::fs::Fs;
use crate::recovery::{Known, OpenError, Segments, has_state, io_error, journals, lost};
use crate::state::{FjallState, State};

/// How many bytes are cached while the copy is read.
const CACHE: u64 = 8 << 20;
/// How many entries are read at once.
const PAGE: usize = 1000;

/// The state of a directory, opened in a copy.
pub(super) struct Copied {
    pub(super) state: FjallState,
    _temporary: TempDir,
}

/// Copies the state of `dir` and opens the copy; `None` when there is none. The copy lies where
/// the operating system keeps temporary files (`TMPDIR`), and is removed with what is returned.
///
/// # Errors
/// [`OpenError::Io`] when it cannot be copied; the inner one when it cannot be opened.
pub(super) fn copy_of(fs: &dyn Fs, dir: &Path) -> Result<Option<io::Result<Copied>>, OpenError> {
    if !has_state(fs, dir)? {
        return Ok(None);
    }
    let temporary = tempfile::tempdir().map_err(io_error("making a temporary directory"))?;
    let copied = temporary.path().join("state");
    copy(&dir.join("state"), &copied).map_err(io_error("copying the state"))?;
    let opened = FjallState::open(&copied, CACHE);
    Ok(Some(opened.map(|state| Copied { state, _temporary: temporary })))
}

/// Adds what is wrong with the state to `damage`. Returns what it says of streams, if that goes
/// with the events beside it.
///
/// # Errors
/// [`OpenError::Io`] when the journal cannot be read.
pub(super) fn check(
    state: &dyn State,
    fs: &dyn Fs,
    dir: &Path,
    segments: &Segments,
    damage: &mut Vec<String>,
) -> Result<Option<Known>, OpenError> {
    let known = match scan(state).and_then(|()| Known::read(state)) {
        Ok(known) => known,
        Err(error) => {
            damage.push(format!("state: {error}"));
            return Ok(None);
        }
    };
    let live = journals(fs, dir, known.sealed.generation)?.live;
    if lost::check(dir, fs, state.applied(), &known, &live, segments).is_err() {
        damage.push("state: it is older than the events beside it".into());
        return Ok(None);
    }
    Ok(Some(known))
}

/// Reads every entry.
fn scan(state: &dyn State) -> io::Result<()> {
    let mut after = None;
    loop {
        let page = state.scan(&[], after.as_deref(), PAGE)?;
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            _ => return Ok(()),
        }
    }
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy(&entry.path(), &to)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
