//! Events to publish, rendered before the clock starts.

/// Events without ids, which the server then gives, so that one rendered event can be sent again and
/// is no duplicate; with bodies that differ and compress about as real ones do: half text, half random.
#[derive(Debug)]
pub(crate) struct Workload {
    state: u64,
    event_bytes: usize,
}

impl Workload {
    /// The same seed gives the same events.
    pub(crate) fn new(event_bytes: u32) -> Self {
        Self { state: 0x9e37_79b9_7f4a_7c15, event_bytes: event_bytes as usize }
    }

    /// One event of exactly the wanted size; sizes below 120 bytes leave no room for the envelope.
    pub(crate) fn event(&mut self) -> String {
        let head = r#"{"type":"CUSTOM","body":{"name":"bench","token":""#;
        let tail = r#""}}"#;
        let room = self.event_bytes.saturating_sub(head.len() + tail.len());
        let mut body = String::with_capacity(room + 16);
        while body.len() < room / 2 {
            body.push_str(&format!("{:016x}", self.next()));
        }
        body.truncate(room / 2);
        body.push_str(&"interactive notification ".repeat(room / 25 + 1));
        body.truncate(room);
        format!("{head}{body}{tail}")
    }

    /// `count` events, one a line.
    pub(crate) fn batch(&mut self, count: usize) -> String {
        let lines: Vec<String> = (0..count).map(|_| self.event()).collect();
        lines.join("\n")
    }

    /// Xorshift: cheap, and nothing here has to be unpredictable.
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_of_the_wanted_size() {
        for bytes in [120, 200, 1_000] {
            let event = Workload::new(bytes).event();
            assert_eq!(event.len(), bytes as usize);
            assert!(serde_json::from_str::<serde_json::Value>(&event).is_ok(), "{event}");
        }
        let mut workload = Workload::new(200);
        assert_ne!(workload.event(), workload.event());
    }
}
