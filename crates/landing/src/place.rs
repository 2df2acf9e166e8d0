//! Where landed files go: a small trait, and a directory of this machine.
//!
//! Called by [`crate::lander`]. What implements [`Place`] makes a file appear under its name whole
//! and durable, or not at all, and may be asked to put the same file again.

use std::fs::{self, File};
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a file could not be put. Putting it again may work.
#[derive(Debug, thiserror::Error)]
#[error("cannot put `{path}`: {error}")]
pub struct PlaceError {
    /// The file.
    pub path: String,
    /// What the system says.
    pub error: io::Error,
}

impl PlaceError {
    /// What the operator may know beyond its own words, which are shown to tenants: why `error` came
    /// to be, from the nearest cause on.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut causes = Vec::new();
        let mut cause = self.error.get_ref().and_then(|error| error.source());
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes.join(": ")
    }
}

/// What a place does, under way.
pub type Placing<'a, T> = Pin<Box<dyn Future<Output = Result<T, PlaceError>> + Send + 'a>>;

/// See the module.
pub trait Place: Send + Sync + std::fmt::Debug + 'static {
    /// Puts a file of these bytes at `path`, whose parts have `/` between them. When this returns
    /// well, the file is durable.
    fn put(&self, path: String, bytes: Vec<u8>) -> Placing<'_, ()>;

    /// Whether there is a file at `path`.
    fn has(&self, path: String) -> Placing<'_, bool>;

    /// Moves the folder `from`, if it is there, to `to`, which is not.
    fn set_apart(&self, from: String, to: String) -> Placing<'_, ()>;
}

/// A directory of this machine.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// Whether the root is known to be durable.
    rooted: Arc<AtomicBool>,
}

impl Directory {
    /// Files go under `root`, which is made when the first one does.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, rooted: Arc::default() }
    }
}

impl Directory {
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Place for Directory {
    fn put(&self, path: String, bytes: Vec<u8>) -> Placing<'_, ()> {
        let (root, rooted) = (self.root.clone(), Arc::clone(&self.rooted));
        self.blocking(path, move |target| {
            if !rooted.load(Ordering::Relaxed) {
                make_root(&root)?;
                rooted.store(true, Ordering::Relaxed);
            }
            write(&root, target, &bytes)
        })
    }

    fn has(&self, path: String) -> Placing<'_, bool> {
        let root = self.root.clone();
        self.blocking(path, move |target| {
            let is_there = fs::exists(target)?;
            if is_there {
                // Who wrote it may have been stopped before its name was durable.
                File::open(target)?.sync_all()?;
                sync_up(&root, target.parent().unwrap_or(&root))?;
            }
            Ok(is_there)
        })
    }

    fn set_apart(&self, from: String, to: String) -> Placing<'_, ()> {
        let (root, to) = (self.root.clone(), self.root.join(to));
        self.blocking(from, move |from| {
            if !fs::exists(from)? {
                return Ok(());
            }
            fs::create_dir_all(to.parent().unwrap_or(&root))?;
            fs::rename(from, &to)?;
            sync_up(&root, from.parent().unwrap_or(&root))?;
            sync_up(&root, to.parent().unwrap_or(&root))
        })
    }
}

impl Directory {
    /// Does what may wait for a disk on a thread that may.
    fn blocking<T: Send + 'static>(
        &self,
        path: String,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Placing<'_, T> {
        let target = self.root.join(&path);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || work(&target)).await;
            let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
            done.map_err(|error| PlaceError { path, error })
        })
    }
}

/// Makes the root and syncs all folders above it: each is an entry of the one above, and that some
/// were there does not say that they are durable.
fn make_root(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    let root = fs::canonicalize(root)?;
    for folder in root.ancestors().skip(1) {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // What may not be read by the server was not made by it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            // Nor can folders of some systems' own be synced.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            done => done?,
        }
    }
    Ok(())
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
    sync_up(root, folder)
}

/// Syncs a folder and all above it up to the root.
fn sync_up(root: &Path, folder: &Path) -> io::Result<()> {
    for folder in folder.ancestors() {
        File::open(folder)?.sync_all()?;
        if folder == root {
            break;
        }
    }
    Ok(())
}
