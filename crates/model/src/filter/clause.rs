//! One filter object, compiled: what the sidecar can decide, then what needs the line.
//!
//! Called by [`super::Filter`]; made by `compile`.

use super::predicate::{Predicate, Root};
use crate::{DeviceType, Meta, Timestamp, subset};

/// One filter object: all that is given must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Clause {
    pub(super) types: Option<Vec<TypeName>>,
    /// One bit for each code of [`DeviceType`] below 8.
    pub(super) device_types: Option<u8>,
    /// The greatest age at delivery, in milliseconds.
    pub(super) latency: Option<i64>,
    /// `devices`, `users`, `notifications`.
    pub(super) lookups: Vec<Lookup>,
    /// Any of these; none given means all pass.
    pub(super) predicates: Vec<Predicate>,
}

/// A wanted event type.
#[derive(Debug, Clone)]
pub(super) struct TypeName {
    /// Upper case.
    name: Box<str>,
    hash: u32,
}

impl TypeName {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_ascii_uppercase().into(), hash: subset::type_hash(name.as_bytes()) }
    }

    /// By hash and length, which the sidecar holds. Two types that agree in both are taken for one;
    /// among 2^32 hashes that needs a publisher who looks for it, in a stream of their own.
    fn is(&self, meta: &Meta) -> bool {
        self.hash == meta.type_hash && self.name.len() == usize::from(meta.type_len)
    }
}

/// Identifiers looked for in one object of the event: any of them.
#[derive(Debug, Clone)]
pub(super) struct Lookup {
    /// The event's member they stand in.
    pub(super) object: &'static str,
    pub(super) wanted: Vec<Wanted>,
}

/// Identifiers looked for under one name.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) member: &'static str,
    /// The only device type that counts, for the legacy `*_channel` names.
    pub(super) device: Option<DeviceType>,
    /// In byte order.
    pub(super) ids: Vec<Box<str>>,
}

impl Lookup {
    fn passes(&self, meta: &Meta, line: &[u8], step: &mut impl FnMut()) -> bool {
        step();
        let Some(object) = (Root::Event { meta, line }).member(self.object) else { return false };
        self.wanted.iter().any(|wanted| {
            if wanted.device.is_some_and(|device| device != meta.device) {
                return false;
            }
            step();
            let id = object.get(wanted.member.as_bytes()).and_then(|value| value.as_string());
            id.is_some_and(|id| {
                let id = id.unescape();
                wanted.ids.binary_search_by(|wanted| wanted.as_bytes().cmp(&id)).is_ok()
            })
        })
    }
}

impl Clause {
    /// Whether it passes every event.
    pub(super) const fn is_all(&self) -> bool {
        self.types.is_none()
            && self.device_types.is_none()
            && self.latency.is_none()
            && !self.needs_line()
    }

    pub(super) const fn depends_on_now(&self) -> bool {
        self.latency.is_some()
    }

    pub(super) fn named_types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().flatten().map(|wanted| &*wanted.name)
    }

    /// Whether [`Clause::decide`] leaves anything open.
    pub(super) const fn needs_line(&self) -> bool {
        !self.lookups.is_empty() || !self.predicates.is_empty()
    }

    /// The answer where the sidecar decides it.
    pub(super) fn decide(&self, meta: &Meta, now: Timestamp) -> Option<bool> {
        let types = self.types.as_ref();
        let possible = types.is_none_or(|types| types.iter().any(|wanted| wanted.is(meta)))
            && self.device_types.is_none_or(|wanted| wanted & bit(meta.device) != 0)
            && self.latency.is_none_or(|most| now.millis() - meta.occurred.millis() <= most);
        match (possible, self.needs_line()) {
            (false, _) => Some(false),
            (true, false) => Some(true),
            (true, true) => None,
        }
    }

    /// What [`Clause::decide`] left open.
    pub(super) fn passes_line(&self, meta: &Meta, line: &[u8], step: &mut impl FnMut()) -> bool {
        let root = Root::Event { meta, line };
        self.lookups.iter().all(|lookup| lookup.passes(meta, line, step))
            && (self.predicates.is_empty()
                || self.predicates.iter().any(|predicate| predicate.holds(root, step)))
    }
}

/// The bit of a device type; 0 for one that no filter can name.
pub(super) const fn bit(device: DeviceType) -> u8 {
    match device {
        DeviceType::None | DeviceType::Other => 0,
        known => 1 << known as u8,
    }
}
