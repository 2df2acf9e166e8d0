//! The file that says what a data directory is, and which format it has.
//!
//! `FORMAT` is text: the words `outflow data`, a space, the version, a line feed. Version 2 notes
//! what comes before each block, so that a lost file is missed; directories of version 1 are opened
//! and go on as version 2.

use std::io;
use std::path::Path;

use crate::fs::{Fs, OpenMode, read_exact_at};
use crate::recovery::{OpenError, io_error};

/// The newest directory format that this code reads, and the one it makes.
const VERSION: u32 = 2;
const NAME: &str = "FORMAT";
const UNFINISHED: &str = "FORMAT.tmp";
const WORDS: &str = "outflow data ";
/// What a directory may hold before it was made for the first time to the end.
const BEFORE: [&str; 6] = ["lock", UNFINISHED, "state", "journal", "segments", "quarantine"];

/// Refuses a directory that is not ours, or newer. Writes nothing.
pub(crate) fn check(fs: &dyn Fs, dir: &Path) -> Result<(), OpenError> {
    if let Some(version) = version(fs, dir).map_err(io_error("reading FORMAT"))? {
        return match version {
            Some(found) if found > VERSION => {
                Err(OpenError::Newer { file: dir.join(NAME), found, known: VERSION })
            }
            Some(_) => Ok(()),
            None => Err(OpenError::NotOurs(dir.to_owned())),
        };
    }
    let names = match fs.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("listing the data directory")(error)),
    };
    // A crash may have come before the file was there; then there are no events either.
    let is_new = names.iter().all(|name| BEFORE.contains(&name.as_str()));
    if !is_new {
        return Err(OpenError::NotOurs(dir.to_owned()));
    }
    let has_any = |name| fs.list(&dir.join(name)).is_ok_and(|names| !names.is_empty());
    if has_any("journal") || has_any("segments") {
        return Err(OpenError::NoFormat(dir.to_owned()));
    }
    Ok(())
}

/// The version; `Some(None)` when the file is something else, `None` when it is absent.
fn version(fs: &dyn Fs, dir: &Path) -> io::Result<Option<Option<u32>>> {
    let file = match fs.open(&dir.join(NAME), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = read_exact_at(file.as_ref(), 0, file.len()?.min(100) as usize)?;
    let number = std::str::from_utf8(&text).ok().and_then(|text| text.strip_prefix(WORDS));
    Ok(Some(number.and_then(|number| number.trim_end().parse().ok())))
}

/// Writes the file if it is absent, or says an earlier version: from now on files of this one are
/// made beside those that are there.
pub(crate) fn write(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    match version(fs, dir)? {
        Some(Some(VERSION)) => return Ok(()),
        Some(_) => {}
        None => sync_ancestors(fs, dir)?,
    }
    let unfinished = dir.join(UNFINISHED);
    if let Err(error) = fs.remove(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let file = fs.open(&unfinished, OpenMode::CreateNew)?;
    file.write_all_at(format!("{WORDS}{VERSION}\n").as_bytes(), 0)?;
    file.sync_data()?;
    fs.rename(&unfinished, &dir.join(NAME))?;
    fs.sync_dir(dir)
}

/// Makes the name of a new directory durable, and those of the directories above it, which may be
/// new as well: else all that is acknowledged could go with them.
fn sync_ancestors(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    for above in dir.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match fs.sync_dir(above) {
            // One that we may not read is one that we did not make.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => break,
            synced => synced?,
        }
    }
    Ok(())
}
