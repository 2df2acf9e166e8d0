//! Which events a reader sees: its filter, its subset and what it is entitled to, as one.
//!
//! Called by `session` and `tail`. Decides from sidecars alone where it can, and hands on the very
//! same block when every event passes, so that its compressed form is shared.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_model::subset::{id_hash, type_hash};
use outflow_model::{Action, Filter, Grant, Meta, Subset, Timestamp};
use outflow_store::{Block, BlockError};

use crate::{Integration, ReadError};

/// The type that is sent only where location sharing is switched on.
const LOCATION: &str = "LOCATION";
/// The type that is sent only for compliance.
pub(crate) const COMPLIANCE: &str = "COMPLIANCE";

/// What a reader may see at all.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entitlement {
    hidden: BTreeSet<&'static str>,
    allowed: Option<BTreeSet<String>>,
}

impl Entitlement {
    /// The entitlement of `grant`. A grant without integration is the project's own: it sees
    /// locations, and compliance events when its actions say so.
    pub(crate) fn of(
        grant: &Grant,
        integration: Option<&Integration>,
        only_type: Option<&str>,
    ) -> Self {
        let may_comply =
            grant.actions.contains(&Action::Compliance) || grant.actions.contains(&Action::Operate);
        let mut one = Self::default();
        if only_type == Some(COMPLIANCE) && may_comply {
            return one;
        }
        if integration.is_some_and(|integration| !integration.send_location) {
            one.hidden.insert(LOCATION);
        }
        if !integration.map_or(may_comply, |integration| integration.compliance) {
            one.hidden.insert(COMPLIANCE);
        }
        one.allowed = integration.and_then(|integration| integration.event_types.clone());
        one
    }

    /// What an integration's endpoint is entitled to.
    pub(crate) fn of_integration(integration: &Integration) -> Self {
        let switches =
            [(LOCATION, integration.send_location), (COMPLIANCE, integration.compliance)];
        let off = switches.into_iter().filter(|(_, is_on)| !is_on);
        Self {
            hidden: off.map(|(name, _)| name).collect(),
            allowed: integration.event_types.clone(),
        }
    }

    /// Refuses a filter that names types beyond it. What is not named is hidden without a word.
    pub(crate) fn check(&self, filter: &Filter) -> Result<(), ReadError> {
        let beyond = |name: &&str| {
            let name = name.to_ascii_uppercase();
            let allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&name));
            !allowed || self.hidden.contains(name.as_str())
        };
        let types = filter
            .named_types()
            .filter(beyond)
            .map(str::to_ascii_uppercase)
            .collect::<BTreeSet<_>>();
        if types.is_empty() {
            Ok(())
        } else {
            Err(ReadError::NotEntitled { types: types.into_iter().collect() })
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct View {
    filter: Arc<Filter>,
    subset: Option<Subset>,
    /// Hashes of types never shown. 32 bits decide: a type made to collide hides itself only.
    hidden: Vec<u32>,
    /// Hashes of the only types shown, in order.
    shown: Option<Vec<u32>>,
    only: Option<u32>,
    has_filter: bool,
    fingerprint: Option<u128>,
}

impl View {
    /// The view of a reader.
    pub(crate) fn new(
        filter: Arc<Filter>,
        subset: Option<Subset>,
        entitlement: &Entitlement,
        only_type: Option<&str>,
    ) -> Self {
        let hash = |name: &str| type_hash(name.as_bytes());
        let hashes =
            |allowed: &BTreeSet<String>| allowed.iter().map(|name| hash(name)).collect::<Vec<_>>();
        let mut shown = entitlement.allowed.as_ref().map(hashes);
        if let Some(shown) = &mut shown {
            shown.sort_unstable();
        }
        let mut view = Self {
            has_filter: !filter.is_all(),
            hidden: entitlement.hidden.iter().map(|name| hash(name)).collect(),
            shown,
            only: only_type.map(hash),
            subset,
            fingerprint: None,
            filter,
        };
        if !(view.has_filter && view.filter.depends_on_now()) {
            view.fingerprint = Some(view.make_fingerprint());
        }
        view
    }

    /// The same for readers that see the same events; `None` when that depends on the moment.
    pub(crate) const fn fingerprint(&self) -> Option<u128> {
        self.fingerprint
    }

    fn make_fingerprint(&self) -> u128 {
        let mut bytes = self.filter.fingerprint().to_le_bytes().to_vec();
        match self.subset {
            None => bytes.push(0),
            Some(Subset::Partition { count, selection }) => {
                bytes.push(1);
                bytes.extend_from_slice(&count.to_le_bytes());
                bytes.extend_from_slice(&selection.to_le_bytes());
            }
            Some(Subset::Sample { proportion }) => {
                bytes.push(2);
                bytes.extend_from_slice(&proportion.to_bits().to_le_bytes());
            }
        }
        for types in
            [Some(&self.hidden), self.shown.as_ref(), self.only.map(|only| vec![only]).as_ref()]
        {
            bytes.extend_from_slice(
                &types.map_or(u64::MAX, |types| types.len() as u64).to_le_bytes(),
            );
            types
                .into_iter()
                .flatten()
                .for_each(|hash| bytes.extend_from_slice(&hash.to_le_bytes()));
        }
        id_hash(&bytes)
    }

    /// About how long it takes to look at so many bytes of events: each may be read for each of the
    /// filter's questions, unless sidecars answer them all.
    pub(crate) fn cost(&self, bytes: usize) -> usize {
        let reads = self.has_filter && self.filter.reads_lines();
        if reads { bytes.saturating_mul(self.filter.questions()) } else { 0 }
    }

    /// Whether it shows everything.
    pub(crate) const fn is_all(&self) -> bool {
        let no_types = self.hidden.is_empty() && self.shown.is_none() && self.only.is_none();
        !self.has_filter && self.subset.is_none() && no_types
    }

    /// The events of `block` that it shows; `None` when there are none. Calls `step` as
    /// [`View::passes_in_steps`] does.
    ///
    /// # Errors
    /// [`BlockError`] when the block's stored form is damaged.
    pub(crate) fn apply(
        &self,
        block: &Arc<Block>,
        now: Timestamp,
        step: &mut impl FnMut(),
    ) -> Result<Option<Arc<Block>>, BlockError> {
        if self.is_all() {
            return Ok(Some(block.clone()));
        }
        let (mut any, mut all) = (false, true);
        for meta in block.metas()?.iter() {
            match self.decide(&meta, now) {
                Some(true) => any = true,
                Some(false) => all = false,
                // Whether it passes is open: the lines must be looked at.
                None => (any, all) = (true, false),
            }
            if any && !all {
                let passes = |meta: &Meta, line: &[u8]| self.passes_in_steps(meta, line, now, step);
                let selected = block.select(passes)?;
                return Ok(selected.map(Arc::new));
            }
        }
        Ok(any.then(|| block.clone()))
    }

    /// The part that needs no filter.
    fn admits(&self, meta: &Meta) -> bool {
        let hash = meta.type_hash;
        self.only.is_none_or(|only| only == hash)
            && !self.hidden.contains(&hash)
            && self.shown.as_ref().is_none_or(|shown| shown.binary_search(&hash).is_ok())
            && self.subset.is_none_or(|subset| subset.admits(meta.id_hash))
    }

    fn decide(&self, meta: &Meta, now: Timestamp) -> Option<bool> {
        if !self.admits(meta) {
            return Some(false);
        }
        if self.has_filter { self.filter.decide(meta, now) } else { Some(true) }
    }

    /// Whether it shows the event.
    pub(crate) fn passes(&self, meta: &Meta, line: &[u8], now: Timestamp) -> bool {
        self.passes_in_steps(meta, line, now, &mut || ())
    }

    /// The same, with a call of `step` before each reading of the event.
    pub(crate) fn passes_in_steps(
        &self,
        meta: &Meta,
        line: &[u8],
        now: Timestamp,
        step: &mut impl FnMut(),
    ) -> bool {
        self.admits(meta)
            && (!self.has_filter || self.filter.passes_in_steps(meta, line, now, step))
    }
}
