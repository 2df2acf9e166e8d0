//! A bucket of an object store: S3 and what speaks as it does, Google Cloud Storage, Azure Blob.
//!
//! Made by `server` from a URL; called by [`crate::lander`] to put files, and by faces through the hub
//! to list and fetch them. [`open`](Bucket::open) is in [`opening`], what speaks HTTP in [`http`].
//!
//! Invariants: an object is put by one request, so it is there whole or not at all, and durable when
//! that is answered; a name put twice has the same bytes. What tenants see of a failure names
//! neither the bucket nor what the store said, and nobody sees a credential.

mod http;
mod opening;

use std::fmt;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Attribute, Attributes, ObjectStore, ObjectStoreExt, PutOptions, PutPayload};
use outflow_hub::Stream;
use outflow_hub::landing::{LandedBytes, LandedFile, LandedFiles, Looking};

pub use opening::{BucketError, Credentials};

use crate::file;
use crate::place::{Place, PlaceError, Placing};

/// See the module.
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// What stands before every path, with a slash at its end unless it is empty.
    prefix: String,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.prefix)
    }
}

/// What a store did not do: shown are words of ours, while its own are kept for the operator's log.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct StoreFailure {
    what: &'static str,
    source: object_store::Error,
}

impl Bucket {
    /// Files go to `store`, under `prefix`, which has no slash at either end.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { store, prefix }
    }

    fn key(&self, path: &str) -> io::Result<Path> {
        let key = Path::parse(format!("{}{path}", self.prefix));
        key.map_err(|error| failure(object_store::Error::InvalidPath { source: error }))
    }

    async fn put_object(&self, path: &str, bytes: Vec<u8>) -> io::Result<()> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type(path).into());
        let options = PutOptions { attributes, ..PutOptions::default() };
        let key = self.key(path)?;
        let put = self.store.put_opts(&key, PutPayload::from(bytes), options).await;
        put.map(drop).map_err(failure)
    }

    async fn has_object(&self, path: &str) -> io::Result<bool> {
        match self.store.head(&self.key(path)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failure(error)),
        }
    }

    /// Moves object by object: when it ends early, what is left is moved the next time.
    async fn move_objects(&self, from: &str, to: &str) -> io::Result<()> {
        let folder = self.key(from)?;
        let mut found = self.store.list(Some(&folder));
        while let Some(object) = found.try_next().await.map_err(failure)? {
            let Some(rest) = below(&object.location, &folder) else { continue };
            let target = self.key(&format!("{to}/{rest}"))?;
            self.store.copy(&object.location, &target).await.map_err(failure)?;
            self.store.delete(&object.location).await.map_err(failure)?;
        }
        Ok(())
    }

    fn folder_of(&self, stream: &Stream) -> String {
        file::folder(&stream.project, &stream.name)
    }
}

impl Place for Bucket {
    fn put(&self, path: String, bytes: Vec<u8>) -> Placing<'_, ()> {
        Box::pin(async move {
            let put = self.put_object(&path, bytes).await;
            put.map_err(|error| PlaceError { path, error })
        })
    }

    fn has(&self, path: String) -> Placing<'_, bool> {
        Box::pin(async move {
            let has = self.has_object(&path).await;
            has.map_err(|error| PlaceError { path, error })
        })
    }

    fn set_apart(&self, from: String, to: String) -> Placing<'_, ()> {
        Box::pin(async move {
            let moved = self.move_objects(&from, &to).await;
            moved.map_err(|error| PlaceError { path: from, error })
        })
    }
}

impl LandedFiles for Bucket {
    fn list<'a>(
        &'a self,
        stream: &Stream,
        after: Option<&str>,
        limit: usize,
    ) -> Looking<'a, Vec<LandedFile>> {
        let (begins, folder) = (stream.begins, self.folder_of(stream));
        let after = after.map(|after| format!("{folder}/{after}"));
        Box::pin(async move {
            let folder = self.key(&folder)?;
            // Stores list in the order of the keys, which is that of the paths.
            let objects = match after {
                Some(after) => {
                    // What cannot be a key comes from whoever asks, not from a page before.
                    let after = Path::parse(format!("{}{after}", self.prefix));
                    let after = after.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
                    self.store.list_with_offset(Some(&folder), &after)
                }
                None => self.store.list(Some(&folder)),
            };
            let files = objects.try_filter_map(|object| {
                let path = below(&object.location, &folder).map(str::to_owned);
                let own = path.filter(|path| file::first_of(path).is_some_and(|at| at >= begins));
                std::future::ready(Ok(own.map(|path| LandedFile { path, bytes: object.size })))
            });
            files.take(limit).try_collect().await.map_err(failure)
        })
    }

    fn open<'a>(&'a self, stream: &Stream, path: &str) -> Looking<'a, Option<LandedBytes>> {
        let is_own = file::first_of(path).is_some_and(|first| first >= stream.begins);
        let full = format!("{}/{path}", self.folder_of(stream));
        Box::pin(async move {
            if !is_own {
                return Ok(None);
            }
            let object = match self.store.get(&self.key(&full)?).await {
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                object => object.map_err(failure)?,
            };
            let bytes = object.meta.size;
            let content = object.into_stream().map_err(failure);
            Ok(Some(LandedBytes { bytes, content: content.boxed() }))
        })
    }
}

/// The path of an object below a folder.
fn below<'a>(object: &'a Path, folder: &Path) -> Option<&'a str> {
    object.as_ref().strip_prefix(folder.as_ref())?.strip_prefix('/')
}

fn content_type(path: &str) -> &'static str {
    if path.ends_with(".cbor") { "application/cbor" } else { "application/x-ndjson" }
}

/// A store's error as an error of the system, in words that tenants may read.
fn failure(error: object_store::Error) -> io::Error {
    use object_store::Error;
    let (kind, what) = match &error {
        Error::NotFound { .. } => (io::ErrorKind::NotFound, "the object store has no such bucket"),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            (io::ErrorKind::PermissionDenied, "the object store denies access")
        }
        _ => (io::ErrorKind::Other, "the object store did not do what it was asked for"),
    };
    io::Error::new(kind, StoreFailure { what, source: error })
}
