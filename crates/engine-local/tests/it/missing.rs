//! Segment files that are gone as a whole: whoever reads is told where events are missing, so is
//! the operator, and what is left is read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use outflow_engine_local::verify::verify_on;
use outflow_model::{Clock, Offset, StreamId};
use outflow_store::contract::reader::events_of;
use outflow_store::contract::sample;
use outflow_store::engine::ReadError;
use outflow_store::{Batch, Engine, Op};

use crate::rig::{DIR, Rig};

const STREAMS: u32 = 2;
const FIRST: Offset = Offset::FIRST;

/// One event for each stream, with a gap of one offset before it that was never used.
fn append(rig: &Rig, n: u64) {
    let now = rig.clock.now();
    for id in (1..=STREAMS).map(StreamId) {
        let one = sample::append(id, FIRST.plus(2 * n), &[4_000], now);
        assert_eq!(rig.engine().commit(vec![Batch::append(one)]), [Ok(())]);
    }
    rig.engine().seal_step().unwrap();
}

/// Forty events of each stream, and the segment files that hold most of them, oldest first.
fn filled() -> (Rig, Vec<PathBuf>) {
    let mut rig = Rig::new(3);
    rig.open().unwrap();
    assert_eq!(rig.engine().commit(vec![sample::make_streams(STREAMS)]), [Ok(())]);
    (0..40).for_each(|n| append(&rig, n));
    while rig.engine().seal_step().unwrap() {}
    let mut segments = segments(&rig);
    segments.sort();
    assert!(segments.len() > 3, "{segments:?}");
    (rig, segments)
}

fn segments(rig: &Rig) -> Vec<PathBuf> {
    let files = rig.disk.files().into_iter().map(|(path, _)| path);
    files.filter(|path| path.extension().is_some_and(|name| name == "seg")).collect()
}

/// What is left of a stream, and how often a reader was told that something is missing.
fn read(rig: &Rig, id: StreamId) -> (BTreeSet<u64>, usize) {
    let (mut found, mut told, mut from) = (BTreeSet::new(), 0, Offset::ZERO);
    loop {
        match rig.engine().read(id, from, 5_000).now_or_never().unwrap() {
            Ok(read) => {
                for event in read.blocks.iter().flat_map(|block| events_of(block)) {
                    found.insert((event.offset.get() - FIRST.get()) / 2);
                }
                if read.next >= read.bounds.next {
                    return (found, told);
                }
                from = read.next;
            }
            Err(ReadError::Damaged { resume, detail }) => {
                assert!(detail.contains("missing") && resume > from, "{detail} {resume}");
                (from, told) = (resume, told + 1);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn told_by_verify(rig: &Rig) -> usize {
    let report = verify_on(&rig.disk, Path::new(DIR), Some(&rig.state), &mut |_| ()).unwrap();
    report.damage.iter().filter(|what| what.contains("are missing")).count()
}

#[test]
fn a_lost_segment_is_told_wherever_it_was() {
    let (mut rig, segments) = filled();
    rig.kill();
    assert_eq!(told_by_verify(&rig), 0);
    let (files, state) = (rig.disk.files(), rig.state.copy());
    for (n, lost) in segments.iter().enumerate() {
        let rest: Vec<_> = files.iter().filter(|(path, _)| path != lost).cloned().collect();
        rig.disk.restore(&rest);
        rig.state = state.copy();
        assert_eq!(told_by_verify(&rig), STREAMS as usize, "segment {n}");
        rig.open().unwrap();
        let damage = rig.engine().health().damage;
        let is_told = |id| damage.iter().any(|what| what.contains(&format!("of stream {id} are")));
        assert!((1..=STREAMS).map(StreamId).all(is_told), "segment {n}: {damage:?}");
        let before: Vec<_> = (1..=STREAMS).map(|id| read(&rig, StreamId(id))).collect();
        for (found, told) in &before {
            assert!(found.len() > 20 && found.len() < 40, "segment {n}: {found:?}");
            assert_eq!(*told, 1, "segment {n}");
        }
        // Also behind what comes later, and after another start.
        (40..60).for_each(|n| append(&rig, n));
        while rig.engine().seal_step().unwrap() {}
        rig.engine().retain().unwrap();
        for _ in 0..2 {
            for (id, (found, _)) in (1..=STREAMS).map(StreamId).zip(&before) {
                let (after, told) = read(&rig, id);
                assert_eq!((after.len(), told), (found.len() + 20, 1), "segment {n}");
            }
            rig.kill();
            assert_eq!(told_by_verify(&rig), STREAMS as usize, "segment {n}");
            rig.open().unwrap();
        }
        rig.kill();
    }
}

#[test]
fn what_was_trimmed_is_not_missed() {
    let (mut rig, segments) = filled();
    let trims = (1..=STREAMS).map(|id| Op::Trim(StreamId(id), FIRST.plus(2 * 30)));
    assert_eq!(rig.engine().commit(vec![sample::batch(trims)]), [Ok(())]);
    rig.kill();
    let lost = &segments[0];
    let mut rest = rig.disk.files();
    rest.retain(|(path, _)| path != lost);
    rig.disk.restore(&rest);
    assert_eq!(told_by_verify(&rig), 0);
    rig.open().unwrap();
    assert_eq!(rig.engine().health().damage, [""; 0]);
    assert_eq!(read(&rig, StreamId(1)), ((30..40).collect(), 0));
}

#[test]
fn a_stream_that_lost_all_does_not_begin_anew() {
    let (mut rig, segments) = filled();
    let next = rig.engine().bounds(StreamId(1)).unwrap().next;
    // Everything is sealed, and the journal not needed any more.
    rig.engine().0.lock().hand_over();
    while rig.engine().seal_step().unwrap() {}
    rig.kill();
    let mut rest = rig.disk.files();
    rest.retain(|(path, _)| !segments.contains(path) && path.extension() != Some("seg".as_ref()));
    rig.disk.restore(&rest);
    rig.open().unwrap();
    let refused = rig.engine().read(StreamId(1), FIRST, 1).now_or_never().unwrap();
    assert!(matches!(refused, Err(ReadError::Damaged { resume, .. }) if resume == next));
    assert_eq!(rig.engine().bounds(StreamId(1)).unwrap().next, next);
    assert_eq!(read(&rig, StreamId(1)), (BTreeSet::new(), 1));
}
