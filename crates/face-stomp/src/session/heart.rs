//! Heart-beats: when to send one, and how long the client may be silent.
//!
//! No timer is set anew by traffic: [`Heart`] keeps the moments of the last bytes each way, the
//! connection's one timer fires at [`Heart::due`] and is then set to the next due moment. So the gap
//! between two writes never exceeds what was promised (reference `activemq.md` b1, rule 8: a timer
//! that skips a beat after a message is ActiveMQ's commonest complaint), and a busy connection does
//! not touch its timer.

use std::time::Duration;

use tokio::time::Instant;

/// What client and server promised each other, in whole milliseconds; zero: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Promise {
    /// The server sends something at least this often.
    pub server: Duration,
    /// The client sends something at least this often.
    pub client: Duration,
}

impl Promise {
    /// Agrees to what the client offers and wants in its header `heart-beat`, `cx,cy`; like
    /// ActiveMQ, the server always agrees (rule 8), but to nothing below `min`.
    ///
    /// `None`: the header is malformed.
    #[must_use]
    pub fn agree(header: Option<&str>, min: Duration) -> Option<Self> {
        let Some(header) = header else { return Some(Self::default()) };
        let (offers, wants) = header.split_once(',')?;
        let interval = |text: &str| {
            let millis: u32 = text.trim().parse().ok()?;
            let asked = Duration::from_millis(millis.into());
            Some(if millis == 0 { asked } else { asked.max(min) })
        };
        Some(Self { client: interval(offers)?, server: interval(wants)? })
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before this moment.
    At(Instant),
    /// A heart-beat has to be sent.
    Beat,
    /// The client was silent for too long.
    Silent,
}

/// The clocks of one connection.
#[derive(Debug)]
pub struct Heart {
    beat: Option<Duration>,
    silence: Option<Duration>,
    written: Instant,
    read: Instant,
}

/// With nothing promised: look again after this.
const FAR: Duration = Duration::from_secs(3600);

impl Heart {
    /// A heart as of `now`. The client may be silent for `grace` of its intervals.
    #[must_use]
    pub fn new(promise: Promise, grace: u32, now: Instant) -> Self {
        let on = |interval: Duration| (!interval.is_zero()).then_some(interval);
        Self {
            // A little early, so that timers and the network may be late.
            beat: on(promise.server).map(|interval| interval - interval / 8),
            silence: on(promise.client).map(|interval| interval * grace.max(2)),
            written: now,
            read: now,
        }
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
        let silent = self.silence.map(|silence| self.read + silence);
        if silent.is_some_and(|at| at <= now) {
            return Due::Silent;
        }
        let beat = self.beat.map(|beat| self.written + beat);
        if beat.is_some_and(|at| at <= now) {
            return Due::Beat;
        }
        Due::At([silent, beat].into_iter().flatten().min().unwrap_or(now + FAR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);

    #[test]
    fn the_server_agrees_to_what_the_client_asks() {
        let agree = |header| Promise::agree(header, MIN);
        let promise = |client, server| {
            let (client, server) = (Duration::from_millis(client), Duration::from_millis(server));
            Some(Promise { server, client })
        };
        assert_eq!(agree(None), promise(0, 0));
        assert_eq!(agree(Some("5000,3000")), promise(5000, 3000));
        assert_eq!(agree(Some(" 0 , 1 ")), promise(0, 100));
        for bad in ["abc", "1", "1,", "-1,0", "1,2,3", "4294967296,0"] {
            assert_eq!(agree(Some(bad)), None, "{bad}");
        }
    }

    #[test]
    fn no_gap_between_writes_exceeds_the_promise() {
        let start = Instant::now();
        let (at, second) = (|ms| start + Duration::from_millis(ms), Duration::from_secs(1));
        let mut heart = Heart::new(Promise { server: second, client: Duration::ZERO }, 2, start);
        assert_eq!(heart.due(start), Due::At(at(875)));
        heart.wrote(at(800));
        // The timer that was set fires, and learns that it is not time yet.
        assert_eq!(heart.due(at(875)), Due::At(at(1675)));
        assert_eq!(heart.due(at(1675)), Due::Beat);
    }

    #[test]
    fn a_client_may_miss_one_beat_but_not_two() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let second = Duration::from_secs(1);
        let mut heart = Heart::new(Promise { server: Duration::ZERO, client: second }, 2, start);
        assert_eq!(heart.due(at(1999)), Due::At(at(2000)));
        assert_eq!(heart.due(at(2000)), Due::Silent);
        heart.read(at(1500));
        assert_eq!(heart.due(at(3499)), Due::At(at(3500)));
    }
}
