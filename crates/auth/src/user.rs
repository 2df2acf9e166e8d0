//! Users: who logs in with a name and a password, and what such a name is.
//!
//! Called by `auth` when one is issued, and by those who issue customers of a feed.

use std::collections::BTreeSet;

use outflow_model::destination::PatternError;
use outflow_model::{Action, DestinationGrant, DestinationPattern};

use crate::{IssueError, NewCredential};

/// How many users a project may have.
pub const MAX_USERS: usize = 10_000;
/// The longest name of a user, in bytes.
pub const MAX_USER_BYTES: usize = 64;
/// How many patterns of destinations a user may have of each kind.
pub const MAX_PATTERNS: usize = 100;

/// What a customer of a feed may do: consume its namespace's destinations, whatever their ids, and
/// publish nowhere (reference `activemq.md` a1).
///
/// # Errors
/// [`PatternError`] when the namespace is no element of a destination's name.
pub fn namespace(name: &str) -> Result<DestinationGrant, PatternError> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(PatternError::Character);
    }
    let patterns =
        [format!("*.RTO.{name}"), format!("Consumer.*.RTO.{name}"), format!("topic://RTO.{name}")];
    let patterns = patterns.iter().map(|text| DestinationPattern::parse(text));
    Ok(DestinationGrant { consume: patterns.collect::<Result<_, _>>()?, send: Vec::new() })
}

/// Checks what is a user's own.
pub(crate) fn check(new: &NewCredential) -> Result<(), IssueError> {
    let invalid = |reason| Err(IssueError::Invalid(reason));
    let allowed = BTreeSet::from([Action::Read, Action::Publish]);
    if !new.actions.is_subset(&allowed) {
        return invalid("a user may read and publish only");
    }
    if new.streams.is_some() {
        return invalid("a user reaches destinations, not streams");
    }
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    if let Some(user) = &new.user
        && (user.is_empty() || user.len() > MAX_USER_BYTES || !user.bytes().all(is_name_byte))
    {
        return invalid("a user's name has 1 to 64 letters, digits and `_ - . @`");
    }
    let count = |grant: &DestinationGrant| grant.consume.len().max(grant.send.len());
    if new.destinations.as_ref().is_some_and(|grant| count(grant) > MAX_PATTERNS) {
        return invalid("a user may have at most 100 patterns of each kind");
    }
    Ok(())
}
