//! Laws of commits: order, concurrency, observers, relaxed batches, full disks, closing.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_model::{Offset, StreamId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::reader::read_all;
use super::sample::{batch, make_streams, usual};
use super::{Bed, Reopen};
use crate::engine::{AppendError, CommitObserver};
use crate::{Batch, Condition, Durability, Op, Put};

const S: StreamId = StreamId(1);
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FIRST: Offset = Offset::FIRST;

/// Batches submitted one after another without waiting are all written, in that order.
pub async fn commits_are_in_the_order_of_submits(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let mut commits = vec![engine.submit(make_streams(1))];
    for n in 0..500 {
        let mut one = Batch::append(usual(S, FIRST.plus(n), 1, AT));
        one.ops.push(Op::Put(Put {
            key: "last".into(),
            value: Some(n.to_string().into()),
            condition: Condition::Any,
        }));
        commits.push(engine.submit(one));
    }
    // Waiting in any order is as good.
    for commit in commits.into_iter().rev() {
        commit.await.unwrap();
    }
    bed.reopen(Reopen::Crash).await;
    let events = read_all(&*bed.engine(), S, FIRST, 1 << 20).await.unwrap();
    assert_eq!(events.len(), 500);
    assert_eq!(bed.engine().get(b"last").await.unwrap().unwrap().value, "499");
}

/// Publishers on many threads, with streams of their own and one shared under a lock.
pub async fn concurrent_publishers_lose_nothing(bed: &mut dyn Bed) {
    const THREADS: u32 = 4;
    const ROUNDS: u64 = 100;
    let engine = bed.engine();
    engine.submit(make_streams(THREADS + 1)).await.unwrap();
    let shared = Mutex::new(FIRST);
    let publish = |own: StreamId| {
        let mut commits = Vec::new();
        for n in 0..ROUNDS {
            commits.push(engine.submit(Batch::append(usual(own, FIRST.plus(n * 2), 2, AT))));
            let mut next = shared.lock();
            commits.push(engine.submit(Batch::append(usual(S, *next, 3, AT))));
            *next = next.plus(3);
        }
        commits
    };
    let commits: Vec<_> = std::thread::scope(|scope| {
        let publish = &publish;
        let own = (0..THREADS).map(|n| StreamId(n + 2));
        let threads: Vec<_> = own.map(|own| scope.spawn(move || publish(own))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for commit in commits {
        commit.await.unwrap();
    }
    bed.reopen(Reopen::Crash).await;
    let count = async |id| read_all(&*bed.engine(), id, FIRST, 1 << 20).await.unwrap().len() as u64;
    assert_eq!(count(S).await, u64::from(THREADS) * ROUNDS * 3);
    for own in 0..THREADS {
        assert_eq!(count(StreamId(own + 2)).await, ROUNDS * 2);
    }
}

/// Remembers where it was told that each stream ends.
#[derive(Debug, Default)]
struct Ear {
    ends: Mutex<BTreeMap<StreamId, Offset>>,
    heard: Notify,
}

impl CommitObserver for Ear {
    fn committed(&self, streams: &[(StreamId, Offset)]) {
        let mut ends = self.ends.lock();
        for &(id, next) in streams {
            let end = ends.entry(id).or_default();
            *end = next.max(*end);
        }
        drop(ends);
        self.heard.notify_one();
    }
}

/// Hints may be merged, but the last one always comes, and what it names can be read.
pub async fn the_observer_hears_of_every_commit(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(3)).await.unwrap();
    let ear = Arc::new(Ear::default());
    engine.observe(ear.clone());
    let mut expected = BTreeMap::new();
    for n in 0..60 {
        let id = StreamId(1 + (n % 3) as u32);
        let mut one = Batch::append(usual(id, FIRST.plus(n * 4), 4, AT));
        if n % 5 == 0 {
            one.durability = Durability::Relaxed;
        }
        expected.insert(id, FIRST.plus(n * 4 + 4));
        engine.submit(one).await.unwrap();
        let refused = engine.submit(Batch::append(usual(id, FIRST, 900, AT))).await;
        assert_eq!(refused, Err(AppendError::Conflict), "and is not heard of");
    }
    loop {
        let ends = ear.ends.lock().clone();
        for (&id, &end) in &ends {
            assert!(engine.bounds(id).unwrap().next >= end, "a hint is never ahead");
        }
        if ends == expected {
            break;
        }
        ear.heard.notified().await;
    }
}

/// Relaxed batches are written in order among synced ones; a synced ack covers all before it.
pub async fn relaxed_batches_keep_their_order(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    let relaxed = |n: u64| Batch {
        durability: Durability::Relaxed,
        ..Batch::append(usual(S, FIRST.plus(n), 1, AT))
    };
    for n in 0..50 {
        engine.submit(relaxed(n)).await.unwrap();
    }
    engine.submit(Batch::append(usual(S, FIRST.plus(50), 1, AT))).await.unwrap();
    bed.reopen(Reopen::Crash).await;
    let covered = read_all(&*bed.engine(), S, FIRST, 1 << 20).await.unwrap().len();
    assert_eq!(covered, 51, "a synced ack covers what was relaxed before it");
    for n in 51..80 {
        bed.engine().submit(relaxed(n)).await.unwrap();
    }
    bed.reopen(Reopen::Crash).await;
    let events = read_all(&*bed.engine(), S, FIRST, 1 << 20).await.unwrap();
    assert!((51..=80).contains(&events.len()), "{} events", events.len());
    let prefix = events.iter().zip(0..).all(|(event, n)| event.offset == FIRST.plus(n));
    assert!(prefix, "a crash loses the latest only");
    let n = events.len() as u64;
    bed.engine().submit(relaxed(n)).await.unwrap();
    bed.reopen(Reopen::Clean).await;
    let kept = read_all(&*bed.engine(), S, FIRST, 1 << 20).await.unwrap().len();
    assert_eq!(kept as u64, n + 1, "a clean stop loses nothing");
}

/// What was queued before a synced batch can be read once that is answered, even when the batch is
/// empty and what was before it did not wait for the disk.
pub async fn a_synced_answer_shows_all_before_it(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    for n in 0..200 {
        let relaxed = Batch {
            durability: Durability::Relaxed,
            ..Batch::append(usual(S, FIRST.plus(n), 1, AT))
        };
        let relaxed = engine.submit(relaxed);
        engine.submit(Batch::default()).await.unwrap();
        assert_eq!(engine.bounds(S).unwrap().next, FIRST.plus(n + 1));
        relaxed.await.unwrap();
    }
}

/// No room is `Full`, whole and without harm; what frees room still goes through.
pub async fn a_full_disk_is_an_answer(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    engine.submit(Batch::append(usual(S, FIRST, 10, AT))).await.unwrap();
    bed.set_full(true);
    // An engine may have some room left in what it took before.
    let mut next = FIRST.plus(10);
    let refused = loop {
        match engine.submit(Batch::append(usual(S, next, 100, AT))).await {
            Ok(()) => next = next.plus(100),
            Err(error) => break error,
        }
        assert!(next < FIRST.plus(1_000_000), "the disk never fills");
    };
    assert_eq!(refused, AppendError::Full);
    assert!(engine.health().full);
    assert_eq!(engine.bounds(S).unwrap().next, next);
    engine.submit(Batch::put("ack", Some("1".into()))).await.unwrap();
    engine.submit(batch([Op::Trim(S, FIRST.plus(5))])).await.unwrap();
    assert_eq!(engine.bounds(S).unwrap().start, FIRST.plus(5));
    bed.set_full(false);
    loop {
        match engine.submit(Batch::append(usual(S, next, 100, AT))).await {
            Ok(()) => break,
            Err(error) => assert_eq!(error, AppendError::Full),
        }
        tokio::task::yield_now().await;
    }
    assert!(!engine.health().full && engine.health().stopped.is_none());
    bed.reopen(Reopen::Crash).await;
    let events = read_all(&*bed.engine(), S, FIRST.plus(5), 1 << 20).await.unwrap();
    assert_eq!(events.len() as u64, next.get() + 100 - FIRST.get() - 5);
    assert_eq!(bed.engine().get(b"ack").await.unwrap().unwrap().value, "1");
}

/// Closing waits for what is queued; afterwards nothing is taken and nothing is missing.
pub async fn a_closed_engine_refuses_and_keeps_all(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(make_streams(1)).await.unwrap();
    let commits: Vec<_> =
        (0..40).map(|n| engine.submit(Batch::append(usual(S, FIRST.plus(n), 1, AT)))).collect();
    engine.close().await;
    let late = engine.submit(Batch::append(usual(S, FIRST.plus(40), 1, AT))).await;
    assert!(matches!(late, Err(AppendError::Stopped(_))), "{late:?}");
    for commit in commits {
        commit.await.unwrap();
    }
    engine.close().await;
    bed.reopen(Reopen::Crash).await;
    assert_eq!(read_all(&*bed.engine(), S, FIRST, 1 << 20).await.unwrap().len(), 40);
}
