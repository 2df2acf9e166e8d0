//! Prepared transactions at the hub's start.
//!
//! Called when the hub opens, after the subscriptions are there.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_model::StreamId;
use outflow_store::{Batch, Engine, Op};

use super::super::apart::Apart;
use super::super::directory::Directory;
use super::super::entry::Entry;
use super::super::hand::Leased;
use super::super::transaction::Answered;
use super::super::{Settle, Subscription, SubscriptionId};
use super::held::{Held, Size};
use super::record::{self, Head, Pieces};
use super::{Prepared, Title};
use crate::OpenError;
use crate::catalog::{Catalog, scan};

/// The consumer of events that were answered before a restart, or whose end another connection
/// gives: none has this number.
pub(super) const NOBODY: u64 = u64::MAX;

impl Prepared {
    /// Reads all that were prepared before, and sets apart what they answer. What a project has left
    /// that was deleted just as one was prepared goes.
    pub(crate) async fn load(
        engine: &dyn Engine,
        catalog: &Catalog,
        directory: &Directory,
    ) -> Result<Self, OpenError> {
        let all = directory.all();
        let known: BTreeMap<SubscriptionId, &Arc<Subscription>> =
            all.iter().map(|one| (one.id(), one)).collect();
        let (prepared, mut orphans) = (Self::default(), Vec::new());
        let mut reading: Option<(Title, Vec<u8>, u32)> = None;
        let mut count = 0;
        let mut take = |title: Title, bytes: &[u8], heads: u32| {
            let head = record::head(bytes).ok_or_else(|| {
                OpenError::Corrupt(format!("prepared transaction {}: unknown form", title.name))
            })?;
            if catalog.tenants.contains_key(title.project.as_str()) {
                prepared.bring_back(title, head, heads, &known);
                count += 1;
            } else {
                let pieces = Pieces { heads, sends: head.sends };
                orphans.extend(record::removal(&title, pieces));
            }
            Ok::<(), OpenError>(())
        };
        // The pieces of one come one after another.
        for entry in scan(engine, record::PREPARED).await? {
            let title = record::parse_key(&entry.key)
                .ok_or_else(|| OpenError::Corrupt(format!("{:?}: unknown key", entry.key)))?;
            match &mut reading {
                Some((of, bytes, heads)) if *of == title => {
                    bytes.extend_from_slice(&entry.value);
                    *heads += 1;
                }
                _ => {
                    let next = (title, entry.value.to_vec(), 1);
                    if let Some((title, bytes, heads)) = reading.replace(next) {
                        take(title, &bytes, heads)?;
                    }
                }
            }
        }
        if let Some((title, bytes, heads)) = reading {
            take(title, &bytes, heads)?;
        }
        if count > 0 {
            tracing::info!(count, "prepared transactions wait for their outcome");
        }
        forget(engine, orphans).await;
        Ok(prepared)
    }

    fn bring_back(
        &self,
        title: Title,
        head: Head,
        heads: u32,
        known: &BTreeMap<SubscriptionId, &Arc<Subscription>>,
    ) {
        let Head { at, bytes, sends, answers } = head;
        let answers = answers.into_iter().filter_map(|kept| {
            let subscription = known.get(&kept.subscription)?;
            set_apart(subscription, kept.stream, kept.entry, kept.answer)
        });
        let answers: Vec<Answered> = answers.collect();
        let size = Size::of(bytes, &answers);
        let held = Held::new(answers, Pieces { heads, sends }, bytes);
        self.loaded(title, at, size, held);
    }
}

/// Removes what is left of deleted projects; at the next start, if it cannot be done now.
async fn forget(engine: &dyn Engine, ops: Vec<Op>) {
    if ops.is_empty() {
        return;
    }
    if let Err(error) = engine.submit(Batch { ops, ..Batch::default() }).await {
        tracing::warn!(%error, "what deleted projects had prepared could not be removed");
    }
}

/// Sets an event apart that was answered before a restart; `None`: it is no longer there.
fn set_apart(
    subscription: &Arc<Subscription>,
    stream: StreamId,
    entry: Entry,
    answer: Settle,
) -> Option<Answered> {
    let mut queue = subscription.queue.lock();
    let feed = queue.feeds.iter_mut().find(|feed| feed.stream.id == stream)?;
    if feed.place.is_done(entry.offset) {
        return None;
    }
    let key = feed.key;
    feed.apart.insert(entry.offset, (entry.clone(), Apart::Settling));
    drop(queue);
    let leased =
        Leased { lease: 0, feed: key, entry: Some(entry), deadline: None, was_extended: false };
    Some(Answered { subscription: subscription.clone(), hand: NOBODY, answer, leased })
}
