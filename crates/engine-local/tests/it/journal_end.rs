//! A journal that lost its end: told, and whatever it held, nothing of it is given out again.

use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use outflow_model::{Clock, Offset, StreamId};
use outflow_store::contract::reader::read_all;
use outflow_store::contract::sample;
use outflow_store::{Batch, Condition, Engine, Op, Put};

use crate::rig::{DIR, Rig};

const S: StreamId = StreamId(1);
const QUIET: StreamId = StreamId(2);
const COMMITS: u64 = 20;

fn append(rig: &Rig) {
    let first = rig.engine().bounds(S).unwrap().next;
    let one = Batch::append(sample::append(S, first, &[300], rig.clock.now()));
    assert_eq!(rig.engine().commit(vec![one]), [Ok(())]);
}

fn put(rig: &Rig) -> u64 {
    let (key, value) = ("key".into(), Some("value".into()));
    let put = Op::Put(Put { key, value, condition: Condition::Any });
    assert_eq!(rig.engine().commit(vec![sample::batch([put])]), [Ok(())]);
    revision(rig)
}

fn revision(rig: &Rig) -> u64 {
    rig.engine().get(b"key").now_or_never().unwrap().unwrap().unwrap().revision
}

/// A machine whose engine was killed after commits that rested long enough to be marked.
fn marked() -> (Rig, u64) {
    let mut rig = Rig::new(11);
    rig.open().unwrap();
    assert_eq!(rig.engine().commit(vec![sample::make_streams(2)]), [Ok(())]);
    (0..COMMITS).for_each(|_| append(&rig));
    let revision = put(&rig);
    assert_eq!(rig.engine().0.lock().mark(), Ok(()));
    rig.kill();
    (rig, revision)
}

fn newest_journal(rig: &Rig) -> (PathBuf, Vec<u8>) {
    let files = rig.disk.files().into_iter();
    let mut journals: Vec<_> =
        files.filter(|(path, _)| path.starts_with(Path::new(DIR).join("journal"))).collect();
    // Generations are in the head.
    journals.sort_by_key(|(_, bytes)| bytes[16..24].iter().rev().copied().collect::<Vec<_>>());
    journals.pop().unwrap()
}

/// Opens twice more: told, nothing is given twice, and new events are taken and stay.
fn goes_on(rig: &mut Rig, before: u64, what: &str) {
    let given = Offset::FIRST.plus(COMMITS - 1);
    rig.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(!rig.engine().health().damage.is_empty(), "{what}: in silence");
    for id in [S, QUIET] {
        let next = rig.engine().bounds(id).unwrap().next;
        assert!(next > given, "{what}: {next} of {id} is given twice");
    }
    // A restart before anything is sealed changes nothing of that.
    let next = rig.engine().bounds(S).unwrap().next;
    rig.kill();
    rig.open().unwrap();
    assert!(rig.engine().bounds(S).unwrap().next >= next, "{what}");
    assert!(put(rig) > before, "{what}: a revision is given twice");
    let next = rig.engine().bounds(S).unwrap().next;
    (0..3).for_each(|_| append(rig));
    rig.engine().0.lock().hand_over();
    while rig.engine().seal_step().unwrap() {}
    let latest = revision(rig);
    rig.kill();
    rig.open().unwrap();
    // Once the damaged file is set aside there is no new damage, and nothing jumps any more.
    let damage = rig.engine().health().damage;
    assert!(damage.iter().all(|what| what.starts_with("quarantine/")), "{what}: {damage:?}");
    assert_eq!(rig.engine().bounds(S).unwrap().next, next.plus(3), "{what}");
    let events = read_all(&**rig.engine(), S, next, 1 << 20).now_or_never().unwrap().unwrap();
    assert_eq!(events.len(), 3, "{what}");
    assert!(put(rig) > latest, "{what}");
}

#[test]
fn a_lost_journal_file_is_told_and_nothing_is_given_twice() {
    let (mut rig, revision) = marked();
    let (newest, _) = newest_journal(&rig);
    let mut rest = rig.disk.files();
    rest.retain(|(path, _)| *path != newest);
    rig.disk.restore(&rest);
    goes_on(&mut rig, revision, "lost");
}

#[test]
fn an_emptied_or_cut_journal_file_is_told_and_nothing_is_given_twice() {
    for len in [0, 3, 31, 4_000, 4_096, 9_000, 40_000, 65_535] {
        let (mut rig, revision) = marked();
        let (newest, bytes) = newest_journal(&rig);
        rig.disk.damage(&newest, bytes[..len].to_vec());
        goes_on(&mut rig, revision, &format!("cut to {len}"));
        // And an end that reads as if it had never been written.
        let (mut rig, revision) = marked();
        let mut wiped = bytes.clone();
        wiped[len..].fill(0);
        rig.disk.damage(&newest, wiped);
        if rig.disk.files().iter().any(|(path, kept)| *path == newest && *kept != bytes) {
            goes_on(&mut rig, revision, &format!("wiped from {len}"));
        }
    }
}

#[test]
fn a_flipped_bit_of_the_newest_commit_is_told_once_it_has_rested() {
    let (rig, _) = marked();
    let (newest, bytes) = newest_journal(&rig);
    // The magic of the last record of this generation.
    let heads = (4_096..bytes.len()).step_by(4_096);
    let last = heads.filter(|&at| bytes[at..].starts_with(b"OFC\xFF")).max().unwrap();
    for byte in (0..64).chain([200, 4_095]) {
        for bit in 0..8 {
            let (mut rig, revision) = marked();
            let mut damaged = bytes.clone();
            damaged[last + byte] ^= 1 << bit;
            rig.disk.damage(&newest, damaged);
            goes_on(&mut rig, revision, &format!("bit {bit} of byte {byte}"));
        }
    }
}
