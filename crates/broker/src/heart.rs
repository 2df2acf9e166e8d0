//! Signs of life: when to send one, and how long the client may be silent.
//!
//! No timer is set anew by traffic: [`Heart`] keeps the moments of the last bytes each way, the
//! connection's one timer fires at [`Heart::due`] and is then set to the next due moment. So the gap
//! between two writes never exceeds what was promised (a timer that skips a beat after a message is
//! ActiveMQ's commonest complaint, reference `activemq.md` b1, rule 8), and a busy connection does
//! not touch its timer.

use std::time::Duration;

use tokio::time::Instant;

/// What both sides are held to; `None`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rhythm {
    /// After how long without a byte to the client the server sends a sign of life.
    pub beat: Option<Duration>,
    /// After how long without a byte the client is taken for dead.
    pub silence: Option<Duration>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment.
    At(Instant),
    /// A sign of life has to be sent.
    Beat,
    /// The client was silent for too long.
    Silent,
}

/// The clocks of one connection.
#[derive(Debug)]
pub struct Heart {
    rhythm: Rhythm,
    written: Instant,
    read: Instant,
}

/// With nothing promised: look again after this.
const FAR: Duration = Duration::from_secs(3600);

impl Heart {
    /// A heart as of `now`.
    #[must_use]
    pub const fn new(rhythm: Rhythm, now: Instant) -> Self {
        Self { rhythm, written: now, read: now }
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
    #[must_use]
    pub fn due(&self, now: Instant) -> Due {
        let silent = self.rhythm.silence.map(|silence| self.read + silence);
        if silent.is_some_and(|at| at <= now) {
            return Due::Silent;
        }
        let beat = self.rhythm.beat.map(|beat| self.written + beat);
        if beat.is_some_and(|at| at <= now) {
            return Due::Beat;
        }
        Due::At([silent, beat].into_iter().flatten().min().unwrap_or(now + FAR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(beat: Option<u64>, silence: Option<u64>) -> Rhythm {
        const fn of(seconds: Option<u64>) -> Option<Duration> {
            match seconds {
                Some(seconds) => Some(Duration::from_secs(seconds)),
                None => None,
            }
        }
        Rhythm { beat: of(beat), silence: of(silence) }
    }

    #[test]
    fn no_gap_between_writes_exceeds_the_promise() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heart = Heart::new(seconds(Some(1), None), start);
        assert_eq!(heart.due(start), Due::At(at(1000)));
        heart.wrote(at(800));
        // The timer that was set fires, and learns that it is not time yet.
        assert_eq!(heart.due(at(1000)), Due::At(at(1800)));
        assert_eq!(heart.due(at(1800)), Due::Beat);
    }

    #[test]
    fn a_client_may_be_silent_for_as_long_as_was_agreed() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heart = Heart::new(seconds(None, Some(2)), start);
        assert_eq!(heart.due(at(1999)), Due::At(at(2000)));
        assert_eq!(heart.due(at(2000)), Due::Silent);
        heart.read(at(1500));
        assert_eq!(heart.due(at(3499)), Due::At(at(3500)));
    }

    #[test]
    fn nothing_is_due_where_nothing_was_agreed() {
        let start = Instant::now();
        let heart = Heart::new(Rhythm::default(), start);
        assert_eq!(heart.due(start), Due::At(start + FAR));
    }
}
