//! Parts of a data directory that are gone or damaged as a whole: opening refuses, says what to
//! do and writes nothing, rather than begin again at offsets that were given out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use outflow_engine_local::verify::verify;
use outflow_engine_local::{LocalEngine, OpenError, Options};
use outflow_model::clock::ManualClock;
use outflow_model::{Clock, Offset, StreamId};
use outflow_store::contract::sample;
use outflow_store::{Batch, Engine};
use tempfile::TempDir;

use crate::rig::{BEGIN, Rig, small};

const STREAMS: u32 = 3;

fn open(dir: &Path) -> Result<LocalEngine, OpenError> {
    LocalEngine::open(dir, small(), Arc::new(ManualClock::new(BEGIN)))
}

/// Appends an event to each stream, `count` times.
async fn fill(engine: &LocalEngine, from: u64, count: u64) {
    for n in from..from + count {
        let append = |id| sample::append(StreamId(id), Offset::FIRST.plus(n), &[3_000], BEGIN);
        let ops = (1..=STREAMS).map(|id| outflow_store::Op::Append(append(id)));
        engine.submit(sample::batch(ops)).await.unwrap();
    }
}

/// A closed data directory with sealed events of three streams, and some in the journal.
async fn filled() -> TempDir {
    let dir = TempDir::new().unwrap();
    let engine = open(dir.path()).unwrap();
    engine.submit(sample::make_streams(STREAMS)).await.unwrap();
    fill(&engine, 0, 60).await;
    engine.seal().await.unwrap();
    fill(&engine, 60, 4).await;
    engine.close().await;
    dir
}

/// Every file of a directory with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    all
}

/// Opening refuses twice, and nothing is written.
fn refused(dir: &Path, is_right: impl Fn(&OpenError) -> bool) {
    let before = files(dir);
    for _ in 0..2 {
        let error = open(dir).unwrap_err();
        assert!(is_right(&error), "{error:?}");
        assert!(error.to_string().contains("restore"), "{error} does not say what to do");
        assert!(files(dir) == before, "something was written");
    }
}

#[tokio::test]
async fn a_lost_state_is_refused() {
    let dir = filled().await;
    let state = dir.path().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    refused(dir.path(), |error| matches!(error, OpenError::StateLost(_)));
    std::fs::create_dir(&state).unwrap();
    refused(dir.path(), |error| matches!(error, OpenError::StateLost(_)));
    // Another, empty one in its place.
    let other = TempDir::new().unwrap();
    open(other.path()).unwrap().close().await;
    std::fs::remove_dir(&state).unwrap();
    std::fs::rename(other.path().join("state"), &state).unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::StateLost(_))));
}

#[test]
fn an_older_state_is_refused_and_a_newer_one_goes_on() {
    let mut rig = Rig::new(1);
    rig.open().unwrap();
    assert_eq!(rig.engine().commit(vec![sample::make_streams(1)]), [Ok(())]);
    let mut older = None;
    for n in 0..60 {
        let append = sample::append(StreamId(1), Offset::FIRST.plus(n), &[9_000], rig.clock.now());
        assert_eq!(rig.engine().commit(vec![Batch::append(append)]), [Ok(())]);
        while rig.engine().seal_step().unwrap() {}
        if n == 20 {
            older = Some(rig.state.copy());
        }
    }
    let _ = rig.engine().close().now_or_never();
    rig.kill();
    let newer = std::mem::replace(&mut rig.state, older.unwrap());
    let (before, calls) = (rig.disk.files(), rig.faults.calls());
    assert!(matches!(rig.open(), Err(OpenError::StateLost(_))));
    assert_eq!(rig.faults.calls(), calls, "something was written");
    assert!(rig.disk.files() == before);
    rig.state = newer;
    rig.open().unwrap();
    assert_eq!(rig.engine().bounds(StreamId(1)).unwrap().next, Offset::FIRST.plus(60));
}

/// Every folder under one.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(folders(&path));
            all.push(path);
        }
    }
    all
}

/// Copies a directory with its files and folders.
fn copy(from: &Path, to: &Path) {
    for path in folders(from) {
        std::fs::create_dir_all(to.join(path.strip_prefix(from).unwrap())).unwrap();
    }
    for (path, bytes) in files(from) {
        std::fs::write(to.join(path.strip_prefix(from).unwrap()), bytes).unwrap();
    }
}

/// Whichever folder of the state is gone: refused, or nothing is lost by it.
#[tokio::test]
async fn a_state_with_a_folder_missing_is_refused_or_harmless() {
    let whole = filled().await;
    let all = folders(&whole.path().join("state"));
    let mut refusals = 0;
    for folder in &all {
        let name = folder.strip_prefix(whole.path()).unwrap();
        let dir = TempDir::new().unwrap();
        copy(whole.path(), dir.path());
        std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        let before = files(&dir.path().join("segments"));
        let report = verify(dir.path(), &mut |_| ()).unwrap();
        match open(dir.path()) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("state") && text.contains("restore"), "{name:?}: {text}");
                assert!(files(&dir.path().join("segments")) == before, "{name:?}");
                assert!(!report.is_clean(), "{name:?}");
                refusals += 1;
            }
            Ok(engine) => {
                for id in (1..=STREAMS).map(StreamId) {
                    let next = engine.bounds(id).unwrap().next;
                    assert_eq!(next, Offset::FIRST.plus(64), "{name:?}");
                }
                engine.close().await;
            }
        }
    }
    // At least those of each part, and the one that all are in.
    assert!(refusals >= 4, "{refusals} of {all:?}");
}

#[tokio::test]
async fn a_stray_file_beside_the_parts_of_the_state_stops_nothing() {
    let dir = filled().await;
    std::fs::write(dir.path().join("state/keyspaces/.stray"), b"stray").unwrap();
    let report = verify(dir.path(), &mut |_| ()).unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.bounds(StreamId(1)).unwrap().next, Offset::FIRST.plus(64));
    engine.close().await;
}

#[tokio::test]
async fn a_stray_folder_beside_the_parts_of_the_state_is_moved_and_kept() {
    let dir = filled().await;
    for round in ["notes", "notes.1"] {
        std::fs::create_dir(dir.path().join("state/keyspaces/notes")).unwrap();
        std::fs::write(dir.path().join("state/keyspaces/notes/file"), round).unwrap();
        let report = verify(dir.path(), &mut |_| ()).unwrap();
        assert!(report.is_clean(), "{:?}", report.damage);
        let engine = open(dir.path()).unwrap();
        assert_eq!(engine.bounds(StreamId(1)).unwrap().next, Offset::FIRST.plus(64));
        engine.close().await;
        drop(engine);
        let kept = dir.path().join("state/stray").join(round).join("file");
        assert_eq!(std::fs::read_to_string(kept).unwrap(), round);
    }
}

#[tokio::test]
async fn a_part_of_the_state_under_another_name_is_a_part_that_is_missing() {
    let dir = filled().await;
    let parts = dir.path().join("state/keyspaces");
    let part = std::fs::read_dir(&parts).unwrap().next().unwrap().unwrap().path();
    let stray = parts.join("old");
    std::fs::rename(part, &stray).unwrap();
    let refused = open(dir.path()).unwrap_err().to_string();
    assert!(refused.contains("state") && refused.contains("restore"), "{refused}");
    assert!(stray.is_dir(), "something was moved");
}

/// Whichever file of the state is damaged or gone: refused and told, or nothing is lost by it.
#[tokio::test]
async fn a_damaged_state_is_refused_or_harmless() {
    let whole = filled().await;
    let mut refusals = 0;
    let all = files(&whole.path().join("state"));
    for ((path, bytes), is_gone) in all.iter().flat_map(|file| [(file, false), (file, true)]) {
        let name = path.strip_prefix(whole.path()).unwrap();
        let dir = TempDir::new().unwrap();
        for (path, bytes) in files(whole.path()) {
            let to = dir.path().join(path.strip_prefix(whole.path()).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::write(to, bytes).unwrap();
        }
        let damaged: Vec<u8> = bytes.iter().map(|byte| byte ^ 0x55).collect();
        if is_gone {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        } else {
            std::fs::write(dir.path().join(name), damaged).unwrap();
        }
        let events = |dir: &Path| {
            let mut all = files(&dir.join("journal"));
            all.extend(files(&dir.join("segments")));
            all
        };
        let before = events(dir.path());
        let report = verify(dir.path(), &mut |_| ()).unwrap();
        match open(dir.path()) {
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("state") && text.contains("restore"), "{name:?}: {text}");
                assert!(events(dir.path()) == before, "{name:?}: something was written");
                let is_told = report.damage.iter().any(|what| what.starts_with("state: "));
                assert!(is_told, "{name:?}: {:?}", report.damage);
                refusals += 1;
            }
            Ok(engine) => {
                for id in (1..=STREAMS).map(StreamId) {
                    let next = engine.bounds(id).unwrap().next;
                    assert_eq!(next, Offset::FIRST.plus(64), "{name:?}");
                }
                engine.close().await;
            }
        }
    }
    assert!(refusals > 0, "no damage was noticed");
}

#[tokio::test]
async fn a_check_reads_the_state_and_leaves_it_alone() {
    let dir = filled().await;
    let before = files(dir.path());
    assert!(verify(dir.path(), &mut |_| ()).unwrap().is_clean());
    assert!(files(dir.path()) == before, "something was written");
    let state = dir.path().join("state");
    let other = TempDir::new().unwrap();
    open(other.path()).unwrap().close().await;
    std::fs::remove_dir_all(&state).unwrap();
    let missing = verify(dir.path(), &mut |_| ()).unwrap();
    assert_eq!(missing.damage, ["state: it is missing"]);
    std::fs::rename(other.path().join("state"), &state).unwrap();
    let older = verify(dir.path(), &mut |_| ()).unwrap();
    assert_eq!(older.damage, ["state: it is older than the events beside it"]);
}

#[tokio::test]
async fn a_lost_format_file_is_refused() {
    let dir = filled().await;
    std::fs::remove_file(dir.path().join("FORMAT")).unwrap();
    refused(dir.path(), |error| matches!(error, OpenError::NoFormat(_)));
    // Also when only segments are left.
    std::fs::remove_dir_all(dir.path().join("journal")).unwrap();
    refused(dir.path(), |error| matches!(error, OpenError::NoFormat(_)));
}

#[tokio::test]
async fn a_directory_that_never_held_an_event_needs_no_state() {
    let dir = TempDir::new().unwrap();
    LocalEngine::open(dir.path(), Options::default(), Arc::new(ManualClock::new(BEGIN)))
        .unwrap()
        .close()
        .await;
    std::fs::remove_dir_all(dir.path().join("state")).unwrap();
    assert!(open(dir.path()).is_ok());
}
