//! What the events that endpoints hold cost in memory, and whose are given back when it is too much.
//!
//! Called by the post whenever an endpoint's events have become more or fewer.
//!
//! Invariant: who gives back first is the endpoint that holds most of the project that holds most, so
//! that no other project pays for what one piles up.

use std::collections::{BTreeSet, HashMap};

use outflow_model::ProjectId;

#[derive(Debug, Default)]
struct Holding {
    bytes: usize,
    /// The endpoints that have something to give back, by how much they hold.
    endpoints: BTreeSet<(usize, u64)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    max: usize,
    bytes: usize,
    projects: HashMap<ProjectId, Holding>,
    /// What each endpoint holds, and whether it has something to give back.
    known: HashMap<u64, (usize, bool)>,
}

impl Memory {
    /// With room for so many bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, bytes: 0, projects: HashMap::new(), known: HashMap::new() }
    }

    /// An endpoint of a project holds so much; `gives`: it can give some of it back.
    pub(super) fn set(&mut self, project: &ProjectId, endpoint: u64, bytes: usize, gives: bool) {
        let now = (bytes, gives && bytes > 0);
        let old = self.known.get(&endpoint).copied().unwrap_or_default();
        if old == now {
            return;
        }
        self.bytes = self.bytes.saturating_sub(old.0).saturating_add(bytes);
        let holding = self.projects.entry(project.clone()).or_default();
        holding.bytes = holding.bytes.saturating_sub(old.0).saturating_add(bytes);
        if old.1 {
            holding.endpoints.remove(&(old.0, endpoint));
        }
        if now.1 {
            holding.endpoints.insert((bytes, endpoint));
        }
        if bytes > 0 {
            self.known.insert(endpoint, now);
        } else {
            self.known.remove(&endpoint);
        }
        if holding.bytes == 0 {
            self.projects.remove(project);
        }
    }

    /// Who is to give back what it holds; `None`: there is room, or nobody has anything to give.
    pub(super) fn next_to_give(&self) -> Option<u64> {
        if self.bytes <= self.max {
            return None;
        }
        let giving = self.projects.values().filter(|one| !one.endpoints.is_empty());
        let most = giving.max_by_key(|one| one.bytes)?;
        most.endpoints.last().map(|(_, endpoint)| *endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_most_of_the_project_that_holds_most_gives_back() {
        let (many, few) = (ProjectId::new("many").unwrap(), ProjectId::new("few").unwrap());
        let mut memory = Memory::new(1_000);
        memory.set(&few, 0, 400, true);
        (1..=6).for_each(|endpoint| memory.set(&many, endpoint, 100, true));
        assert_eq!(memory.next_to_give(), None, "it fits");
        memory.set(&many, 3, 150, true);
        assert_eq!(memory.next_to_give(), Some(3), "not the 400 of the other project");
        // What is under way cannot be given back.
        memory.set(&many, 3, 150, false);
        assert_eq!(memory.next_to_give(), Some(6));
        memory.set(&many, 6, 0, false);
        assert_eq!(memory.next_to_give(), None);
        for endpoint in 0..=6 {
            memory.set(if endpoint == 0 { &few } else { &many }, endpoint, 0, true);
        }
        assert!(memory.bytes == 0 && memory.projects.is_empty() && memory.known.is_empty());
    }
}
