//! A disk that somebody else has filled to the last byte: what makes room, and what says how far
//! consumers are, goes on; appends are refused and come back by themselves.

use outflow_model::{Clock, StreamId};
use outflow_store::contract::sample;
use outflow_store::{AppendError, Batch, Condition, Engine, Op, Put};

use crate::rig::{AMPLE, Rig};

const S: StreamId = StreamId(1);
/// How many commits of a few bytes fit into a journal file of the rig.
const COMMITS: usize = 15;

fn append(rig: &Rig) -> Result<(), AppendError> {
    let first = rig.engine().bounds(S).unwrap().next;
    let one = Batch::append(sample::append(S, first, &[3_000], rig.clock.now()));
    rig.engine().commit(vec![one]).remove(0)
}

fn put(rig: &Rig, key: &str) -> Result<(), AppendError> {
    let (key, value) = (key.to_owned().into(), Some("done".into()));
    let put = Op::Put(Put { key, value, condition: Condition::Any });
    rig.engine().commit(vec![sample::batch([put])]).remove(0)
}

/// Events in segments and in the journal, and a spare journal file.
fn begin() -> Rig {
    let mut rig = Rig::new(5);
    rig.open().unwrap();
    assert_eq!(rig.engine().commit(vec![sample::make_streams(1)]), [Ok(())]);
    for _ in 0..40 {
        append(&rig).unwrap();
    }
    while rig.engine().seal_step().unwrap() {}
    rig.engine().retain().unwrap();
    rig
}

/// Leaves no byte, and appends until they are refused.
fn fill(rig: &Rig) {
    rig.disk.set_capacity(rig.disk.used());
    let refused = (0..100).find_map(|_| append(rig).err());
    assert_eq!(refused, Some(AppendError::Full));
    let health = rig.engine().health();
    // What is asked for is the reserve and a journal file.
    assert!(health.full && health.needed > 128 << 10, "{health:?}");
}

#[test]
fn acks_go_on_when_no_byte_is_free_and_a_trim_makes_room() {
    let rig = begin();
    fill(&rig);
    for n in 1..COMMITS {
        assert_eq!(put(&rig, &format!("cursor/{n}")), Ok(()));
        assert_eq!(append(&rig), Err(AppendError::Full), "the spare is not for events");
    }
    let end = rig.engine().bounds(S).unwrap().next;
    assert_eq!(rig.engine().commit(vec![sample::batch([Op::Trim(S, end)])]), [Ok(())]);
    // Nothing is left to be rewritten, so that journal files become free without room.
    for n in 0..10 * COMMITS {
        assert_eq!(put(&rig, &format!("cursor/{n}")), Ok(()));
    }
    assert_eq!(append(&rig), Err(AppendError::Full));
}

#[test]
fn there_is_a_spare_again_once_there_was_room_for_it() {
    let rig = begin();
    for round in 0..3 {
        fill(&rig);
        let acks = (0..100).take_while(|n| put(&rig, &format!("cursor/{n}")).is_ok()).count();
        assert!(acks >= COMMITS, "{acks} in round {round}");
        assert_eq!(put(&rig, "one too many"), Err(AppendError::Full), "an answer, not a stop");
        assert_eq!(rig.engine().health().stopped, None);

        rig.disk.set_capacity(AMPLE);
        while rig.engine().seal_step().unwrap() {}
        rig.engine().retain().unwrap();
        assert!(!rig.engine().health().full, "full for ever");
        for _ in 0..40 {
            append(&rig).unwrap();
        }
        while rig.engine().seal_step().unwrap() {}
        rig.engine().retain().unwrap();
    }
}

#[test]
fn a_restart_on_a_full_disk_takes_acks_and_keeps_them() {
    let mut rig = begin();
    append(&rig).unwrap();
    rig.disk.set_capacity(rig.disk.used());
    let before = rig.engine().bounds(S).unwrap();
    rig.kill();
    rig.open().unwrap();
    assert_eq!(append(&rig), Err(AppendError::Full));
    for n in 0..COMMITS {
        assert_eq!(put(&rig, &format!("cursor/{n:02}")), Ok(()));
    }
    rig.kill();
    rig.open().unwrap();
    assert_eq!(rig.engine().bounds(S), Ok(before));
    let acks = rig.engine().0.lock().scan(b"cursor/", None, 100).unwrap();
    assert_eq!(acks.len(), COMMITS);
}
