//! After damage to the journal: everything that is given out once jumps.
//!
//! Called once by recovery, when what is left has been put together and nothing is served yet. How
//! many commits a damaged journal has lost, and whose, nobody knows. They were acknowledged, and
//! their offsets and revisions may be in the hands of clients. So every stream goes on, and so do
//! sequences and generations, further on than any journal reaches.
//!
//! Invariant: a jump is durable before anything is given out behind it. It is made again by every
//! recovery that finds the damage, which is until its generation is sealed and set aside.
//!
//! A stream that was itself made in lost commits is not known, and so begins anew when it is made
//! again.

use std::io;

use outflow_model::{Offset, StreamId};

use super::Recovery;
use crate::catalog::{self, EndRecord, SealedRecord};

/// How many offsets each stream goes on: more than there are events in the largest journals, of
/// which each takes 100 bytes and more.
const OFFSETS: u64 = 1 << 32;
/// How many commits go missing at most: more than fit into the largest journals, 4 KiB each.
const SEQUENCES: u64 = 1 << 26;
/// More than the journal files that can wait.
const GENERATIONS: u64 = 1 << 10;
/// How many ends of streams are given to the state at once.
const PUTS: usize = 1000;

impl Recovery<'_> {
    /// Jumps if the journal is damaged, and sets files aside of which nothing is left.
    pub(super) fn jump(&mut self, cut: &[u32]) -> io::Result<()> {
        if !self.is_damaged {
            return Ok(());
        }
        self.last_sequence += SEQUENCES;
        self.last_generation += GENERATIONS;
        let ids = self.index.ids();
        for ids in ids.chunks(PUTS) {
            let puts: Vec<_> = ids
                .iter()
                .filter_map(|&id| self.jump_stream(id).map(|end| catalog::end_put(id, end)))
                .collect();
            self.parts.state.apply(&puts, None)?;
        }
        match self.waiting.back_mut() {
            // So that sealing it notes the jump.
            Some(newest) => newest.last_sequence = self.last_sequence,
            None => {
                let (generation, last_sequence) = (self.last_generation, self.last_sequence);
                let sealed = SealedRecord { generation, last_sequence };
                self.parts.state.apply(&[catalog::sealed_put(sealed)], None)?;
            }
        }
        self.parts.state.persist()?;
        cut.iter().try_for_each(|&slot| self.set_aside(slot))
    }

    fn jump_stream(&mut self, id: StreamId) -> Option<EndRecord> {
        let (stream, tail) = (self.index.streams.get_mut(&id)?, self.tails.get_mut(&id)?);
        stream.next = stream.next.plus(OFFSETS).min(Offset::LAST.next());
        tail.next = stream.next;
        let (next, last_at) = (stream.next, stream.last_at);
        Some(EndRecord { next, last_at, last: stream.last, sealed: stream.sealed_end })
    }

    /// Keeps a journal file that was cut to less than its head. It gets a generation of its own,
    /// so that its new name is nobody else's.
    fn set_aside(&mut self, slot: u32) -> io::Result<()> {
        self.last_generation += 1;
        crate::journal::set_aside(self.parts.fs.as_ref(), self.dir, slot, self.last_generation)
            .map(|name| self.health.damage(format!("quarantine/{name} was set aside")))
    }
}
