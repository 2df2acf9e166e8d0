//! Landed files of a directory, for those who list and fetch them.
//!
//! Called by faces through the hub. Invariants: what is asked for is a name of a file that could have
//! landed, so no path leads out of a stream's folder; files of a former stream of the same name,
//! whose events were before this one's first, are not there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use outflow_hub::Stream;
use outflow_hub::landing::{LandedBytes, LandedFile, LandedFiles, Looking};
use outflow_model::Offset;
use tokio::io::AsyncReadExt;

use crate::file;
use crate::place::Directory;

/// How much of a file is read at once.
const READ_BYTES: usize = 64 << 10;

impl LandedFiles for Directory {
    fn list<'a>(
        &'a self,
        stream: &Stream,
        after: Option<&str>,
        limit: usize,
    ) -> Looking<'a, Vec<LandedFile>> {
        let folder = self.folder_of(stream);
        let (begins, after) = (stream.begins, after.unwrap_or_default().to_owned());
        Box::pin(async move {
            let listing = move || list(&folder, begins, &after, limit);
            let listed = tokio::task::spawn_blocking(listing).await;
            listed.unwrap_or_else(|error| Err(io::Error::other(error)))
        })
    }

    fn open<'a>(&'a self, stream: &Stream, path: &str) -> Looking<'a, Option<LandedBytes>> {
        let is_own = file::first_of(path).is_some_and(|first| first >= stream.begins);
        let full = self.folder_of(stream).join(path);
        Box::pin(async move {
            if !is_own {
                return Ok(None);
            }
            let file = match tokio::fs::File::open(full).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let bytes = file.metadata().await?.len();
            let content = stream::try_unfold(file, |mut file| async move {
                let mut piece = Vec::with_capacity(READ_BYTES);
                let read = file.read_buf(&mut piece).await?;
                Ok((read > 0).then(|| (Bytes::from(piece), file)))
            });
            Ok(Some(LandedBytes { bytes, content: content.boxed() }))
        })
    }
}

/// The files of a stream's folder: day by day, so that what is held is one day's and one page.
fn list(folder: &Path, begins: Offset, after: &str, limit: usize) -> io::Result<Vec<LandedFile>> {
    let last_day = after.split('/').next().unwrap_or_default();
    let mut found = Vec::new();
    for day in names(folder)?.iter().filter(|day| day.as_str() >= last_day) {
        let mut paths: Vec<String> =
            names(&folder.join(day))?.iter().map(|name| format!("{day}/{name}")).collect();
        let failed = names(&folder.join(day).join(file::FAILED))?;
        paths.extend(failed.iter().map(|name| format!("{day}/{}/{name}", file::FAILED)));
        paths.sort_unstable();
        for path in paths {
            let is_own = file::first_of(&path).is_some_and(|first| first >= begins);
            if !is_own || path.as_str() <= after {
                continue;
            }
            let bytes = fs::metadata(folder.join(&path))?.len();
            found.push(LandedFile { path, bytes });
            if found.len() >= limit {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The names in a folder, in order; none when it is not there.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

impl Directory {
    fn folder_of(&self, stream: &Stream) -> PathBuf {
        self.root().join(file::folder(&stream.project, &stream.name))
    }
}
