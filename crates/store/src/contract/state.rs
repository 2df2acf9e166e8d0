//! Laws of the keyed state: conditions, revisions, scans, limits.

use bytes::Bytes;

use super::sample::batch;
use super::{Bed, Reopen};
use crate::engine::AppendError;
use crate::{Batch, Condition, Op, Put};

fn put_if(key: &'static str, value: Option<&'static str>, condition: Condition) -> Batch {
    batch([Op::Put(Put { key: key.into(), value: value.map(Into::into), condition })])
}

fn put(key: &'static str, value: &'static str) -> Batch {
    put_if(key, Some(value), Condition::Any)
}

async fn value(bed: &dyn Bed, key: &str) -> Option<Bytes> {
    bed.engine().get(key.as_bytes()).await.unwrap().map(|entry| entry.value)
}

/// What was put is there, what was deleted is not, after any way down.
pub async fn puts_and_deletes_survive(bed: &mut dyn Bed) {
    let engine = bed.engine();
    for batch in [put("a", "1"), put("b", "2"), put("a", "3"), put("c", "")] {
        engine.submit(batch).await.unwrap();
    }
    engine.submit(Batch::put("b", None)).await.unwrap();
    engine.submit(Batch::put("never", None)).await.unwrap();
    for how in [Reopen::Crash, Reopen::Clean, Reopen::Crash] {
        assert_eq!(value(bed, "a").await.as_deref(), Some(&b"3"[..]));
        assert_eq!(value(bed, "b").await, None);
        assert_eq!(value(bed, "c").await.as_deref(), Some(&b""[..]), "empty is not absent");
        assert_eq!(value(bed, "never").await, None);
        bed.seal().await;
        bed.reopen(how).await;
    }
}

/// Of two that found the same revision, exactly one writes.
pub async fn one_of_two_racers_wins(bed: &mut dyn Bed) {
    let engine = bed.engine();
    for round in 0..20 {
        let found = engine.get(b"k").await.unwrap();
        let condition =
            found.map_or(Condition::Absent, |entry| Condition::Revision(entry.revision));
        let racers = ["x", "y", "z"].map(|who| engine.submit(put_if("k", Some(who), condition)));
        let mut results = Vec::new();
        for racer in racers {
            results.push(racer.await);
        }
        let wins = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(wins, 1, "round {round}: {results:?}");
        let lost = results.iter().filter(|result| **result == Err(AppendError::Conflict)).count();
        assert_eq!(lost, 2, "round {round}: {results:?}");
        assert_eq!(value(bed, "k").await.as_deref(), Some(&b"x"[..]), "the first submit wins");
    }
}

/// Each condition holds exactly when it says.
pub async fn conditions_hold_or_refuse(bed: &mut dyn Bed) {
    let engine = bed.engine();
    engine.submit(put_if("k", Some("1"), Condition::Absent)).await.unwrap();
    let refused = engine.submit(put_if("k", Some("2"), Condition::Absent)).await;
    assert_eq!(refused, Err(AppendError::Conflict));
    bed.reopen(Reopen::Crash).await;
    let engine = bed.engine();
    let revision = engine.get(b"k").await.unwrap().unwrap().revision;
    let stale = put_if("k", Some("3"), Condition::Revision(revision + 1));
    assert_eq!(engine.submit(stale).await, Err(AppendError::Conflict));
    engine.submit(put_if("k", Some("4"), Condition::Revision(revision))).await.unwrap();
    let stale = put_if("k", None, Condition::Revision(revision));
    assert_eq!(engine.submit(stale).await, Err(AppendError::Conflict));
    let revision = engine.get(b"k").await.unwrap().unwrap().revision;
    engine.submit(put_if("k", None, Condition::Revision(revision))).await.unwrap();
    let gone = put_if("k", Some("5"), Condition::Revision(revision));
    assert_eq!(engine.submit(gone).await, Err(AppendError::Conflict));
    engine.submit(put_if("k", Some("6"), Condition::Absent)).await.unwrap();
    assert_eq!(value(bed, "k").await.as_deref(), Some(&b"6"[..]));
}

/// A revision is never seen twice for a key: not after a delete, not after a crash.
pub async fn revisions_never_repeat(bed: &mut dyn Bed) {
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..12 {
        let engine = bed.engine();
        engine.submit(put("k", "same")).await.unwrap();
        let revision = engine.get(b"k").await.unwrap().unwrap().revision;
        assert!(seen.insert(revision), "revision {revision} is back in round {round}");
        if round % 3 == 0 {
            engine.submit(Batch::put("k", None)).await.unwrap();
        }
        match round % 4 {
            1 => bed.reopen(Reopen::Crash).await,
            3 => bed.reopen(Reopen::Clean).await,
            _ => {}
        }
    }
}

/// A scan is ordered by bytes, keeps to its prefix, and goes on after a key.
pub async fn scans_are_ordered_and_paged(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let keys: Vec<Vec<u8>> = (0..40u8)
        .map(|n| [b"p/".as_slice(), &[n.wrapping_mul(13), 255][..1 + usize::from(n % 2)]].concat())
        .chain([b"o".to_vec(), b"p".to_vec(), b"p0".to_vec(), vec![255, 255, 1], vec![255, 255]])
        .collect();
    let ops = keys.iter().map(|key| {
        let (key, value) = (key.clone().into(), Some(Bytes::from(key.clone())));
        Op::Put(Put { key, value, condition: Condition::Any })
    });
    engine.submit(batch(ops)).await.unwrap();
    for round in 0..2 {
        if round == 1 {
            bed.reopen(Reopen::Crash).await;
        }
        for prefix in [&b""[..], b"p", b"p/", b"q", &[255, 255], &[255]] {
            let mut expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
            expected.sort();
            for limit in [1, 7, 1_000] {
                let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
                loop {
                    let page = bed.engine().scan(prefix, after.as_deref(), limit).await.unwrap();
                    assert!(page.len() <= limit);
                    let Some(last) = page.last() else { break };
                    after = Some(last.key.to_vec());
                    assert!(page.iter().all(|entry| entry.key == entry.value));
                    found.extend(page.into_iter().map(|entry| entry.key.to_vec()));
                }
                assert!(found.iter().eq(expected.iter().copied()), "{prefix:?} by {limit}");
            }
        }
        let none = bed.engine().scan(b"p/", Some(b"q"), 10).await.unwrap();
        assert!(none.is_empty(), "after the prefix there is nothing");
        let all = bed.engine().scan(b"p/", Some(b"a"), 100).await.unwrap();
        assert_eq!(all.len(), 40, "before the prefix is its beginning");
    }
}

/// Limits of keys and values are those of [`Put`].
pub async fn bad_keys_and_values_are_refused(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let of = |key: Vec<u8>, len: usize| Batch::put(key, Some(vec![7; len].into()));
    let bad =
        [of(vec![], 1), of(vec![b'k'; 513], 1), of(vec![0, 1], 1), of(vec![1], (1 << 20) + 1)];
    for bad in bad {
        let refused = engine.submit(bad).await;
        assert!(matches!(refused, Err(AppendError::Invalid(_))), "{refused:?}");
    }
    engine.submit(of(vec![b'k'; 512], 1 << 20)).await.unwrap();
    bed.reopen(Reopen::Crash).await;
    let entry = bed.engine().get(&[b'k'; 512]).await.unwrap().unwrap();
    assert_eq!(entry.value.len(), 1 << 20);
}
