//! Laws of the log: appends, offsets, atomic batches, reads, time lookup.

use outflow_model::{Offset, StreamId, Timestamp};

use super::reader::read_all;
use super::sample::{append, batch, line, make_streams, usual};
use super::{Bed, Reopen};
use crate::engine::{AppendError, Bounds, ReadError};
use crate::{Batch, Condition, Op, Put, Retention, StreamConfig};

const S: StreamId = StreamId(1);
const T: StreamId = StreamId(2);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FIRST: Offset = Offset::FIRST;

/// What was appended is read back exactly: now, sealed, after a clean stop and after a crash.
pub async fn appended_events_are_read_back_byte_for_byte(bed: &mut dyn Bed) {
    let size = |n: usize| if n % 50 == 7 { 70_000 } else { [90, 200, 1_000][n % 3] };
    let sizes: Vec<usize> = (0..200).map(size).collect();
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    for (n, sizes) in sizes.chunks(7).enumerate() {
        let first = FIRST.plus(7 * n as u64);
        engine.submit(Batch::append(append(S, first, sizes, AT))).await.unwrap();
    }
    let expected: Vec<_> =
        (0..).zip(&sizes).map(|(n, &size)| line(S, FIRST.plus(n), size)).collect();
    for round in 0..4 {
        match round {
            1 => bed.reopen(Reopen::Crash).await,
            2 => bed.seal().await,
            3 => bed.reopen(Reopen::Clean).await,
            _ => {}
        }
        for max_bytes in [1, 10_000, usize::MAX] {
            let events = read_all(&*bed.engine(), S, Offset::ZERO, max_bytes).await.unwrap();
            let lines: Vec<_> = events.into_iter().map(|event| event.line).collect();
            assert_eq!(lines.len(), expected.len(), "round {round}");
            assert!(lines == expected, "the bytes differ in round {round}");
        }
    }
}

/// An offset below the end is refused, gaps are allowed, and the end outlives trims and re-opens.
pub async fn offsets_only_rise_and_are_never_reused(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    assert_eq!(engine.bounds(S), Ok(Bounds { start: FIRST, next: FIRST }));
    engine.submit(Batch::append(usual(S, FIRST, 3, AT))).await.unwrap();
    for taken in [0, 2] {
        let again = engine.submit(Batch::append(usual(S, FIRST.plus(taken), 1, AT))).await;
        assert_eq!(again, Err(AppendError::Conflict));
    }
    engine.submit(Batch::append(usual(S, FIRST.plus(10), 2, AT))).await.unwrap();
    engine.submit(batch([Op::Trim(S, FIRST.plus(12))])).await.unwrap();
    for how in [Reopen::Crash, Reopen::Clean, Reopen::Crash] {
        bed.reopen(how).await;
        let end = FIRST.plus(12);
        assert_eq!(bed.engine().bounds(S), Ok(Bounds { start: end, next: end }), "{how:?}");
        let again = bed.engine().submit(Batch::append(usual(S, FIRST.plus(11), 1, AT))).await;
        assert_eq!(again, Err(AppendError::Conflict), "{how:?}");
        bed.seal().await;
    }
    bed.engine().submit(Batch::append(usual(S, FIRST.plus(12), 1, AT))).await.unwrap();
}

/// An empty stream's start stays when the next append leaves a gap: a reader that waits at the end
/// has lost nothing. A trim stays too, however the events came that it took.
pub async fn a_gap_moves_no_start(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(2)).await.unwrap();
    for id in [S, T] {
        engine.submit(Batch::append(usual(id, FIRST.plus(5), 3, AT))).await.unwrap();
    }
    let end = FIRST.plus(8);
    engine.submit(batch([Op::Trim(T, end)])).await.unwrap();
    engine.submit(Batch::append(usual(T, FIRST.plus(20), 2, AT))).await.unwrap();
    for round in 0..5 {
        match round {
            1 | 4 => bed.reopen(Reopen::Crash).await,
            2 => bed.seal().await,
            3 => bed.reopen(Reopen::Clean).await,
            _ => {}
        }
        let engine = bed.engine();
        assert_eq!(engine.bounds(S), Ok(Bounds { start: FIRST, next: end }), "round {round}");
        let bounds = Bounds { start: end, next: FIRST.plus(22) };
        assert_eq!(engine.bounds(T), Ok(bounds), "round {round}");
        assert_eq!(read_all(&*engine, S, FIRST, 1 << 20).await.unwrap().len(), 3);
        assert_eq!(read_all(&*engine, T, end, 1 << 20).await.unwrap().len(), 2);
        let trimmed = engine.read(T, FIRST.plus(7), 1).await.unwrap_err();
        assert_eq!(trimmed, ReadError::Trimmed { start: end }, "round {round}");
    }
}

/// A batch reaches all its streams and keys.
pub async fn a_batch_over_streams_and_state_is_atomic(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(2)).await.unwrap();
    let put = |key: &'static str| {
        Op::Put(Put { key: key.into(), value: Some("v".into()), condition: Condition::Absent })
    };
    let ops = [
        Op::Append(usual(S, FIRST, 2, AT)),
        put("a"),
        Op::Append(usual(T, FIRST, 3, AT)),
        put("b"),
    ];
    engine.submit(batch(ops)).await.unwrap();
    for how in [None, Some(Reopen::Crash), Some(Reopen::Clean)] {
        if let Some(how) = how {
            bed.reopen(how).await;
        }
        let engine = bed.engine();
        assert_eq!(read_all(&*engine, S, FIRST, 1 << 20).await.unwrap().len(), 2);
        assert_eq!(read_all(&*engine, T, FIRST, 1 << 20).await.unwrap().len(), 3);
        for key in ["a", "b"] {
            assert_eq!(engine.get(key.as_bytes()).await.unwrap().unwrap().value, "v", "{how:?}");
        }
    }
}

/// Whatever the reason, a refused batch leaves nothing, and the next one goes through.
pub async fn a_refused_batch_is_wholly_absent(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(2)).await.unwrap();
    engine.submit(Batch::append(usual(S, FIRST, 1, AT))).await.unwrap();
    let unknown = StreamId(77);
    let no_events = append(S, FIRST.plus(9), &[], AT);
    let mut torn = usual(S, FIRST.plus(9), 2, AT);
    torn.metas.truncate(100);
    let past_the_last = usual(S, Offset::LAST, 2, AT);
    let wrong = |key: &'static str, condition| {
        Op::Put(Put { key: key.into(), value: Some("w".into()), condition })
    };
    let bad = [
        (Op::Append(usual(S, FIRST, 1, AT)), AppendError::Conflict),
        (wrong("none", Condition::Revision(3)), AppendError::Conflict),
        (Op::Append(usual(unknown, FIRST, 1, AT)), AppendError::UnknownStream(unknown)),
        (Op::Trim(unknown, FIRST), AppendError::UnknownStream(unknown)),
        (Op::Append(no_events), AppendError::Invalid("")),
        (Op::Append(torn), AppendError::Invalid("")),
        (Op::Append(past_the_last), AppendError::Invalid("")),
    ];
    let before = |new: u32| {
        let put = Put { key: "k".into(), value: Some("v".into()), condition: Condition::Any };
        [
            Op::SetStream(StreamId(new), StreamConfig::default()),
            Op::Append(usual(T, FIRST, 2, AT)),
            Op::Put(put),
            Op::Trim(S, FIRST.plus(1)),
        ]
    };
    for (bad, error) in bad {
        let refused = engine.submit(batch(before(50).into_iter().chain([bad]))).await.unwrap_err();
        assert_eq!(std::mem::discriminant(&refused), std::mem::discriminant(&error), "{refused}");
    }
    for how in [None, Some(Reopen::Crash)] {
        if let Some(how) = how {
            bed.reopen(how).await;
        }
        let engine = bed.engine();
        assert_eq!(engine.bounds(StreamId(50)), Err(ReadError::UnknownStream(StreamId(50))));
        assert_eq!(engine.bounds(S), Ok(Bounds { start: FIRST, next: FIRST.plus(1) }));
        assert_eq!(engine.bounds(T), Ok(Bounds { start: FIRST, next: FIRST }));
        assert_eq!(engine.get(b"k").await, Ok(None));
    }
    bed.engine().submit(batch(before(50))).await.unwrap();
}

/// Parts of a batch are applied in order: one may build on what an earlier one makes.
pub async fn parts_of_a_batch_see_each_other(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let put = |value: Option<&'static str>, condition| {
        Op::Put(Put { key: "k".into(), value: value.map(Into::into), condition })
    };
    let ops = [
        Op::SetStream(S, StreamConfig::default()),
        Op::Append(usual(S, FIRST, 2, AT)),
        Op::Append(usual(S, FIRST.plus(2), 2, AT)),
        put(Some("1"), Condition::Absent),
        put(None, Condition::Any),
        put(Some("2"), Condition::Absent),
    ];
    engine.submit(batch(ops)).await.unwrap();
    let overlapping =
        [Op::Append(usual(S, FIRST.plus(4), 2, AT)), Op::Append(usual(S, FIRST.plus(5), 1, AT))];
    assert_eq!(engine.submit(batch(overlapping)).await, Err(AppendError::Conflict));
    let dropped = [Op::DropStream(S), Op::Append(usual(S, FIRST.plus(4), 1, AT))];
    assert_eq!(engine.submit(batch(dropped)).await, Err(AppendError::UnknownStream(S)));
    let twice = [put(Some("3"), Condition::Any), put(Some("4"), Condition::Absent)];
    assert_eq!(engine.submit(batch(twice)).await, Err(AppendError::Conflict));
    assert_eq!(engine.submit(Batch::default()).await, Ok(()), "an empty batch is no fault");
    bed.reopen(Reopen::Crash).await;
    let engine = bed.engine();
    assert_eq!(read_all(&*engine, S, FIRST, 1 << 20).await.unwrap().len(), 4);
    assert_eq!(engine.get(b"k").await.unwrap().unwrap().value, "2");
}

/// A read gives at least one event, about as much as asked, and says where to go on.
pub async fn reads_are_bounded_ordered_and_whole(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    for n in 0..300 {
        engine.submit(Batch::append(usual(S, FIRST.plus(n * 5), 5, AT))).await.unwrap();
    }
    for is_sealed in [false, true] {
        if is_sealed {
            bed.seal().await;
        }
        let engine = bed.engine();
        let read = engine.read(S, FIRST, 1).await.unwrap();
        assert_eq!(read.blocks.len(), 1, "one block is the least, and one byte asks for no more");
        let read = engine.read(S, FIRST, 20_000).await.unwrap();
        let bytes: usize = read.blocks.iter().map(|block| block.plain_len()).sum();
        assert!(bytes <= 20_000 + (1 << 20), "{bytes} is far more than was asked for");
        let events = read_all(&*engine, S, FIRST, 20_000).await.unwrap();
        let gapless = events.iter().zip(0..).all(|(event, n)| event.offset == FIRST.plus(n));
        assert!(gapless && events.len() == 1_500);
    }
}

/// Any offset is a start: in a block, in a gap, at the end, past it.
pub async fn a_read_may_start_anywhere(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    assert_eq!(engine.read(S, FIRST, 1).await.unwrap().blocks.len(), 0);
    for n in 0..20 {
        engine.submit(Batch::append(usual(S, FIRST.plus(n * 10), 7, AT))).await.unwrap();
    }
    for is_sealed in [false, true] {
        if is_sealed {
            bed.seal().await;
        }
        let engine = bed.engine();
        for from in (0..=197).map(|n| FIRST.plus(n)) {
            let is_there = |n: &u64| n % 10 < 7 && FIRST.plus(*n) >= from;
            let expected: Vec<_> = (0..197).filter(is_there).map(|n| FIRST.plus(n)).collect();
            let events = read_all(&*engine, S, from, 3_000).await.unwrap();
            let offsets: Vec<_> = events.iter().map(|event| event.offset).collect();
            assert_eq!(offsets, expected, "from {from}");
        }
        let past = engine.read(S, FIRST.plus(500), 1 << 20).await.unwrap();
        assert!(past.blocks.is_empty(), "past the end there is nothing");
    }
    let unknown = StreamId(9);
    let refused = engine.read(unknown, FIRST, 1).await.unwrap_err();
    assert_eq!(refused, ReadError::UnknownStream(unknown));
}

/// Time lookup is exact at both ends and between.
pub async fn seek_finds_the_first_event_at_or_after(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    assert_eq!(engine.seek(S, AT).await, Ok(FIRST), "an empty stream has only its end");
    for n in 0..60u64 {
        let at = AT.plus_millis(n as i64 / 3 * 10);
        engine.submit(Batch::append(usual(S, FIRST.plus(n * 2), 2, at))).await.unwrap();
    }
    for is_sealed in [false, true] {
        if is_sealed {
            bed.seal().await;
            bed.reopen(Reopen::Clean).await;
        }
        let engine = bed.engine();
        for ms in -5..200i64 {
            let wanted = (ms.max(0) as u64).div_ceil(10) * 6;
            let found = engine.seek(S, AT.plus_millis(ms)).await.unwrap();
            assert_eq!(found, FIRST.plus(wanted.min(120)), "{ms} ms, sealed: {is_sealed}");
        }
        assert_eq!(engine.seek(S, Timestamp::from_millis(i64::MAX)).await, Ok(FIRST.plus(120)));
        assert_eq!(engine.seek(S, Timestamp::from_millis(i64::MIN)).await, Ok(FIRST));
    }
}

/// A clock that steps back does not make an event older than the one before it.
pub async fn time_never_falls_within_a_stream(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    let times = [50, 20, 60, 10, 60, 70, 0, 80i64];
    for (n, ms) in (0..).zip(times) {
        let one = usual(S, FIRST.plus(n), 1, AT.plus_millis(ms));
        engine.submit(Batch::append(one)).await.unwrap();
    }
    let taken = [50, 50, 60, 60, 60, 70, 70, 80i64];
    for round in 0..3 {
        match round {
            1 => bed.reopen(Reopen::Crash).await,
            2 => bed.seal().await,
            _ => {}
        }
        for ms in 0..90 {
            let wanted = taken.iter().position(|&at| at >= ms).unwrap_or(taken.len());
            let found = bed.engine().seek(S, AT.plus_millis(ms)).await.unwrap();
            assert_eq!(found, FIRST.plus(wanted as u64), "{ms} ms in round {round}");
        }
    }
}

/// Streams are listed in order of id with their latest configuration.
pub async fn streams_are_listed_and_reconfigured(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let config =
        |age_ms| StreamConfig { retention: Retention { age_ms, max_bytes: Some(1 << 30) } };
    for (id, age_ms) in [(7, 10_000), (3, 20_000), (7, 30_000), (5, 20_000)] {
        let set = batch([Op::SetStream(StreamId(id), config(age_ms))]);
        engine.submit(set).await.unwrap();
    }
    engine.submit(Batch::append(usual(StreamId(7), FIRST, 1, AT))).await.unwrap();
    engine.submit(batch([Op::SetStream(StreamId(7), config(40_000))])).await.unwrap();
    let expected = [(3, 20_000), (5, 20_000), (7, 40_000)];
    let expected = expected.map(|(id, age_ms)| (StreamId(id), config(age_ms)));
    for how in [None, Some(Reopen::Crash), Some(Reopen::Clean)] {
        if let Some(how) = how {
            bed.reopen(how).await;
        }
        assert_eq!(bed.engine().streams(), expected, "{how:?}");
        let kept = read_all(&*bed.engine(), StreamId(7), FIRST, 1).await.unwrap();
        assert_eq!(kept.len(), 1, "a change keeps the events");
    }
}
