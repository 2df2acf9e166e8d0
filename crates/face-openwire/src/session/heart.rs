//! Keep-alive: when to send one, and how long the client may be silent (reference `activemq.md`
//! c1, Keep-alive).
//!
//! No timer is set anew by traffic: [`Heart`] keeps the moments of the last bytes each way, the
//! connection's one timer fires at [`Heart::due`] and is then set to the next due moment.

use std::time::Duration;

use tokio::time::Instant;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment.
    At(Instant),
    /// A keep-alive has to be sent.
    Beat,
    /// The client was silent for too long.
    Silent,
}

/// The clocks of one connection.
#[derive(Debug)]
pub struct Heart {
    /// The agreed duration; `None`: nothing was promised.
    inactivity: Option<Duration>,
    written: Instant,
    read: Instant,
}

/// With nothing promised: look again after this.
const FAR: Duration = Duration::from_secs(3600);
/// The shortest duration that is held to.
const LEAST: Duration = Duration::from_millis(100);

impl Heart {
    /// A heart as of `now`, for what both sides agreed on; zero: nothing.
    #[must_use]
    pub fn new(inactivity: Duration, now: Instant) -> Self {
        let inactivity = (!inactivity.is_zero()).then(|| inactivity.max(LEAST));
        Self { inactivity, written: now, read: now }
    }

    /// Bytes were written to the socket.
    pub const fn wrote(&mut self, now: Instant) {
        self.written = now;
    }

    /// Bytes were read from the socket.
    pub const fn read(&mut self, now: Instant) {
        self.read = now;
    }

    /// What is due as of `now`. After [`Due::Beat`] the caller sends one.
    ///
    /// A client looks whether something came once in each duration, and writes as rarely as once in
    /// it: so the server writes three times in one, and gives the client two.
    #[must_use]
    pub fn due(&self, now: Instant) -> Due {
        let Some(inactivity) = self.inactivity else { return Due::At(now + FAR) };
        let silent = self.read + inactivity * 2;
        if silent <= now {
            return Due::Silent;
        }
        let beat = self.written + inactivity / 3;
        if beat <= now { Due::Beat } else { Due::At(silent.min(beat)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_server_writes_thrice_in_what_was_agreed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heart = Heart::new(Duration::from_secs(3), start);
        assert_eq!(heart.due(start), Due::At(at(1000)));
        assert_eq!(heart.due(at(1000)), Due::Beat);
        heart.wrote(at(1000));
        assert_eq!(heart.due(at(1000)), Due::At(at(2000)));
    }

    #[test]
    fn a_client_that_says_nothing_is_given_twice_as_long() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heart = Heart::new(Duration::from_secs(3), start);
        heart.wrote(at(5500));
        assert_eq!(heart.due(at(5999)), Due::At(at(6000)));
        assert_eq!(heart.due(at(6000)), Due::Silent);
        heart.read(at(5999));
        assert_eq!(heart.due(at(6000)), Due::At(at(6500)));
    }

    #[test]
    fn nothing_is_due_where_nothing_was_agreed() {
        let start = Instant::now();
        let heart = Heart::new(Duration::ZERO, start);
        assert_eq!(heart.due(start), Due::At(start + FAR));
    }
}
