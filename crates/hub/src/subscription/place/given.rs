//! How far events of a place were ever handed out, so that after a start it is said of them that they
//! may have been: said, and not counted, for what consumers have passed over is below as well, and
//! nobody must take an event for one that fails again and again which nobody has seen.
//!
//! Called by `place`, which stores it beside the floor. A mark is written ahead of what is handed out,
//! by more the more there is of it, so that it costs a busy consumer a write in a thousand events. At
//! a clean end it is written as it is.
//!
//! Invariants: what was handed out is below the mark; the mark is no more events above it than were
//! handed out since the start, and no more than [`MOST`].

/// How many events the mark may be ahead.
const MOST: u64 = 1_024;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Everything handed out is below.
    mark: u64,
    /// The mark as it was last written.
    written: u64,
    /// What it was when the server started.
    before: u64,
    /// What was handed out since is below.
    last: u64,
    /// By how much it was last ahead.
    ahead: u64,
}

impl Given {
    /// As it was stored.
    pub(super) fn loaded(mark: u64) -> Self {
        Self { mark, written: mark, before: mark, last: 0, ahead: 0 }
    }

    /// The event at `offset` is handed out. Says whether it may have been before the start.
    pub(super) fn give(&mut self, offset: u64) -> bool {
        if offset >= self.mark {
            self.ahead = (self.ahead * 2).clamp(1, MOST);
            self.mark = offset.saturating_add(self.ahead);
        }
        self.last = self.last.max(offset.saturating_add(1));
        offset < self.before
    }

    /// Nothing is handed out any more: the mark is ahead of nothing. Says whether that changes it.
    pub(super) fn end(&mut self) -> bool {
        self.mark = self.last.max(self.before);
        self.is_dirty()
    }

    pub(super) const fn is_dirty(&self) -> bool {
        self.mark != self.written
    }

    /// The mark, which is written now.
    pub(super) const fn write(&mut self) -> u64 {
        self.written = self.mark;
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_ahead_of_what_was_given_by_no_more_than_that() {
        let mut given = Given::default();
        let mut writes = 0;
        for count in 1..100_000 {
            let offset = 1_000_000 + count;
            assert!(!given.give(offset));
            if given.is_dirty() {
                writes += 1;
                given.write();
            }
            let ahead = given.mark - offset - 1;
            assert!(ahead < count && ahead < MOST, "{ahead} after {count}");
        }
        assert!(writes < 120, "{writes}");
        let mut again = Given::loaded(given.write());
        assert!(again.give(1_000_001) && again.give(1_099_999) && !again.is_dirty());
        assert!(!again.give(1_099_999 + MOST));
    }

    #[test]
    fn at_a_clean_end_the_mark_is_where_it_belongs() {
        let mut given = Given::default();
        (0..100).for_each(|offset| assert!(!given.give(offset)));
        given.write();
        assert!(given.end());
        let mut again = Given::loaded(given.write());
        assert!(again.give(99) && !again.give(100));
        assert!(again.end());
        let mut idle = Given::loaded(again.write());
        assert!(!idle.end(), "nothing is written where nothing was handed out");
        assert!(idle.give(100) && !idle.give(101));
    }
}
