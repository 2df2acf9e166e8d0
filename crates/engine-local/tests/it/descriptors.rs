//! However many segments there are, few files are open, and all are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outflow_engine_local::{LocalEngine, Options};
use outflow_model::clock::ManualClock;
use outflow_model::{Offset, StreamId};
use outflow_store::contract::reader::read_all;
use outflow_store::contract::sample;
use outflow_store::{Batch, Engine, ReadError};
use tempfile::TempDir;

use crate::rig::{BEGIN, small};

const S: StreamId = StreamId(1);
const OPEN: usize = 4;

fn open(dir: &Path) -> LocalEngine {
    let options = Options { open_segments: OPEN, cache_bytes: 0, ..small() };
    LocalEngine::open(dir, options, Arc::new(ManualClock::new(BEGIN))).unwrap()
}

/// The segment files of the directory that this process has open.
fn descriptors(dir: &Path) -> Vec<PathBuf> {
    let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let open = links.filter_map(|link| std::fs::read_link(link.path()).ok());
    open.filter(|path| path.starts_with(dir.join("segments"))).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for family in std::fs::read_dir(dir.join("segments")).unwrap() {
        let files = std::fs::read_dir(family.unwrap().path()).unwrap();
        all.extend(files.map(|file| file.unwrap().path()));
    }
    all.sort();
    all
}

/// An engine with one segment for each of twenty events.
async fn filled(dir: &Path) -> LocalEngine {
    let engine = open(dir);
    engine.submit(sample::make_streams(1)).await.unwrap();
    for n in 0..20 {
        let one = sample::append(S, Offset::FIRST.plus(n), &[2_000], BEGIN);
        engine.submit(Batch::append(one)).await.unwrap();
        engine.seal().await.unwrap();
    }
    engine
}

#[tokio::test]
async fn few_segments_are_open_at_once() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let mut engine = filled(&path).await;
    assert_eq!(segments(&path).len(), 20);
    for _ in 0..2 {
        let events = read_all(&engine, S, Offset::FIRST, 1).await.unwrap();
        assert_eq!(events.len(), 20);
        let open_now = descriptors(&path).len();
        assert!((1..=OPEN).contains(&open_now), "{open_now} are open");
        engine.close().await;
        drop(engine);
        engine = open(&path);
        assert!(descriptors(&path).is_empty(), "nobody has read yet");
    }
}

#[tokio::test]
async fn a_segment_that_is_removed_while_the_engine_runs_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let engine = filled(&path).await;
    let (all, open) = (segments(&path), descriptors(&path));
    let n = all.iter().position(|file| !open.contains(file)).unwrap() as u64;
    std::fs::remove_file(&all[n as usize]).unwrap();
    let (lost, next) = (Offset::FIRST.plus(n), Offset::FIRST.plus(n + 1));
    let refused = engine.read(S, lost, 1).await.unwrap_err();
    assert!(matches!(refused, ReadError::Damaged { resume, .. } if resume == next), "{refused}");
    assert!(!engine.health().damage.is_empty());
    assert_eq!(read_all(&engine, S, next, 1).await.unwrap().len() as u64, 19 - n);
}
