//! Where landed files go: a small trait, and a directory of this machine.
//!
//! Called by [`crate::lander`]. What implements [`Place`] makes a file appear under its name whole
//! and durable, or not at all, and may be asked to put the same file again.

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;

/// Why a file could not be put. Putting it again may work.
#[derive(Debug, thiserror::Error)]
#[error("cannot put `{path}`: {error}")]
pub struct PlaceError {
    /// The file.
    pub path: String,
    /// What the system says.
    pub error: io::Error,
}

/// A put under way.
pub type Putting<'a> = Pin<Box<dyn Future<Output = Result<(), PlaceError>> + Send + 'a>>;

/// See the module.
pub trait Place: Send + Sync + std::fmt::Debug + 'static {
    /// Puts a file of these bytes at `path`, whose parts have `/` between them. When this returns
    /// well, the file is durable.
    fn put(&self, path: String, bytes: Vec<u8>) -> Putting<'_>;
}

/// A directory of this machine.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Files go under `root`, which is made when the first one does.
    #[must_use]
    pub const fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

impl Place for Directory {
    fn put(&self, path: String, bytes: Vec<u8>) -> Putting<'_> {
        let root = self.root.clone();
        Box::pin(async move {
            let target = root.join(&path);
            let written = tokio::task::spawn_blocking(move || write(&root, &target, &bytes)).await;
            let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
            written.map_err(|error| PlaceError { path, error })
        })
    }
}

/// Writes beside the name, syncs, renames, and syncs every folder that may be new.
fn write(root: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = target.parent().unwrap_or(root);
    fs::create_dir_all(folder)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // A beginning of the same file that a crash left behind is written over.
    let beside = folder.join(format!(".{name}.part"));
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, target)?;
    for folder in folder.ancestors() {
        File::open(folder)?.sync_all()?;
        if folder == root {
            break;
        }
    }
    Ok(())
}
