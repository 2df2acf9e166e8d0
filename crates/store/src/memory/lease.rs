//! Ownership of shards in memory: leases that expire, epochs that only rise.

use std::collections::BTreeMap;
use std::time::Duration;

use outflow_model::Timestamp;
use outflow_model::id::Shard;

use crate::Fence;
use crate::engine::{AppendError, Lease, LeaseError};

/// The last epoch given out for each shard. Outlives a restart.
#[derive(Debug, Default)]
pub(super) struct Epochs(BTreeMap<u8, u64>);

impl Epochs {
    fn current(&self, shard: Shard) -> u64 {
        self.0.get(&shard.0).copied().unwrap_or(0)
    }

    /// Whether `fence` is of the latest owner.
    pub(super) fn check(&self, fence: Fence) -> Result<(), AppendError> {
        let is_current = fence.epoch == self.current(fence.shard);
        if is_current { Ok(()) } else { Err(AppendError::Fenced) }
    }
}

/// Who owns what, until when. Lost by a restart.
#[derive(Debug, Default)]
pub(super) struct Leases(BTreeMap<u8, Owner>);

#[derive(Debug)]
struct Owner {
    name: String,
    until: Timestamp,
}

impl Leases {
    pub(super) fn acquire(
        &mut self,
        epochs: &mut Epochs,
        shard: Shard,
        name: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let holder = self.0.get(&shard.0).filter(|owner| owner.until > now);
        let is_renewal = match holder {
            Some(owner) if owner.name != name => return Err(LeaseError::Held(owner.name.clone())),
            holder => holder.is_some(),
        };
        let epoch = epochs.0.entry(shard.0).or_default();
        *epoch += u64::from(!is_renewal);
        let until = now.plus_millis(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        self.0.insert(shard.0, Owner { name: name.into(), until });
        Ok(Lease { shard, epoch: *epoch })
    }

    pub(super) fn release(&mut self, epochs: &Epochs, lease: Lease) -> Result<(), LeaseError> {
        if epochs.current(lease.shard) != lease.epoch {
            return Err(LeaseError::Lost);
        }
        self.0.remove(&lease.shard.0).map(drop).ok_or(LeaseError::Lost)
    }
}
