//! Reading a stretch of a stream, whatever has become of it.
//!
//! Called by [`crate::lander`]; reads through the hub as everybody does, and counts against nobody's
//! connections: a tenant whose readers are as many as may be lands all the same.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use outflow_hub::{CloseReason, Hub, ReadEvent, ReadRequest, ReadSession, Start, Started, Stream};
use outflow_model::{Action, CredentialId, Filter, Grant, Meta, Offset};

use crate::lander::LandError;

/// After how much silence a read says how far it has come, though there was nothing.
const SILENCE: Duration = Duration::from_secs(1);
/// How many damaged places one file is read past.
const MAX_DAMAGES: usize = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Reading {
    hub: Hub,
    grant: Grant,
}

impl Reading {
    pub(crate) fn new(hub: Hub) -> Result<Self, LandError> {
        let grant = Grant {
            credential: CredentialId::new("landing").map_err(|_| LandError::Name)?,
            generation: 0,
            expires: None,
            project: None,
            integration: None,
            actions: Arc::new(BTreeSet::from([Action::Operate])),
            streams: None,
            destinations: None,
        };
        Ok(Self { hub, grant })
    }

    /// Gives `take` the events from `from` until `end`, in order, until it says that it has enough.
    /// Says how many were gone, at most: offsets have gaps.
    pub(crate) async fn read(
        &self,
        stream: &Arc<Stream>,
        from: Offset,
        end: Offset,
        mut take: impl FnMut(&Meta, &[u8]) -> bool,
    ) -> Result<u64, LandError> {
        let (mut place, mut lost) = (from, 0);
        for _ in 0..MAX_DAMAGES {
            let mut session = self.open(stream, place).await?;
            lost += gone(&session.start(), place, end);
            match drain(&mut session, &mut place, end, &mut take).await? {
                Drained::All => return Ok(lost),
                // The next session goes on past the damage.
                Drained::Damaged => {}
            }
        }
        Err(LandError::Closed("there is too much damage".to_owned()))
    }

    async fn open(&self, stream: &Arc<Stream>, from: Offset) -> Result<ReadSession, LandError> {
        let request = ReadRequest {
            stream: Arc::clone(stream),
            start: Start::After(Offset::new(from.get().saturating_sub(1))),
            filter: Arc::new(Filter::default()),
            subset: None,
            only_type: None,
            heartbeat: SILENCE,
            peer: "landing".to_owned(),
            slack: true,
        };
        Ok(self.hub.open_own_read(&self.grant, request).await?)
    }
}

/// How many events before `end` a session has passed over that was to begin at `from`.
fn gone(started: &Started, from: Offset, end: Offset) -> u64 {
    let passed = started.from.min(end).get().saturating_sub(from.get());
    if started.trimmed || started.damaged.is_some() { passed.max(1) } else { 0 }
}

/// How a session ended.
enum Drained {
    /// All that was asked for was there, or is gone for good.
    All,
    /// There is damage.
    Damaged,
}

async fn drain(
    session: &mut ReadSession,
    place: &mut Offset,
    end: Offset,
    take: &mut impl FnMut(&Meta, &[u8]) -> bool,
) -> Result<Drained, LandError> {
    loop {
        match session.next().await {
            ReadEvent::Batch(block) => {
                let unreadable =
                    |error: &dyn std::fmt::Display| LandError::Closed(error.to_string());
                let lines = block.lines().map_err(|error| unreadable(&error))?;
                let metas = block.metas().map_err(|error| unreadable(&error))?;
                for (meta, line) in metas.with_lines(lines) {
                    if meta.offset < *place {
                        continue;
                    }
                    if meta.offset >= end {
                        return Ok(Drained::All);
                    }
                    *place = meta.offset.next();
                    if !take(&meta, line) {
                        *place = end;
                        return Ok(Drained::All);
                    }
                }
                if session.considered().next() >= end {
                    return Ok(Drained::All);
                }
            }
            // Offsets have gaps, also at the end.
            ReadEvent::Heartbeat { considered } if considered.next() >= end => {
                return Ok(Drained::All);
            }
            ReadEvent::Heartbeat { .. } => {}
            ReadEvent::Closed(CloseReason::Damaged(_)) => return Ok(Drained::Damaged),
            ReadEvent::Closed(reason) => return Err(LandError::Closed(format!("{reason:?}"))),
        }
    }
}
