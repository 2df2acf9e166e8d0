//! Heart-beats: what client and server promise each other (reference `activemq.md` b1, rule 8).

use std::time::Duration;

use outflow_broker::Rhythm;

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

    /// What both are held to. The client may be silent for `grace` of its intervals.
    #[must_use]
    pub fn rhythm(self, grace: u32) -> Rhythm {
        let on = |interval: Duration| (!interval.is_zero()).then_some(interval);
        Rhythm {
            // A little early, so that timers and the network may be late.
            beat: on(self.server).map(|interval| interval - interval / 8),
            silence: on(self.client).map(|interval| interval * grace.max(2)),
        }
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
    fn the_server_beats_early_and_a_client_may_miss_one_beat_but_not_two() {
        let second = Duration::from_secs(1);
        let rhythm = Promise { server: second, client: second }.rhythm(2);
        assert_eq!(rhythm.beat, Some(Duration::from_millis(875)));
        assert_eq!(rhythm.silence, Some(second * 2));
        assert_eq!(Promise::default().rhythm(2), Rhythm::default());
    }
}
