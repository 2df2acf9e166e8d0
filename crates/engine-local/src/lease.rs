//! Ownership of shards. One process has the directory, so a lease only ever passes between
//! owners inside it; what matters is that epochs rise for ever, and that batches of an older
//! epoch are refused.
//!
//! Epochs are in the state, put through the journal; who holds a lease until when is in memory,
//! so that a restart frees all leases.

use std::collections::BTreeMap;
use std::time::Duration;

use outflow_model::Timestamp;
use outflow_model::id::Shard;
use outflow_store::{Lease, LeaseError};
use parking_lot::Mutex;

#[derive(Debug, Clone)]
struct Owner {
    name: String,
    until: Timestamp,
}

#[derive(Debug, Default)]
struct Row {
    epoch: u64,
    owner: Option<Owner>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Leases(Mutex<BTreeMap<u8, Row>>);

/// What an acquisition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The owner had it already.
    Renewed(Lease),
    /// The epoch has to be made durable before the lease is used.
    New(Lease),
}

impl Leases {
    pub(crate) fn new(epochs: Vec<(Shard, u64)>) -> Self {
        let rows = epochs.into_iter().map(|(shard, epoch)| (shard.0, Row { epoch, owner: None }));
        Self(Mutex::new(rows.collect()))
    }

    /// Takes or renews a lease.
    pub(crate) fn acquire(
        &self,
        shard: Shard,
        name: &str,
        ttl: Duration,
        now: Timestamp,
    ) -> Result<Taken, LeaseError> {
        let mut rows = self.0.lock();
        let row = rows.entry(shard.0).or_default();
        let holder = row.owner.as_ref().filter(|owner| owner.until > now);
        let is_renewal = match holder {
            Some(owner) if owner.name != name => return Err(LeaseError::Held(owner.name.clone())),
            holder => holder.is_some(),
        };
        let until = now.plus_millis(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
        row.owner = Some(Owner { name: name.into(), until });
        row.epoch += u64::from(!is_renewal);
        let lease = Lease { shard, epoch: row.epoch };
        Ok(if is_renewal { Taken::Renewed(lease) } else { Taken::New(lease) })
    }

    /// Gives a lease up.
    pub(crate) fn release(&self, lease: Lease) -> Result<(), LeaseError> {
        let mut rows = self.0.lock();
        let row = rows.entry(lease.shard.0).or_default();
        if row.epoch != lease.epoch {
            return Err(LeaseError::Lost);
        }
        row.owner.take().map(drop).ok_or(LeaseError::Lost)
    }
}
