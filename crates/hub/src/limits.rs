//! How many readers there may be: per integration, per project, in all.
//!
//! Called by `session` when a read opens. A [`Slot`] is given back when it is dropped, whatever
//! ended its session.

use std::collections::HashMap;
use std::sync::Arc;

use outflow_model::{IntegrationId, ProjectId};
use parking_lot::Mutex;

use crate::ReadError;

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    projects: HashMap<ProjectId, u32>,
    integrations: HashMap<(ProjectId, IntegrationId), u32>,
}

/// What a reader is counted against.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) project: ProjectId,
    pub(crate) project_max: u32,
    /// The integration with its limit.
    pub(crate) integration: Option<(IntegrationId, u32)>,
    /// How many more than its limits this one reader may make.
    pub(crate) slack: u32,
    pub(crate) all_max: usize,
}

/// A place taken; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Arc<Slots>,
    project: ProjectId,
    integration: Option<IntegrationId>,
}

impl Slots {
    /// Takes a place against every limit of `claim`, or none.
    pub(crate) fn take(self: &Arc<Self>, claim: Claim) -> Result<Slot, ReadError> {
        let Claim { project, project_max, integration, slack, all_max } = claim;
        let mut counts = self.counts.lock();
        if counts.all >= all_max {
            return Err(ReadError::Unavailable(
                "the server has as many readers as it may have".into(),
            ));
        }
        let of_project = counts.projects.get(&project).copied().unwrap_or(0);
        if of_project >= project_max.saturating_add(slack) {
            return Err(ReadError::TooManyConnections { max: project_max });
        }
        if let Some((id, max)) = &integration {
            let key = (project.clone(), id.clone());
            let of_integration = counts.integrations.get(&key).copied().unwrap_or(0);
            if of_integration >= max.saturating_add(slack) {
                return Err(ReadError::TooManyConnections { max: *max });
            }
            counts.integrations.insert(key, of_integration + 1);
        }
        counts.all += 1;
        *counts.projects.entry(project.clone()).or_insert(0) += 1;
        drop(counts);
        let integration = integration.map(|(id, _)| id);
        Ok(Slot { slots: self.clone(), project, integration })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.counts.lock();
        counts.all = counts.all.saturating_sub(1);
        give_back(&mut counts.projects, &self.project);
        if let Some(integration) = self.integration.take() {
            give_back(&mut counts.integrations, &(self.project.clone(), integration));
        }
    }
}

/// Counts that reach zero go, so that past projects leave nothing behind.
fn give_back<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}
