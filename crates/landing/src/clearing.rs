//! Folders on their way to where those of deleted streams are kept.
//!
//! Called by [`crate::lander`], which goes on meanwhile: in a bucket a folder is moved object by object,
//! and one with many takes as long as it takes. A few are moved at once, each in a task of its own.
//!
//! Invariant: a stream lands nothing while its folder is being cleared, so that what is moved is never
//! its own.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use outflow_hub::Stream;
use outflow_model::StreamId;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinError, JoinSet};

use crate::file;
use crate::place::{Place, PlaceError};

/// How many folders are moved at once.
const AT_ONCE: usize = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Clearing {
    place: Arc<dyn Place>,
    turns: Arc<Semaphore>,
    running: JoinSet<Result<(), PlaceError>>,
    moves: HashMap<Id, Move>,
    /// The folders of `moves`.
    folders: HashSet<String>,
    /// What came of clearing the way for a stream, until it asks.
    ends: HashMap<StreamId, Result<(), PlaceError>>,
}

#[derive(Debug)]
struct Move {
    folder: String,
    /// The stream that waits for it; `None`: its own was deleted.
    waits: Option<StreamId>,
}

impl Clearing {
    pub(crate) fn new(place: Arc<dyn Place>) -> Self {
        Self {
            place,
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            running: JoinSet::new(),
            moves: HashMap::new(),
            folders: HashSet::new(),
            ends: HashMap::new(),
        }
    }

    /// Sets the folder of a stream apart that is no more.
    pub(crate) fn deleted(&mut self, stream: &Stream) {
        self.ends.remove(&stream.id);
        let (project, name) = (&stream.project, &stream.name);
        let folder = file::folder(project, name);
        // In a folder that is being cleared it has landed nothing.
        if !self.folders.contains(&folder) {
            self.begin(folder, file::deleted_folder(project, name, stream.id), None);
        }
    }

    /// Whether the folder of a stream that has never landed is free of what a former one of its name
    /// has left there. It is cleared if it is not known to be.
    ///
    /// # Errors
    /// It could not be cleared; it is tried again by the next call.
    pub(crate) fn is_clear(&mut self, stream: &Stream) -> Result<bool, PlaceError> {
        if let Some(end) = self.ends.remove(&stream.id) {
            return end.map(|()| true);
        }
        let (project, name) = (&stream.project, &stream.name);
        let folder = file::folder(project, name);
        if !self.folders.contains(&folder) {
            let to = file::former_folder(project, name, stream.id);
            self.begin(folder, to, Some(stream.id));
        }
        Ok(false)
    }

    fn begin(&mut self, folder: String, to: String, waits: Option<StreamId>) {
        let (place, turns, from) = (self.place.clone(), self.turns.clone(), folder.clone());
        let task = self.running.spawn(async move {
            // Never closed.
            let _turn = turns.acquire().await;
            place.set_apart(from, to).await
        });
        self.folders.insert(folder.clone());
        self.moves.insert(task.id(), Move { folder, waits });
    }

    /// Takes note of what has ended.
    pub(crate) fn look(&mut self) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.end(ended);
        }
    }

    /// Waits until a folder is done with; `false`: none is under way.
    pub(crate) async fn ended(&mut self) -> bool {
        let Some(ended) = self.running.join_next_with_id().await else { return false };
        self.end(ended);
        true
    }

    fn end(&mut self, ended: Result<(Id, Result<(), PlaceError>), JoinError>) {
        let (id, end) = match ended {
            Ok((id, end)) => (id, Ok(end)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(Move { folder, waits }) = self.moves.remove(&id) else { return };
        self.folders.remove(&folder);
        let lost = |error| PlaceError { path: folder, error: io::Error::other(error) };
        let end = end.unwrap_or_else(|error| Err(lost(error)));
        match (waits, end) {
            (Some(stream), end) => {
                self.ends.insert(stream, end);
            }
            (None, Ok(())) => {}
            (None, Err(error)) => {
                let detail = error.detail();
                tracing::warn!(%error, detail, "files of a deleted stream stay where they are");
            }
        }
    }
}
