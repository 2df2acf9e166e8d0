//! Ending live sessions: at once when a credential, integration or stream goes, within a second of
//! a credential's end, at scattered moments when the server goes, so that clients do not come back
//! all together.
//!
//! Called by whoever opens a session, and by the clockwork, which is the one clock for all ends.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use outflow_model::{CredentialId, IntegrationId, ProjectId, Rng, StreamId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::CloseReason;

/// How a session is told to end. The first reason given stands.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    reason: OnceLock<CloseReason>,
    wake: Notify,
}

impl Signal {
    /// Ends the session.
    pub(crate) fn close(&self, reason: CloseReason) {
        if self.reason.set(reason).is_ok() {
            // One session waits on a signal; the permit stays when it is not waiting just now.
            self.wake.notify_one();
        }
    }

    /// Why it must end, if it must.
    pub(crate) fn reason(&self) -> Option<&CloseReason> {
        self.reason.get()
    }

    /// Resolves when it must end.
    pub(crate) async fn closed(&self) {
        while self.reason.get().is_none() {
            self.wake.notified().await;
        }
    }
}

/// A live session as the registry knows it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) credential: CredentialId,
    pub(crate) generation: u32,
    /// When the credential ends by itself.
    pub(crate) expires: Option<Timestamp>,
    /// None: an operator's.
    pub(crate) project: Option<ProjectId>,
    pub(crate) integration: Option<IntegrationId>,
    /// None: no one stream's.
    pub(crate) stream: Option<StreamId>,
    pub(crate) signal: Arc<Signal>,
}

impl Member {
    fn is_below(&self, credential: &CredentialId, below: u32) -> bool {
        self.generation < below && self.credential == *credential
    }
}

/// All live sessions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    live: HashMap<u64, Member>,
    /// Those whose credentials end, by when.
    ends: BTreeSet<(Timestamp, u64)>,
    last: u64,
    draining: bool,
    /// Credentials revoked a moment ago, below a generation: a read that was authenticated before
    /// must not open after.
    revoked: VecDeque<(Instant, CredentialId, u32)>,
}

/// For how long a revoked credential is remembered; opening a read takes far less.
const REVOKED_FOR: Duration = Duration::from_secs(5);

/// Why a session may not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server is draining.
    Draining,
    /// Its credential was revoked.
    Revoked,
}

impl Registry {
    /// Enters a session and gives it a number.
    pub(crate) fn enter(&self, member: Member) -> Result<u64, Refused> {
        let mut members = self.members.lock();
        if members.draining {
            return Err(Refused::Draining);
        }
        let now = Instant::now();
        let recent = members.revoked.iter().rev();
        let mut recent = recent.take_while(|(at, ..)| now.duration_since(*at) < REVOKED_FOR);
        // An API key keeps its id when tokens of it are revoked: those of later generations hold.
        if recent.any(|(_, credential, below)| member.is_below(credential, *below)) {
            return Err(Refused::Revoked);
        }
        members.last += 1;
        let id = members.last;
        members.ends.extend(member.expires.map(|expires| (expires, id)));
        members.live.insert(id, member);
        Ok(id)
    }

    /// Ends the sessions of a credential's generations below `below`, and refuses those about to
    /// begin.
    pub(crate) fn revoke(&self, credential: &CredentialId, below: u32) {
        let now = Instant::now();
        let mut members = self.members.lock();
        members.revoked.retain(|(at, ..)| now.duration_since(*at) < REVOKED_FOR);
        members.revoked.push_back((now, credential.clone(), below));
        drop(members);
        self.close(&CloseReason::Revoked, |member| member.is_below(credential, below));
    }

    /// Ends the sessions whose credentials have come to their end.
    pub(crate) fn expire(&self, now: Timestamp) {
        let mut members = self.members.lock();
        while let Some(&(expires, id)) = members.ends.first()
            && expires <= now
        {
            members.ends.pop_first();
            if let Some(member) = members.live.get(&id) {
                member.signal.close(CloseReason::Expired);
            }
        }
    }

    /// A session has ended.
    pub(crate) fn leave(&self, id: u64) {
        let mut members = self.members.lock();
        let left = members.live.remove(&id);
        if let Some(expires) = left.and_then(|member| member.expires) {
            members.ends.remove(&(expires, id));
        }
    }

    /// Ends the sessions that `which` accepts.
    pub(crate) fn close(&self, reason: &CloseReason, which: impl Fn(&Member) -> bool) {
        let members = self.members.lock();
        let chosen = members.live.values().filter(|member| which(member));
        chosen.for_each(|member| member.signal.close(reason.clone()));
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.members.lock().live.len()
    }

    /// Whether new sessions are refused.
    pub(crate) fn is_draining(&self) -> bool {
        self.members.lock().draining
    }

    /// Refuses new sessions from now on, and gives the moments at which the live ones end: evenly
    /// at random over `within`, in order.
    pub(crate) fn drain(&self, within: Duration, rng: &dyn Rng) -> Vec<(Instant, Arc<Signal>)> {
        let mut members = self.members.lock();
        members.draining = true;
        let signals = members.live.values().map(|member| member.signal.clone()).collect::<Vec<_>>();
        drop(members);
        let micros = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        let now = Instant::now();
        let jitter = |signal| (now + Duration::from_micros(rng.below(micros)), signal);
        let mut schedule = signals.into_iter().map(jitter).collect::<Vec<_>>();
        schedule.sort_by_key(|(at, _)| *at);
        schedule
    }
}

/// Ends sessions at their moments.
pub(crate) async fn follow(schedule: Vec<(Instant, Arc<Signal>)>) {
    for (at, signal) in schedule {
        tokio::time::sleep_until(at).await;
        signal.close(CloseReason::Draining);
    }
}
