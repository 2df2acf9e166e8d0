//! How far an ingest stream has landed in files, and whether it does.
//!
//! Called by `landing`, and by faces that show it. The place is one entry of the engine's state, so
//! that where a file ends and what it is called are known together or not at all; it goes with its
//! stream. It stands among the cursors under an owner without a name, which no integration has.

mod ending;

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use outflow_model::{Offset, Timestamp};
use outflow_store::{Condition, Op, Put};

use crate::catalog::change::{commit, unavailable};
use crate::catalog::{cursor_prefix, record};
use crate::{CatalogError, Hub, Stream};

pub(crate) use ending::LandingLane;
pub use ending::{First, Landed};

/// How far a stream has landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingPlace {
    /// Everything before it has landed.
    pub done: Offset,
    /// The file at hand, once it is decided.
    pub file: Option<LandingFile>,
}

/// A file that is being made, or has to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LandingFile {
    /// Its first event when it was decided. It is called after it, whatever retention does since.
    pub first: Offset,
    /// When that was taken in.
    pub at: Timestamp,
    /// The offset after its last event.
    pub end: Offset,
}

/// Why nothing of a stream lands just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandingFailure {
    /// Since when.
    pub since: Timestamp,
    /// What the system says, without names of the server's files.
    pub reason: String,
}

/// A landed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LandedFile {
    /// Its name below the stream's folder.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// A landed file being read.
pub struct LandedBytes {
    /// Its size in bytes.
    pub bytes: u64,
    /// What is in it.
    pub content: BoxStream<'static, io::Result<Bytes>>,
}

impl Debug for LandedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LandedBytes({})", self.bytes)
    }
}

/// A look at landed files, under way.
pub type Looking<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// The files that have landed, for those who fetch them.
pub trait LandedFiles: Debug + Send + Sync + 'static {
    /// The files of a stream after the path `after`, in order of their paths; at most `limit`. An
    /// `after` that no file can be called is an error of the kind `InvalidInput`, or as good as any.
    fn list<'a>(
        &'a self,
        stream: &Stream,
        after: Option<&str>,
        limit: usize,
    ) -> Looking<'a, Vec<LandedFile>>;

    /// Opens a file of a stream; `None`: there is none of this path.
    fn open<'a>(&'a self, stream: &Stream, path: &str) -> Looking<'a, Option<LandedBytes>>;
}

impl From<io::Error> for CatalogError {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl Hub {
    /// Says where landed files are read; once, at the start.
    pub fn set_landed_files(&self, files: Arc<dyn LandedFiles>) {
        // The first one stays.
        let _ = self.inner.landed.set(files);
    }

    /// Where landed files are read; `None`: nothing lands here.
    #[must_use]
    pub fn landed_files(&self) -> Option<Arc<dyn LandedFiles>> {
        self.inner.landed.get().cloned()
    }

    /// How far `stream` has landed; `None`: not at all yet.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn landing_place(
        &self,
        stream: &Stream,
    ) -> Result<Option<LandingPlace>, CatalogError> {
        let entry = self.inner.engine.get(&key(stream)).await.map_err(unavailable)?;
        entry.map(|entry| record::landing(&entry.value).map_err(unavailable)).transpose()
    }

    /// Notes how far `stream` has landed; durable when this returns.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for a stream that is no more; those of storing.
    pub async fn set_landing_place(
        &self,
        stream: &Stream,
        place: &LandingPlace,
    ) -> Result<(), CatalogError> {
        if !self.inner.catalog.read().has(stream) {
            return Err(CatalogError::NotFound);
        }
        let value = Some(record::of_landing(place));
        let put = Put { key: key(stream).into(), value, condition: Condition::Any };
        commit(&self.inner, vec![Op::Put(put)]).await
    }

    /// Why nothing of `stream` lands just now; `None`: it does, or has nothing to land.
    #[must_use]
    pub fn landing_failure(&self, stream: &Stream) -> Option<LandingFailure> {
        stream.lane.landing.failure.lock().clone()
    }

    /// Notes why nothing of `stream` lands, or that it does again.
    pub fn set_landing_failure(&self, stream: &Stream, failure: Option<LandingFailure>) {
        *stream.lane.landing.failure.lock() = failure;
    }
}

fn key(stream: &Stream) -> Vec<u8> {
    let mut key = cursor_prefix(stream.id);
    key.extend_from_slice(b"~/landing");
    key
}
