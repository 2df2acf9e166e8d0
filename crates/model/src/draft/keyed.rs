//! Events about entities: lines with a tick behind the times that the server writes.
//!
//! Called by the hub, which alone knows whether a stream is keyed: a draft that was rendered for any
//! stream gets room for ticks before it takes its place in a keyed one. The member is
//! `,"tick":` and sixteen digits, straight behind the first five, where
//! [`Meta::tick`](crate::Meta::tick) finds it without reading the line.

use super::render::Head;
use super::{Draft, EventError};
use crate::json::value::Members;
use crate::meta::{FLAG_TICK, MetaSlice, TICK_BYTES};
use crate::{Meta, Rng, StreamName, Tick, Timestamp};

/// What stands before the digits.
const BEFORE_TICK: &[u8] = b",\"tick\":";

/// The version of an entity that a load sends.
#[derive(Debug, Clone, Copy)]
pub struct EntityEvent<'a> {
    /// The event's type.
    pub event_type: &'a str,
    /// When this version was made, and its tick.
    pub at: (Timestamp, Tick),
    /// What it is about: the text of a checked JSON object on one line.
    pub entity_ref: &'a [u8],
    /// The name of the stream that it is from.
    pub stream: &'a StreamName,
    /// Its fields: the text of a checked JSON value on one line.
    pub payload: &'a [u8],
    /// The server's time, of which the id is made.
    pub now: Timestamp,
}

impl Draft {
    /// Makes room for a tick in every line. A member `tick` of the publisher's is dropped, as an
    /// `offset` is; everything else stays byte for byte.
    pub fn make_room_for_ticks(&mut self) {
        let mut lines = Vec::with_capacity(self.lines.len() + self.len() * TICK_BYTES);
        let mut rest = self.lines.as_slice();
        for sidecar in self.metas.as_chunks_mut().0 {
            let mut meta = Meta::from_bytes(sidecar);
            let Some((line, after)) = rest.split_at_checked(meta.line_len as usize) else { break };
            rest = after;
            add_room(line, &mut meta, &mut lines);
            *sidecar = meta.to_bytes();
        }
        self.lines = lines;
    }

    /// Gives the events consecutive ticks from `first`; they must have room for them.
    pub fn stamp_ticks(&mut self, first: Tick) {
        let mut rest = self.lines.as_mut_slice();
        let mut next = Some(first);
        for meta in MetaSlice::new(&self.metas).iter() {
            let Some((line, after)) = rest.split_at_mut_checked(meta.line_len as usize) else {
                return;
            };
            rest = after;
            let at = meta.others_start() + BEFORE_TICK.len();
            let Some(tick) = next else { return };
            if let Some(place) = line.get_mut(at..at + TICK_BYTES - BEFORE_TICK.len()) {
                place.copy_from_slice(&tick.digits());
            }
            next = tick.plus(1);
        }
    }

    /// Appends an event that tells an entity's version as it was read: its `occurred` is when the
    /// version was made, its tick the version's. The id is made by the server.
    ///
    /// # Errors
    /// [`EventError`] when the line were too long to be stored.
    pub fn push_entity(
        &mut self,
        event: &EntityEvent<'_>,
        rng: &dyn Rng,
    ) -> Result<(), EventError> {
        let (made, tick) = event.at;
        let id = super::render::uuid_v7(event.now, rng);
        let mut head = Head::write(self, &id, event.event_type.as_bytes(), made);
        head.meta.flags |= FLAG_TICK;
        let out = &mut self.lines;
        // Names of streams need no escapes.
        let stream = event.stream.as_str().as_bytes();
        let parts = [BEFORE_TICK, &tick.digits(), b",\"ref\":", event.entity_ref];
        for part in parts.into_iter().chain([&b",\"stream\":\""[..], stream, b"\""]) {
            out.extend_from_slice(part);
        }
        head.begin_body(out);
        out.extend_from_slice(event.payload);
        head.end_body(out);
        head.finish(self, false)
    }
}

/// Copies `line` to `out` with room for a tick, and tells its sidecar so.
fn add_room(line: &[u8], meta: &mut Meta, out: &mut Vec<u8>) {
    let start = out.len();
    let (head, rest) = line.split_at_checked(meta.others_start()).unwrap_or((line, &[]));
    let others = meta.others(line);
    out.extend_from_slice(head);
    out.extend_from_slice(BEFORE_TICK);
    out.extend_from_slice(&Tick::FIRST.digits());
    if others.clone().any(|(name, _)| name.is(b"tick")) {
        let end = meta.others_end(line);
        for (name, value) in others.filter(|(name, _)| !name.is(b"tick")) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_written());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.text());
        }
        out.extend_from_slice(line.get(end..).unwrap_or_default());
    } else {
        out.extend_from_slice(rest);
    }
    let len = (out.len() - start) as u32;
    if meta.body_start != 0 {
        // What was put in and taken out stands before the body.
        meta.body_start = (meta.body_start + len).saturating_sub(meta.line_len);
    }
    meta.line_len = len;
    meta.flags |= FLAG_TICK;
}

impl Meta {
    /// The members of the publisher's inside `line`, between those that the server writes first and
    /// the body: `tick`, `key`, `headers` and all others.
    #[must_use]
    pub fn others<'a>(&self, line: &'a [u8]) -> Members<'a> {
        Members::inside(line.get(self.others_start()..self.others_end(line)).unwrap_or_default())
    }

    /// Where they end.
    fn others_end(&self, line: &[u8]) -> usize {
        match self.body_start as usize {
            0 => line.len().saturating_sub("}\n".len()),
            start => start.saturating_sub(r#","body":"#.len()),
        }
    }

    /// The tick inside `line`, of an event of a keyed stream or of a load.
    #[must_use]
    pub fn tick(&self, line: &[u8]) -> Option<Tick> {
        if self.flags & FLAG_TICK == 0 {
            return None;
        }
        let at = self.others_start();
        let digits = line.get(at..at + TICK_BYTES)?.strip_prefix(BEFORE_TICK)?;
        Tick::from_digits(digits)
    }
}
