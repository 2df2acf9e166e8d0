//! Access tokens: issued for an API key, checked on every request, stored nowhere.
//!
//! Called by `admin`, which issues them for people and exchanges client secrets for them (OAuth 2.0,
//! RFC 6749 4.4), and by [`Auth::authenticate`].
//!
//! Invariants: a token may do what its key may, or less; a token that was exchanged for another one
//! never outlives it, so a stolen one ends when it says; what is wrong with one is not told.

mod verified;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outflow_model::{CredentialId, ErrorCode, Grant, ProjectId, Rng, Timestamp};

use crate::api_key::ring::Entry;
use crate::jwt::{self, Claims, Unverified};
use crate::{Auth, Scope, Secret, token};

pub(crate) use verified::Verified;

/// The longest life of a token: ten years.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3_650 * 86_400);
/// How long a token lives that a client secret was exchanged for (reference
/// `aria_itas_amperity.md` 3.2).
pub const EXCHANGED_LIFETIME: Duration = Duration::from_secs(3_600);

/// An access token, shown once.
#[derive(Debug)]
pub struct AccessToken {
    /// What is presented.
    pub token: Secret,
    /// When it ends.
    pub expires: Timestamp,
    /// For how many seconds it holds from now.
    pub lifetime_s: i64,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
}

/// Why there is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// There is no such key, or its secret is another one.
    #[error("the client is unknown or its secret does not hold")]
    Client,
    /// The key does not have all of these scopes.
    #[error("the key does not have these scopes")]
    Scope,
    /// The life asked for is not between a second and [`MAX_LIFETIME`].
    #[error("a token lives from a second to 3650 days")]
    Lifetime,
}

impl AccessError {
    /// The class of the failure, for the faces' tables.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Client => ErrorCode::NotFound,
            Self::Scope | Self::Lifetime => ErrorCode::Malformed,
        }
    }
}

/// Who asks for a token with a secret of its own, as the client presented itself.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// The id of an API key, or that of its project.
    pub id: &'a str,
    /// A valid client secret of the key, or an access token of it that still holds.
    pub secret: &'a str,
    /// The project that the client named besides, if it did: it must be the key's.
    pub project: Option<&'a str>,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client {{ id: {:?}, secret: .. }}", self.id)
    }
}

impl Auth {
    /// Issues a token for the project's API key, with all of its scopes or some.
    ///
    /// # Errors
    /// [`AccessError`].
    pub fn issue_access_token(
        &self,
        project: &ProjectId,
        id: &CredentialId,
        lifetime: Duration,
        scopes: Option<BTreeSet<Scope>>,
    ) -> Result<AccessToken, AccessError> {
        if lifetime < Duration::from_secs(1) || lifetime > MAX_LIFETIME {
            return Err(AccessError::Lifetime);
        }
        let now = self.inner.clock.now();
        let entry = self.inner.ring.read().of_project(project, id).cloned();
        let entry = entry.ok_or(AccessError::Client)?;
        let scopes = scopes.unwrap_or_else(|| entry.held.scopes.clone());
        if scopes.is_empty() || !scopes.is_subset(&entry.held.scopes) {
            return Err(AccessError::Scope);
        }
        let expires = seconds(now).saturating_add(lifetime.as_secs() as i64);
        sign(&entry, entry.held.current.number, scopes, now, expires, &*self.inner.rng)
    }

    /// Exchanges a client secret, or a token that holds, for a token that lives
    /// [`EXCHANGED_LIFETIME`] at most. It is of the generation of what was presented, and falls with it.
    ///
    /// # Errors
    /// [`AccessError`]; an unknown client and a wrong secret look the same and take the same time.
    pub fn exchange(
        &self,
        client: Client<'_>,
        scopes: Option<&str>,
    ) -> Result<AccessToken, AccessError> {
        let now = self.inner.clock.now();
        let mut expires = seconds(now).saturating_add(EXCHANGED_LIFETIME.as_secs() as i64);
        let (entry, generation, had) = if jwt::is_like(client.secret) {
            let holding = self.holding(client.secret, now).ok_or(AccessError::Client)?;
            let (entry, generation, claims) = holding;
            expires = expires.min(claims.exp);
            let had = Scope::parse_all(&claims.scope).ok_or(AccessError::Client)?;
            (entry, generation, had)
        } else {
            let (entry, generation) = self.knowing(client, now).ok_or(AccessError::Client)?;
            let had = entry.held.scopes.clone();
            (entry, generation, had)
        };
        let held = &entry.held;
        let is_its = client.id == held.id.as_str() || client.id == held.project.as_str();
        let is_there = client.project.is_none_or(|project| project == held.project.as_str());
        if !is_its || !is_there {
            return Err(AccessError::Client);
        }
        let may = had.intersection(&held.scopes).copied().collect::<BTreeSet<_>>();
        let scopes = match scopes {
            None => may,
            Some(text) => {
                let asked = Scope::parse_all(text).ok_or(AccessError::Scope)?;
                asked.is_subset(&may).then_some(asked).ok_or(AccessError::Scope)?
            }
        };
        sign(&entry, generation, scopes, now, expires, &*self.inner.rng)
    }

    /// What the holder of an access token may do.
    pub(crate) fn open_with_token(&self, text: &str, project: Option<&str>) -> Option<Grant> {
        let now = self.inner.clock.now();
        let known = self.inner.verified.grant(&self.inner.ring.read(), text, project, now);
        if known.is_some() {
            return known;
        }
        let (entry, generation, claims) = self.holding(text, now)?;
        if project.is_some_and(|project| project != claims.aud) {
            return None;
        }
        let ends =
            entry.held.ends(generation).map_or(claims.ends(), |ends| ends.min(claims.ends()));
        let grant = entry.grant(&claims.scope)?;
        let grant = Grant { generation, expires: Some(ends), ..grant };
        self.inner.verified.keep(text, &entry, generation, claims, &grant);
        Some(grant)
    }

    /// The key of a token that holds now, the token's generation, and what it says.
    fn holding(&self, text: &str, now: Timestamp) -> Option<(Arc<Entry>, u32, Claims)> {
        let token = Unverified::parse(text)?;
        let (id, generation) = token.kid.rsplit_once('.')?;
        let generation = generation.parse().ok();
        let ring = self.inner.ring.read();
        let entry = ring.get(id);
        let signer = entry.and_then(|entry| entry.signer(generation?, now));
        // A key that is not there is tried all the same, so that the time says nothing of which are.
        let claims = token.verify(signer.unwrap_or_else(|| ring.nobody()))?;
        let entry = entry.filter(|_| signer.is_some())?;
        let held = &entry.held;
        let is_its = claims.sub == held.id.as_str() && claims.aud == held.project.as_str();
        (is_its && claims.hold(now)).then_some((entry.clone(), generation?, claims))
    }

    /// The key whose client secret this is, and the secret's generation. All that may be meant are
    /// looked at.
    fn knowing(&self, client: Client<'_>, now: Timestamp) -> Option<(Arc<Entry>, u32)> {
        let hash =
            token::hash(client.secret.get(..token::MAX_SECRET_BYTES).unwrap_or(client.secret));
        let ring = self.inner.ring.read();
        if let Some(entry) = ring.get(client.id) {
            return entry.held.knows(&hash, now).map(|generation| (entry.clone(), generation));
        }
        let mut found = None;
        for entry in ring.iter().filter(|entry| entry.held.project.as_str() == client.id) {
            if let Some(generation) = entry.held.knows(&hash, now) {
                found = Some((entry.clone(), generation));
            }
        }
        found
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}

fn sign(
    entry: &Entry,
    generation: u32,
    scopes: BTreeSet<Scope>,
    now: Timestamp,
    exp: i64,
    rng: &dyn Rng,
) -> Result<AccessToken, AccessError> {
    let held = &entry.held;
    let mut jti = [0; 16];
    rng.fill(&mut jti);
    let claims = Claims {
        iss: jwt::ISSUER.into(),
        sub: held.id.to_string(),
        aud: held.project.to_string(),
        scope: Scope::join(&scopes),
        iat: seconds(now),
        exp,
        jti: crate::record::hex(&jti),
        nbf: None,
    };
    let kid = format!("{}.{generation}", held.id);
    let signer = entry.signer(generation, now).ok_or(AccessError::Client)?;
    let text = jwt::sign(&kid, &claims, signer).ok_or(AccessError::Client)?;
    Ok(AccessToken {
        token: Secret::new(text),
        expires: Timestamp::from_millis(exp.saturating_mul(1000)),
        lifetime_s: exp - claims.iat,
        scopes,
    })
}
