//! Section `webhook`: how events are POSTed to customers' endpoints.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outflow_face_webhook::Options;
use outflow_face_webhook::guard::{Guard, Subnet};
use outflow_face_webhook::schedule::Schedule;
use serde::Deserialize;

/// The addresses of this host.
const THIS_HOST: &str = "127.0.0.0/8, ::1/128";

/// Section `webhook`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Webhook {
    pub(crate) enabled: bool,
    allow_subnets: String,
    allow_http: bool,
    ports: String,
    proxy: String,
    ca_file: PathBuf,
    max_in_flight: usize,
    max_per_host: usize,
    max_held_bytes: usize,
    max_endpoint_bytes: usize,
    timeout_ms: u64,
    retry_pauses_s: String,
    disable_after_h: u64,
    attempts_age_h: u64,
}

/// The parts of a list with commas.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// `443` or `8000-8999`.
fn range(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match (port(from), port(to)) {
        (Some(from), Some(to)) if from <= to => Ok(from..=to),
        _ => Err(format!("`{text}` is neither a port nor a range of ports")),
    }
}

impl Webhook {
    fn subnets(&self) -> Result<Vec<Subnet>, String> {
        let parse = |text: &str| text.parse().map_err(|error| format!("`{text}`: {error}"));
        parts(&self.allow_subnets).map(parse).collect()
    }

    fn ports(&self) -> Result<Vec<RangeInclusive<u16>>, String> {
        parts(&self.ports).map(range).collect()
    }

    fn schedule(&self) -> Result<Schedule, String> {
        let seconds = |part: &str| {
            let seconds = part.parse().map(Duration::from_secs);
            seconds.map_err(|_| format!("`{part}` is no number of seconds"))
        };
        let pauses = parts(&self.retry_pauses_s).map(seconds).collect::<Result<_, _>>()?;
        Schedule::new(pauses).map_err(|error| error.to_string())
    }

    /// The proxy that requests go through, if any.
    pub(crate) fn proxy(&self) -> Option<&str> {
        Some(self.proxy.as_str()).filter(|proxy| !proxy.is_empty())
    }

    /// Authorities that are trusted besides the usual ones.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        Some(self.ca_file.as_path()).filter(|file| !file.as_os_str().is_empty())
    }

    /// What the face is set to; `own` is where the server itself listens. Of what breaks a rule
    /// nothing is taken: [`Self::check`] refused it.
    pub(crate) fn options(&self, own: Vec<SocketAddr>, posts: usize) -> Options {
        let allow = self.subnets().unwrap_or_default();
        let ports = self.ports().unwrap_or_default();
        Options {
            guard: Arc::new(Guard { allow, own, ports, plain: self.allow_http }),
            max_in_flight: self.max_in_flight,
            max_per_host: self.max_per_host,
            max_held_bytes: self.max_held_bytes,
            max_endpoint_bytes: self.max_endpoint_bytes,
            timeout: Duration::from_millis(self.timeout_ms),
            schedule: self.schedule().unwrap_or_default(),
            disable_after: Duration::from_secs(self.disable_after_h * 3_600),
            attempts_age: Duration::from_secs(self.attempts_age_h * 3_600),
            posts,
            ..Options::default()
        }
    }

    /// Lets webhooks go to this host, and without TLS, unless it says where they may go: for trying out.
    pub(crate) fn allow_this_host(&mut self) {
        self.allow_http = true;
        if self.allow_subnets.is_empty() {
            THIS_HOST.clone_into(&mut self.allow_subnets);
        }
    }

    /// What is allowed that is not by default, for the log; `None`: nothing.
    pub(crate) fn allowances(&self) -> Option<String> {
        let subnets = parts(&self.allow_subnets).map(|subnet| format!("requests to {subnet}"));
        let plain = self.allow_http.then(|| "requests without TLS".to_owned());
        let all: Vec<String> = subnets.chain(plain).collect();
        Some(all.join(", ")).filter(|all| !all.is_empty())
    }

    /// Says to `refuse` what is wrong.
    pub(super) fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        for (key, wrong) in [
            ("allow_subnets", self.subnets().err()),
            ("ports", self.ports().err()),
            ("retry_pauses_s", self.schedule().err()),
        ] {
            if let Some(reason) = wrong {
                refuse(true, format!("webhook.{key}: {reason}"));
            }
        }
        for (key, value, low, high) in [
            ("max_in_flight", self.max_in_flight as u64, 1, 100_000),
            ("max_per_host", self.max_per_host as u64, 1, 100_000),
            ("max_held_bytes", self.max_held_bytes as u64, 16 << 20, 1 << 40),
            ("max_endpoint_bytes", self.max_endpoint_bytes as u64, 8 << 20, 1 << 30),
            ("timeout_ms", self.timeout_ms, 1_000, 60_000),
            ("disable_after_h", self.disable_after_h, 1, 2_160),
            ("attempts_age_h", self.attempts_age_h, 1, 8_760),
        ] {
            let reason = format!("webhook.{key}: must be {low} to {high}");
            refuse(!(low..=high).contains(&value), reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::Layers;

    fn section() -> Webhook {
        Layers::defaults().unwrap().values::<Config>().unwrap().webhook
    }

    fn wrong(change: impl FnOnce(&mut Webhook)) -> Vec<String> {
        let mut section = section();
        change(&mut section);
        let mut wrong = Vec::new();
        section.check(&mut |is_wrong, what| wrong.extend(is_wrong.then_some(what)));
        wrong
    }

    #[test]
    fn the_defaults_are_those_of_the_face() {
        assert!(wrong(|_| {}).is_empty());
        let (set, face) = (section().options(Vec::new(), 2), Options::default());
        assert_eq!(set.schedule, face.schedule);
        let numbers = |one: &Options| {
            let bytes = (one.max_held_bytes, one.max_endpoint_bytes);
            let times = (one.timeout, one.disable_after, one.attempts_age);
            (one.max_in_flight, one.max_per_host, bytes, times)
        };
        assert_eq!(numbers(&set), numbers(&face));
        assert!(set.guard.endpoint("https://example.com/").is_ok());
        assert!(set.guard.endpoint("http://example.com/").is_err());
        assert_eq!(section().allowances(), None);
    }

    #[test]
    fn what_is_allowed_is_parsed_and_told() {
        let mut set = section();
        set.ports = "443, 8000-8999".into();
        set.allow_this_host();
        let options = set.options(vec![SocketAddr::from(([127, 0, 0, 1], 8080))], 1);
        assert!(options.guard.endpoint("http://127.0.0.1:8001/").is_ok());
        assert!(options.guard.endpoint("http://127.0.0.1:8080/").is_err(), "its own door");
        assert!(options.guard.endpoint("http://127.0.0.1:9000/").is_err(), "the port");
        let told = set.allowances().unwrap();
        assert!(told.contains("127.0.0.0/8") && told.contains("without TLS"), "{told}");
    }

    #[test]
    fn each_fault_is_told_with_its_key() {
        for (key, found) in [
            ("allow_subnets", wrong(|one| one.allow_subnets = "10.0.0.0/33".into())),
            ("ports", wrong(|one| one.ports = "9-8".into())),
            ("retry_pauses_s", wrong(|one| one.retry_pauses_s = "5, soon".into())),
            ("retry_pauses_s", wrong(|one| one.retry_pauses_s = String::new())),
            ("timeout_ms", wrong(|one| one.timeout_ms = 0)),
            ("max_held_bytes", wrong(|one| one.max_held_bytes = 1 << 20)),
            ("max_endpoint_bytes", wrong(|one| one.max_endpoint_bytes = 1 << 20)),
        ] {
            assert!(found.len() == 1 && found[0].contains(key), "{key}: {found:?}");
        }
    }
}
