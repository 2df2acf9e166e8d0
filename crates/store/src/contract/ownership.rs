//! Laws of ownership: leases, epochs, fences.

use std::time::Duration;

use outflow_model::id::Shard;

use super::{Bed, Reopen};
use crate::engine::{AppendError, LeaseError};
use crate::{Batch, Fence};

const SHARD: Shard = Shard(7);
const TTL: Duration = Duration::from_secs(10);

fn fenced(shard: Shard, epoch: u64) -> Batch {
    Batch { fence: Some(Fence { shard, epoch }), ..Batch::put("k", Some("v".into())) }
}

/// A new owner has a higher epoch than any before: by expiry, by release, after any way down.
pub async fn epochs_rise_with_every_change_of_owner(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let first = engine.acquire(SHARD, "a", TTL).await.unwrap();
    assert_eq!(engine.acquire(SHARD, "a", TTL).await, Ok(first), "a renewal is no change");
    assert_eq!(engine.acquire(SHARD, "b", TTL).await, Err(LeaseError::Held("a".into())));
    let other = engine.acquire(Shard(8), "b", TTL).await.unwrap();
    bed.clock().advance(11_000);
    let second = engine.acquire(SHARD, "b", TTL).await.unwrap();
    assert!(second.epoch > first.epoch, "an expired lease passes on");
    assert_eq!(engine.release(first).await, Err(LeaseError::Lost));
    assert_eq!(engine.acquire(SHARD, "a", TTL).await, Err(LeaseError::Held("b".into())));
    engine.release(second).await.unwrap();
    let third = engine.acquire(SHARD, "a", TTL).await.unwrap();
    assert!(third.epoch > second.epoch, "a released lease passes on");
    let mut last = third.epoch;
    for how in [Reopen::Crash, Reopen::Clean, Reopen::Crash] {
        bed.reopen(how).await;
        let lease = bed.engine().acquire(SHARD, "a", TTL).await.unwrap();
        assert!(lease.epoch > last, "{how:?}: nobody is the owner from before");
        last = lease.epoch;
    }
    let again = bed.engine().acquire(Shard(8), "c", TTL).await.unwrap();
    assert!(again.epoch > other.epoch, "each shard has its own");
}

/// What an earlier owner still writes is refused, whole.
pub async fn a_stale_epoch_is_fenced(bed: &mut dyn Bed) {
    let engine = bed.engine();
    let first = engine.acquire(SHARD, "a", TTL).await.unwrap();
    engine.submit(fenced(SHARD, first.epoch)).await.unwrap();
    bed.clock().advance(11_000);
    engine.submit(fenced(SHARD, first.epoch)).await.unwrap();
    let second = engine.acquire(SHARD, "b", TTL).await.unwrap();
    assert_eq!(engine.submit(fenced(SHARD, first.epoch)).await, Err(AppendError::Fenced));
    engine.submit(fenced(SHARD, second.epoch)).await.unwrap();
    for how in [Reopen::Crash, Reopen::Clean] {
        bed.reopen(how).await;
        let engine = bed.engine();
        let third = engine.acquire(SHARD, "b", TTL).await.unwrap();
        for stale in [first.epoch, second.epoch] {
            let refused = engine.submit(fenced(SHARD, stale)).await;
            assert_eq!(refused, Err(AppendError::Fenced), "{how:?}");
        }
        engine.submit(fenced(SHARD, third.epoch)).await.unwrap();
    }
}
