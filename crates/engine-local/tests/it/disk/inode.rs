//! A file's bytes: as a reader sees them, as they are on the platters, and what lies between.

use outflow_model::Rng;

use crate::faults::Loss;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What `durable` lacks, in order.
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Inode {
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.live
    }

    pub(crate) fn write(&mut self, data: &[u8], at: u64) {
        put(&mut self.live, at as usize, data);
        self.unsynced.push(Change::Write(at as usize, data.to_vec()));
    }

    pub(crate) fn set_len(&mut self, len: u64) {
        self.live.resize(len as usize, 0);
        self.unsynced.push(Change::SetLen(len as usize));
    }

    pub(crate) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write(at, data) => put(&mut self.durable, at, &data),
                Change::SetLen(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// A sync that failed: some of the changes are on the disk, none will be written again.
    pub(crate) fn fail_sync(&mut self, rng: &dyn Rng) {
        self.unsynced.retain(|_| rng.below(2) == 0);
        self.sync();
    }

    /// Leaves what a crash leaves.
    pub(crate) fn crash(&mut self, loss: Loss, sector: usize, rng: &dyn Rng) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::SetLen(len) if loss.survives(rng) => self.durable.resize(len, 0),
                Change::SetLen(_) => {}
                Change::Write(at, data) => self.tear(at, &data, loss, sector, rng),
            }
        }
        self.live.clone_from(&self.durable);
    }

    /// Writes the sectors of `data` that survive; the odd one only in part.
    fn tear(&mut self, at: usize, data: &[u8], loss: Loss, sector: usize, rng: &dyn Rng) {
        let (mut at, mut rest) = (at, data);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((sector - at % sector).min(rest.len()));
            if loss.survives(rng) {
                let is_torn = matches!(loss, Loss::Any) && rng.below(16) == 0;
                let len =
                    if is_torn { rng.below(piece.len() as u64) as usize } else { piece.len() };
                put(&mut self.durable, at, &piece[..len]);
            }
            at += piece.len();
            rest = after;
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, data: &[u8]) {
    if bytes.len() < at + data.len() {
        bytes.resize(at + data.len(), 0);
    }
    bytes[at..at + data.len()].copy_from_slice(data);
}
