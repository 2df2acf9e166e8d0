//! `outflow ingest-stream files` and `fetch`: landed files, listed and copied.
//!
//! Called by [`crate::ingest_stream`]. Invariants: a file has its name only when it is whole; one
//! that is there in its full size is not fetched again; no name from the server leads out of the
//! folder that was given.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use http::Method;
use indicatif::ProgressBar;
use serde_json::Value;

use crate::api::Api;
use crate::failure::Failure;
use crate::output::{self, Column};
use crate::tail::bar;

const COLUMNS: [Column; 2] = [("path", "/path"), ("bytes", "/bytes")];

/// A file on the server.
struct Landed {
    path: String,
    bytes: u64,
}

/// Where an ingest stream's files are.
pub(crate) struct Files<'a> {
    pub(crate) api: &'a Api,
    pub(crate) project: &'a str,
    pub(crate) stream: &'a str,
}

impl Files<'_> {
    const fn address(&self) -> [&str; 6] {
        ["v1", "projects", self.project, "ingest-streams", self.stream, "files"]
    }

    /// Prints what there is.
    pub(crate) async fn list(&self, json: bool) -> Result<(), Failure> {
        output::list(json, &self.api.list(&self.address()).await?, &COLUMNS)
    }

    /// Copies files into `to`: those that are named, or all.
    pub(crate) async fn fetch(&self, named: &[String], to: &Path) -> Result<(), Failure> {
        let mut files = Vec::new();
        for item in self.api.list(&self.address()).await? {
            files.push(read(&item)?);
        }
        if let Some(missing) =
            named.iter().find(|name| !files.iter().any(|file| file.path == **name))
        {
            return Err(Failure::Missing(format!("there is no file `{missing}`")));
        }
        files.retain(|file| named.is_empty() || named.contains(&file.path));
        let bytes = files.iter().map(|file| file.bytes).sum();
        let progress = progress(bytes);
        let (mut fetched, total) = (0, files.len());
        for file in files {
            if self.fetch_one(&file, to, progress.as_ref()).await? {
                fetched += 1;
            }
        }
        if let Some(progress) = &progress {
            progress.finish_and_clear();
        }
        let there = total - fetched;
        output::message(&format!("{fetched} file(s) fetched, {there} there already"));
        Ok(())
    }

    /// Copies one file unless it is there; says whether it did.
    async fn fetch_one(
        &self,
        file: &Landed,
        to: &Path,
        progress: Option<&ProgressBar>,
    ) -> Result<bool, Failure> {
        let target = target(to, &file.path)?;
        if std::fs::metadata(&target).is_ok_and(|there| there.len() == file.bytes) {
            if let Some(progress) = progress {
                progress.inc(file.bytes);
            }
            return Ok(false);
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut segments = self.address().to_vec();
        segments.extend(file.path.split('/'));
        let url = self.api.url(&segments, &[]);
        let mut answer = self.api.send(Method::GET, &url, None).await?;
        let beside = target.with_extension("part");
        let mut out = std::fs::File::create(&beside)?;
        let mut bytes = 0;
        while let Some(chunk) = self.api.chunk(&mut answer).await? {
            out.write_all(&chunk)?;
            bytes += chunk.len() as u64;
            if let Some(progress) = progress {
                progress.inc(chunk.len() as u64);
            }
        }
        if bytes != file.bytes {
            return Err(Failure::Answer(format!("`{}` came in part", file.path)));
        }
        std::fs::rename(&beside, &target)?;
        Ok(true)
    }
}

fn read(item: &Value) -> Result<Landed, Failure> {
    let path = item.get("path").and_then(Value::as_str);
    let bytes = item.get("bytes").and_then(Value::as_u64);
    let read = path.zip(bytes).map(|(path, bytes)| Landed { path: path.to_owned(), bytes });
    read.ok_or_else(|| Failure::Answer("a file without a path".into()))
}

/// Where a file of this path goes.
fn target(to: &Path, path: &str) -> Result<PathBuf, Failure> {
    let is_plain = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && !part.starts_with('.') && part.bytes().all(known)
    };
    if path.split('/').all(is_plain) {
        return Ok(to.join(path));
    }
    Err(Failure::Answer(format!("`{path}` is no landed file")))
}

/// A bar on a terminal.
fn progress(bytes: u64) -> Option<ProgressBar> {
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    std::io::IsTerminal::is_terminal(&std::io::stderr()).then(|| bar(bytes, template))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let to = Path::new("landed");
        let day = "2026-03-01/_failed/08-05-09-1000000000000007.ndjson";
        assert_eq!(target(to, day).unwrap(), to.join(day));
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/.b", "a\\b", "a\0"] {
            assert!(target(to, bad).is_err(), "{bad}");
        }
    }
}
