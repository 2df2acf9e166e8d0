//! Access tokens that were verified a short while ago: a client sends the same one with every request,
//! and taking it apart costs more than all else that is asked before an event is stored.
//!
//! Called by [`crate::access`]. Invariants: only what was verified in full is here, under the SHA-256 of
//! all its bytes; it opens what it would open if it were verified now, as its key must be the same
//! object as then, which any change to a key replaces, and its times are looked at every time. What
//! is not found or does not hold any more goes the long way, so that the time says nothing of why.

use std::sync::{Arc, Weak};

use outflow_model::{Grant, Timestamp};
use quick_cache::sync::Cache;

use crate::api_key::ring::{Entry, Ring};
use crate::jwt::Claims;
use crate::token;

/// How many are kept: about a kilobyte each.
const CAPACITY: usize = 4_096;

/// One of them.
struct Token {
    /// Its key, as it was then. Kept alive by the ring only.
    key: Weak<Entry>,
    generation: u32,
    claims: Claims,
    grant: Grant,
}

/// See the module.
pub(crate) struct Verified {
    tokens: Cache<[u8; 32], Arc<Token>>,
}

impl Default for Verified {
    fn default() -> Self {
        Self { tokens: Cache::new(CAPACITY) }
    }
}

impl Verified {
    /// What this token opens, if it was verified before and still holds.
    pub(crate) fn grant(
        &self,
        ring: &Ring,
        text: &str,
        project: Option<&str>,
        now: Timestamp,
    ) -> Option<Grant> {
        let token = self.tokens.get(&token::hash(text))?;
        let key = ring.get(&token.claims.sub)?;
        let is_same = std::ptr::eq(Arc::as_ptr(key), token.key.as_ptr());
        let holds = is_same
            && key.signer(token.generation, now).is_some()
            && token.claims.hold(now)
            && project.is_none_or(|project| project == token.claims.aud);
        holds.then(|| token.grant.clone())
    }

    /// Keeps what was verified just now.
    pub(crate) fn keep(
        &self,
        text: &str,
        key: &Arc<Entry>,
        generation: u32,
        claims: Claims,
        grant: &Grant,
    ) {
        let grant = grant.clone();
        let token = Token { key: Arc::downgrade(key), generation, claims, grant };
        self.tokens.insert(token::hash(text), Arc::new(token));
    }
}
