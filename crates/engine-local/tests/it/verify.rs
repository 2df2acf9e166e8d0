//! What the offline check says of a directory.

use std::path::Path;

use outflow_engine_local::verify::verify_on;
use outflow_model::{Clock, Offset, StreamId};
use outflow_store::contract::sample;
use outflow_store::{Batch, Op};

use crate::rig::{DIR, Rig};

const FIRST: Offset = Offset::FIRST;

/// Events that a trim took, and those of a dropped stream, are not counted while the journal still
/// holds them.
#[test]
fn what_was_trimmed_or_dropped_is_not_counted() {
    let mut rig = Rig::new(8);
    rig.open().unwrap();
    let engine = rig.engine().clone();
    assert_eq!(engine.commit(vec![sample::make_streams(3)]), [Ok(())]);
    for n in 0..10 {
        for id in (1..=3).map(StreamId) {
            let one = sample::append(id, FIRST.plus(n), &[300], rig.clock.now());
            assert_eq!(engine.commit(vec![Batch::append(one)]), [Ok(())]);
            while engine.seal_step().unwrap() {}
        }
    }
    let ops = [
        Op::Trim(StreamId(1), FIRST.plus(6)),
        Op::Trim(StreamId(1), FIRST.plus(2)),
        Op::DropStream(StreamId(2)),
    ];
    assert_eq!(engine.commit(vec![sample::batch(ops)]), [Ok(())]);
    drop(engine);
    rig.kill();
    for round in 0..2 {
        let report = verify_on(&rig.disk, Path::new(DIR), Some(&rig.state), &mut |_| ()).unwrap();
        assert!(report.is_clean(), "{:?}", report.damage);
        let found: Vec<_> =
            report.streams.iter().map(|(id, stream)| (id.0, stream.last, stream.events)).collect();
        // Blocks count whole, so that there may be a few more than are retained.
        let last = FIRST.plus(9);
        assert!(
            matches!(found[..], [(1, end, 4..=5), (3, _, 10)] if end == last),
            "{found:?} in round {round}"
        );
        // Sealed, and the journal not used again yet.
        rig.open().unwrap();
        while rig.engine().seal_step().unwrap() {}
        rig.kill();
    }
}
