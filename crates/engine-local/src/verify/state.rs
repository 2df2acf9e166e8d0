//! Checks the state: in a copy, because its store writes to whatever it opens.
//!
//! Called by [`super::verify`]; calls fjall's reader and the check that recovery makes.

use std::io;
use std::path::Path;

use super::report::Report;
use crate::fs::Fs;
use crate::recovery::{Known, OpenError, has_state, io_error, journals, lost, segments};
use crate::state::{FjallState, State};

/// How many bytes are cached while the copy is read.
const CACHE: u64 = 8 << 20;
/// How many entries are read at once.
const PAGE: usize = 1000;

/// Adds what is wrong with the state of `dir` to the report. The copy lies where the operating
/// system keeps temporary files (`TMPDIR`), and is removed again.
///
/// # Errors
/// [`OpenError::Io`] when it cannot be copied.
pub(super) fn check(fs: &dyn Fs, dir: &Path, report: &mut Report) -> Result<(), OpenError> {
    if !has_state(fs, dir)? {
        if report.segments > 0 || report.commits > 0 {
            report.damage.push("state: it is missing".into());
        }
        return Ok(());
    }
    let temporary = tempfile::tempdir().map_err(io_error("making a temporary directory"))?;
    let copied = temporary.path().join("state");
    copy(&dir.join("state"), &copied).map_err(io_error("copying the state"))?;
    let read = || -> io::Result<(FjallState, Known)> {
        let state = FjallState::open(&copied, CACHE)?;
        scan(&state)?;
        let known = Known::read(&state)?;
        Ok((state, known))
    };
    match read() {
        Ok((state, known)) => {
            let (live, _, _) = journals(fs, dir, known.sealed.generation)?;
            let checked = lost::check(dir, fs, state.applied(), &known, &live, &segments(fs, dir)?);
            if checked.is_err() {
                report.damage.push("state: it is older than the events beside it".into());
            }
        }
        Err(error) => report.damage.push(format!("state: {error}")),
    }
    Ok(())
}

/// Reads every entry.
fn scan(state: &FjallState) -> io::Result<()> {
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
