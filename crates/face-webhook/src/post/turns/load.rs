//! What is under way of a project, at a host of it or over all, and whether there may be more.
//!
//! Counted by [`Turns`](super::Turns) as requests begin and end.
//!
//! Invariant: what has begun is counted until it has ended, as what it was when it began.

/// How many times what is left for all a project may have: alone, four fifths of the room.
const SHARE: usize = 4;
/// Which part of the room is kept, within each project's share, for those that were quick.
const KEPT: usize = 16;

/// See the module.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    pub(super) requests: usize,
    pub(super) bytes: usize,
    /// How much of this is of those that were not quick the last time.
    pub(super) doubtful: usize,
    doubtful_bytes: usize,
}

impl Load {
    pub(super) const fn begin(&mut self, is_quick: bool, bytes: usize) {
        self.requests += 1;
        self.bytes += bytes;
        if !is_quick {
            self.doubtful += 1;
            self.doubtful_bytes += bytes;
        }
    }

    pub(super) const fn end(&mut self, is_quick: bool, bytes: usize) {
        self.requests = self.requests.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if !is_quick {
            self.doubtful = self.doubtful.saturating_sub(1);
            self.doubtful_bytes = self.doubtful_bytes.saturating_sub(bytes);
        }
    }

    /// A request is of so many bytes, and not of so many as was thought.
    pub(super) const fn weigh(&mut self, is_quick: bool, old: usize, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(old).saturating_add(bytes);
        if !is_quick {
            let others = self.doubtful_bytes.saturating_sub(old);
            self.doubtful_bytes = others.saturating_add(bytes);
        }
    }

    /// Whether a project with this has its share of what all may have, in requests and in bytes.
    pub(super) const fn has_share(&self, all: &Self, max: (usize, usize)) -> bool {
        is_share(self.requests, all.requests, max.0) || is_share(self.bytes, all.bytes, max.1)
    }

    /// Whether those of a project that were not quick have theirs: as if what is kept for the others were
    /// taken.
    pub(super) const fn has_share_beside_kept(&self, all: &Self, max: (usize, usize)) -> bool {
        is_beside_kept(self.doubtful, self.requests, all.requests, max.0)
            || is_beside_kept(self.doubtful_bytes, self.bytes, all.bytes, max.1)
    }
}

const fn is_share(own: usize, all: usize, max: usize) -> bool {
    own > 0 && own >= max.saturating_sub(all).saturating_mul(SHARE)
}

const fn is_beside_kept(doubtful: usize, own: usize, all: usize, max: usize) -> bool {
    let kept = max / KEPT;
    let as_if = all.saturating_sub(own).saturating_add(doubtful).saturating_add(kept);
    doubtful > 0 && is_share(doubtful.saturating_add(kept), as_if, max)
}
