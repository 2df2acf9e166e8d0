//! Laws of forgetting: trims, retention by age and by size, dropped streams.

use outflow_model::{Offset, StreamId, Timestamp};

use super::reader::read_all;
use super::sample::{batch, make_streams, usual};
use super::{Bed, Reopen};
use crate::engine::{AppendError, Bounds, ReadError};
use crate::{Batch, Op, Retention, StreamConfig};

const S: StreamId = StreamId(1);
const T: StreamId = StreamId(2);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FIRST: Offset = Offset::FIRST;

/// A trim takes what is below the offset and nothing else; the answer to an older place is exact.
pub async fn a_trim_is_exact(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(2)).await.unwrap();
    for n in 0..10 {
        engine.submit(Batch::append(usual(S, FIRST.plus(n * 10), 10, AT))).await.unwrap();
        engine.submit(Batch::append(usual(T, FIRST.plus(n * 10), 10, AT))).await.unwrap();
    }
    let before = engine.stored_bytes(S);
    engine.submit(batch([Op::Trim(S, FIRST.plus(37))])).await.unwrap();
    engine.submit(batch([Op::Trim(S, FIRST.plus(12))])).await.unwrap();
    for round in 0..4 {
        match round {
            1 => bed.reopen(Reopen::Crash).await,
            2 => bed.seal().await,
            3 => bed.reopen(Reopen::Clean).await,
            _ => {}
        }
        let (engine, start) = (bed.engine(), FIRST.plus(37));
        assert_eq!(engine.bounds(S), Ok(Bounds { start, next: FIRST.plus(100) }));
        for below in [1, 36, FIRST.get(), FIRST.get() + 36] {
            let refused = engine.read(S, Offset::new(below), 1 << 20).await.unwrap_err();
            assert_eq!(refused, ReadError::Trimmed { start }, "{below}");
        }
        for from in [Offset::ZERO, start] {
            let events = read_all(&*engine, S, from.max(start), 1 << 20).await.unwrap();
            let offsets: Vec<_> = events.iter().map(|event| event.offset.get()).collect();
            assert_eq!(offsets, (start.get()..FIRST.get() + 100).collect::<Vec<_>>());
            assert!(engine.read(S, from, 1).await.is_ok(), "zero stands for the start");
        }
        assert_eq!(engine.seek(S, Timestamp::default()).await, Ok(start));
        assert!(engine.stored_bytes(S) < before, "what is gone is not counted");
        assert_eq!(read_all(&*engine, T, FIRST, 1 << 20).await.unwrap().len(), 100);
    }
}

/// A trim beyond the end empties the stream and moves nothing else.
pub async fn a_trim_never_reaches_past_the_end(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    engine.submit(Batch::append(usual(S, FIRST, 5, AT))).await.unwrap();
    engine.submit(batch([Op::Trim(S, FIRST.plus(1_000))])).await.unwrap();
    let end = FIRST.plus(5);
    assert_eq!(engine.bounds(S), Ok(Bounds { start: end, next: end }));
    engine.submit(Batch::append(usual(S, end, 2, AT))).await.unwrap();
    bed.reopen(Reopen::Crash).await;
    assert_eq!(bed.engine().bounds(S), Ok(Bounds { start: end, next: end.plus(2) }));
    assert_eq!(read_all(&*bed.engine(), S, end, 1).await.unwrap().len(), 2);
}

/// Age takes nothing that is younger than promised, and all that is older once it is sealed.
pub async fn unexpired_events_stay_and_expired_ones_go(bed: &mut dyn Bed) {
    let (engine, hour) = (bed.engine(), 3_600_000i64);
    let config = |hours: i64| StreamConfig {
        retention: Retention { age_ms: (hours * hour) as u64, max_bytes: None },
    };
    let make = [Op::SetStream(S, config(10)), Op::SetStream(T, config(1_000))];
    bed.clock().set(AT);
    engine.submit(batch(make)).await.unwrap();
    for n in 0..20u64 {
        let at = AT.plus_millis(n as i64 * hour);
        bed.clock().set(at);
        for id in [S, T] {
            engine.submit(Batch::append(usual(id, FIRST.plus(n * 4), 4, at))).await.unwrap();
        }
        if n % 5 == 4 {
            bed.seal().await;
        }
    }
    for now in 19..40i64 {
        bed.clock().set(AT.plus_millis(now * hour));
        bed.retain().await;
        let engine = bed.engine();
        let young = FIRST.plus((now - 10).clamp(0, 20) as u64 * 4);
        let Bounds { start, next } = engine.bounds(S).unwrap();
        assert!(start <= young, "at hour {now} an unexpired event is gone");
        assert_eq!(next, FIRST.plus(80));
        let kept = read_all(&*engine, S, start, 1 << 20).await.unwrap();
        assert_eq!(kept.len() as u64, next.get() - start.get(), "what is kept is whole");
        if start > FIRST {
            let older = engine.read(S, FIRST, 1).await.unwrap_err();
            assert_eq!(older, ReadError::Trimmed { start });
        }
    }
    for how in [Reopen::Crash, Reopen::Clean] {
        let end = FIRST.plus(80);
        assert_eq!(bed.engine().bounds(S), Ok(Bounds { start: end, next: end }), "all expired");
        assert_eq!(bed.engine().stored_bytes(S), 0);
        assert_eq!(read_all(&*bed.engine(), T, FIRST, 1 << 20).await.unwrap().len(), 80);
        bed.reopen(how).await;
    }
}

/// Events of a stream that is seldom published to go when they expire, give or take an eighth of
/// their age: however much others publish, and though nothing else brings them into their final
/// form.
pub async fn a_quiet_stream_expires_beside_a_busy_one(bed: &mut dyn Bed) {
    let (hour, hours) = (3_600_000i64, 16);
    let retention = Retention { age_ms: (hours * hour) as u64, max_bytes: None };
    let make = [S, T].map(|id| Op::SetStream(id, StreamConfig { retention }));
    bed.clock().set(AT);
    bed.engine().submit(batch(make)).await.unwrap();
    bed.engine().submit(Batch::append(usual(S, FIRST, 5, AT))).await.unwrap();
    for now in 0..40i64 {
        let at = AT.plus_millis(now * hour);
        bed.clock().set(at);
        let first = FIRST.plus(now as u64 * 4);
        bed.engine().submit(Batch::append(usual(T, first, 4, at))).await.unwrap();
        bed.retain().await;
        let (quiet, busy) = (bed.engine().bounds(S).unwrap(), bed.engine().bounds(T).unwrap());
        if now <= hours {
            assert_eq!(quiet.start, FIRST, "at hour {now} an unexpired event is gone");
        } else if now > hours + hours / 8 {
            assert_eq!(quiet.start, FIRST.plus(5), "at hour {now} an expired event is there");
            let late = FIRST.plus((now - hours - hours / 8) as u64 * 4);
            assert!(busy.start >= late, "at hour {now} an expired event is there");
        }
        if now == hours - 2 {
            bed.seal().await;
        }
    }
}

/// Size takes the oldest, and leaves at least what the limit promises.
pub async fn retention_by_size_keeps_the_newest(bed: &mut dyn Bed) {
    let (engine, limit) = (bed.engine(), 100_000);
    let retention = Retention { max_bytes: Some(limit), ..Retention::default() };
    bed.clock().set(AT);
    engine.submit(batch([Op::SetStream(S, StreamConfig { retention })])).await.unwrap();
    engine.submit(batch([Op::SetStream(T, StreamConfig::default())])).await.unwrap();
    for n in 0..100 {
        for id in [S, T] {
            engine.submit(Batch::append(usual(id, FIRST.plus(n * 50), 50, AT))).await.unwrap();
        }
        if n % 10 == 9 {
            bed.seal().await;
            bed.retain().await;
        }
    }
    for how in [Reopen::Crash, Reopen::Clean] {
        let engine = bed.engine();
        let Bounds { start, next } = engine.bounds(S).unwrap();
        let kept = read_all(&*engine, S, start, 1 << 20).await.unwrap();
        assert_eq!(kept.len() as u64, next.get() - start.get());
        let bytes: usize = kept.iter().map(|event| event.line.len()).sum();
        assert!(bytes as u64 >= limit, "only {bytes} bytes are left");
        assert!(start > FIRST && bytes < 900_000, "{bytes} of 1,000,000 bytes are left");
        assert_eq!(read_all(&*engine, T, FIRST, 1 << 20).await.unwrap().len(), 5_000);
        bed.reopen(how).await;
    }
}

/// A dropped stream is gone, stays gone, and its id is not given out again.
pub async fn a_dropped_stream_is_gone_for_good(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(2)).await.unwrap();
    for id in [S, T] {
        engine.submit(Batch::append(usual(id, FIRST, 50, AT))).await.unwrap();
    }
    bed.seal().await;
    for id in [S, T] {
        engine.submit(Batch::append(usual(id, FIRST.plus(50), 50, AT))).await.unwrap();
    }
    engine.submit(batch([Op::DropStream(S)])).await.unwrap();
    for round in 0..4 {
        match round {
            1 => bed.reopen(Reopen::Crash).await,
            2 => bed.seal().await,
            3 => bed.reopen(Reopen::Clean).await,
            _ => {}
        }
        let engine = bed.engine();
        assert_eq!(engine.bounds(S), Err(ReadError::UnknownStream(S)), "round {round}");
        assert_eq!(engine.read(S, FIRST, 1).await.unwrap_err(), ReadError::UnknownStream(S));
        assert_eq!(engine.seek(S, AT).await.unwrap_err(), ReadError::UnknownStream(S));
        assert_eq!(engine.stored_bytes(S), 0);
        let late = engine.submit(Batch::append(usual(S, FIRST.plus(100), 1, AT))).await;
        assert_eq!(late, Err(AppendError::UnknownStream(S)));
        let again = engine.submit(batch([Op::SetStream(S, StreamConfig::default())])).await;
        assert!(matches!(again, Err(AppendError::Invalid(_))), "{again:?} in round {round}");
        assert_eq!(engine.streams().len(), 1);
        assert_eq!(read_all(&*engine, T, FIRST, 1 << 20).await.unwrap().len(), 100);
    }
}
