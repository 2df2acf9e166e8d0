//! The configuration: its values, typed, and where each came from.
//!
//! Called by `main` and by SIGHUP. `default.toml` is the one list of keys, types and defaults: a
//! key that is not in it is refused, and so is a value of another type than there.
//!
//! Invariant: a [`Config`] that exists has passed [`Config::check`].

mod destinations;
mod ingest;
mod landing;
mod layer;
mod listeners;
mod nearest;
mod openwire;
mod sse;
mod stomp;
mod webhook;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

pub(crate) use destinations::Destinations;
pub(crate) use ingest::Ingest;
pub(crate) use landing::{Landing, Target};
pub(crate) use layer::Layers;
pub(crate) use openwire::OpenWire;
pub(crate) use sse::Sse;
pub(crate) use stomp::{Stomp, TextRule};
pub(crate) use webhook::Webhook;

/// The defaults, with comments: what `config print` prints.
pub(crate) const DEFAULT_TOML: &str = include_str!("default.toml");

/// Why a configuration cannot be used. Each problem names its key and source.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub(crate) struct ConfigError(pub(crate) Vec<String>);

/// The configuration in use. The keys are documented in `default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Config {
    pub(crate) http: Http,
    pub(crate) admin: Admin,
    pub(crate) data: Data,
    pub(crate) auth: Auth,
    pub(crate) limits: Limits,
    pub(crate) stream: Stream,
    pub(crate) sse: Sse,
    pub(crate) mailbox: Mailbox,
    pub(crate) ingest: Ingest,
    pub(crate) landing: Landing,
    pub(crate) webhook: Webhook,
    pub(crate) stomp: Stomp,
    pub(crate) openwire: OpenWire,
    pub(crate) destinations: Destinations,
    pub(crate) drain: Drain,
    pub(crate) log: Log,
    pub(crate) runtime: Runtime,
}

/// Section `http`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Http {
    pub(crate) listen: SocketAddr,
    pub(crate) allow_plaintext: bool,
    pub(crate) max_connections: usize,
    pub(crate) header_timeout_ms: u64,
    pub(crate) body_timeout_ms: u64,
    pub(crate) idle_timeout_ms: u64,
    pub(crate) write_stall_ms: u64,
    pub(crate) tls: TlsFiles,
}

/// The sections `http.tls`, `stomp.tls` and `openwire.tls`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct TlsFiles {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    pub(crate) suites: Suites,
}

/// Which cipher suites are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Suites {
    Default,
    Seed,
}

/// Section `admin`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Admin {
    pub(crate) listen: SocketAddr,
}

/// Section `data`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Data {
    pub(crate) dir: PathBuf,
    pub(crate) journal_bytes: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) seal_bytes_per_second: u64,
}

/// Section `auth`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Auth {
    operator_token_file: PathBuf,
}

/// Section `limits`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Limits {
    pub(crate) max_event_bytes: usize,
    pub(crate) max_depth: usize,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_batch_events: usize,
    pub(crate) held_body_bytes: usize,
    pub(crate) inflight_bytes: usize,
    pub(crate) publish_wait_ms: u64,
    pub(crate) max_transaction_bytes: usize,
    pub(crate) max_transaction_messages: usize,
    pub(crate) max_readers: usize,
    pub(crate) tail_bytes: usize,
    pub(crate) tail_total_bytes: usize,
}

impl Limits {
    /// What open transactions of a connection may hold, where `room` says how many there may be.
    pub(crate) const fn room(&self, room: outflow_broker::Room) -> outflow_broker::Room {
        outflow_broker::Room {
            bytes: self.max_transaction_bytes,
            messages: self.max_transaction_messages,
            ..room
        }
    }
}

/// Section `stream`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Stream {
    pub(crate) heartbeat_ms: u64,
}

/// Section `mailbox`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Mailbox {
    pub(crate) subscribe_status: u16,
    pub(crate) max_peek_s: u64,
    pub(crate) lock_s: u64,
    pub(crate) max_lock_s: u64,
    pub(crate) idle_days: u64,
    pub(crate) message_days: u64,
    pub(crate) strict_order: bool,
    pub(crate) require_lock: bool,
    pub(crate) max_parked: usize,
    pub(crate) key_header: String,
    pub(crate) secret_header: String,
}

/// Section `drain`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Drain {
    within_ms: u64,
    deadline_ms: u64,
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: Format,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Text,
    Json,
}

/// Section `runtime`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Runtime {
    pub(crate) threads: usize,
}

impl Config {
    /// What rules beyond the type of each value break, in the order of the sections.
    ///
    /// # Errors
    /// [`ConfigError`] lists them.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut wrong = Vec::new();
        let mut refuse = |when: bool, what: String| {
            if when {
                wrong.push(what);
            }
        };
        let half = self.http.tls.is_half();
        refuse(half, "http.tls: cert_file and key_file are given together or not at all".into());
        let bare =
            !self.http.listen.ip().is_loopback() && !self.has_tls() && !self.http.allow_plaintext;
        refuse(
            bare && !half,
            format!(
                "http.listen: {} is not a loopback address, and without TLS it would show tokens to the \
             network: give http.tls.cert_file and key_file, or set http.allow_plaintext = true",
                self.http.listen
            ),
        );
        self.check_listeners(&mut refuse);
        refuse(self.http.max_connections == 0, "http.max_connections: must be at least 1".into());
        for (key, value) in [
            ("http.header_timeout_ms", self.http.header_timeout_ms),
            ("http.body_timeout_ms", self.http.body_timeout_ms),
            ("http.idle_timeout_ms", self.http.idle_timeout_ms),
            ("http.write_stall_ms", self.http.write_stall_ms),
        ] {
            refuse(!(100..=86_400_000).contains(&value), format!("{key}: must be 100 to 86400000"));
        }
        let limits = &self.limits;
        for (key, value, low, high) in [
            ("limits.max_event_bytes", limits.max_event_bytes, 1 << 10, 64 << 20),
            ("limits.max_depth", limits.max_depth, 4, 1000),
            ("limits.max_body_bytes", limits.max_body_bytes, 1 << 10, 1 << 30),
            ("limits.max_batch_events", limits.max_batch_events, 1, 10_000_000),
            ("limits.held_body_bytes", limits.held_body_bytes, 1 << 10, 64 << 30),
            ("limits.inflight_bytes", limits.inflight_bytes, 1 << 20, 16 << 30),
            ("limits.max_transaction_bytes", limits.max_transaction_bytes, 1 << 10, 1 << 30),
            ("limits.max_transaction_messages", limits.max_transaction_messages, 1, 10_000_000),
            ("limits.max_readers", limits.max_readers, 1, 10_000_000),
            ("limits.tail_bytes", limits.tail_bytes, 64 << 10, 1 << 30),
            ("limits.tail_total_bytes", limits.tail_total_bytes, 1 << 20, 64 << 30),
            ("runtime.threads", self.runtime.threads, 0, 1024),
        ] {
            refuse(!(low..=high).contains(&value), format!("{key}: must be {low} to {high}"));
        }
        refuse(self.data.dir.as_os_str().is_empty(), "data.dir: must name a directory".into());
        let journal = self.data.journal_bytes;
        refuse(
            !(64 << 10..=1 << 30).contains(&journal),
            "data.journal_bytes: must be 65536 to 1073741824".into(),
        );
        let heartbeat = self.stream.heartbeat_ms;
        refuse(!(10..=4000).contains(&heartbeat), "stream.heartbeat_ms: must be 10 to 4000".into());
        self.sse.check(&mut refuse);
        self.mailbox.check(&mut refuse);
        self.ingest.check(limits.max_event_bytes, &mut refuse);
        self.landing.check(&mut refuse);
        self.webhook.check(&mut refuse);
        self.stomp.check(&mut refuse);
        self.openwire.check(&mut refuse);
        refuse(
            self.openwire.also_stomp && !self.stomp.enabled,
            "openwire.also_stomp: stomp.enabled has to be true".into(),
        );
        self.destinations.check(&mut refuse);
        refuse(
            self.drain.deadline_ms < self.drain.within_ms,
            "drain.deadline_ms: must not be less than drain.within_ms".into(),
        );
        if let Err(error) = crate::logging::check(&self.log.level) {
            refuse(true, error.to_string());
        }
        if wrong.is_empty() { Ok(()) } else { Err(ConfigError(wrong)) }
    }

    /// Whether HTTP is served over TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.http.tls.is_set()
    }

    /// Where the first operator's token goes.
    pub(crate) fn operator_token_file(&self) -> PathBuf {
        let file = &self.auth.operator_token_file;
        if file.as_os_str().is_empty() {
            self.data.dir.join("operator-token")
        } else {
            file.clone()
        }
    }
}

impl TlsFiles {
    /// Whether a certificate is named.
    pub(crate) fn is_set(&self) -> bool {
        !self.cert_file.as_os_str().is_empty()
    }

    /// Whether only one of the two files is named.
    fn is_half(&self) -> bool {
        self.is_set() == self.key_file.as_os_str().is_empty()
    }
}

impl Mailbox {
    fn check(&self, refuse: &mut impl FnMut(bool, String)) {
        let known = [200, 201].contains(&self.subscribe_status);
        refuse(!known, "mailbox.subscribe_status: must be 200 or 201".into());
        for (key, value, high) in [
            ("mailbox.max_peek_s", self.max_peek_s, 90),
            ("mailbox.max_lock_s", self.max_lock_s, 86_400),
            ("mailbox.lock_s", self.lock_s, self.max_lock_s),
            ("mailbox.idle_days", self.idle_days, 3_650),
            ("mailbox.message_days", self.message_days, 36_500),
        ] {
            refuse(!(1..=high).contains(&value), format!("{key}: must be 1 to {high}"));
        }
        let parked = 1..=10_000_000;
        refuse(
            !parked.contains(&self.max_parked),
            "mailbox.max_parked: must be 1 to 10000000".into(),
        );
        for (key, name) in
            [("key_header", &self.key_header), ("secret_header", &self.secret_header)]
        {
            let is_name = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
            refuse(!is_name, format!("mailbox.{key}: `{name}` is not the name of a header"));
        }
    }
}

impl Drain {
    /// The time over which live streams are ended.
    pub(crate) const fn within(&self) -> Duration {
        Duration::from_millis(self.within_ms)
    }

    /// The time after which everything is cut.
    pub(crate) const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

/// Reads all layers: the defaults, `file`, the variables of `environment`, `flags` as
/// `section.key` and value.
///
/// # Errors
/// [`ConfigError`] lists every problem: keys that do not exist, values of the wrong type or form,
/// and values that break a rule.
pub(crate) fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> Result<(Config, Layers), ConfigError> {
    let mut layers = Layers::defaults()?;
    let mut wrong = Vec::new();
    let mut keep = |result: Result<(), ConfigError>| {
        if let Err(ConfigError(problems)) = result {
            wrong.extend(problems);
        }
    };
    if let Some(path) = file {
        match std::fs::read_to_string(path) {
            Ok(text) => keep(layers.add_file(path, &text)),
            Err(error) => {
                keep(Err(ConfigError(vec![format!("cannot read `{}`: {error}", path.display())])));
            }
        }
    }
    for (name, value) in environment {
        keep(layers.add_variable(&name, &value));
    }
    for (key, value) in flags {
        keep(layers.add_flag(key, value));
    }
    // What was refused so far left the values as they were, so the rest can be looked at as well.
    keep(match layers.reset_unreadable::<Config>() {
        none if none.is_empty() => Ok(()),
        unreadable => Err(ConfigError(unreadable)),
    });
    let config = layers.values::<Config>()?;
    keep(config.check());
    if wrong.is_empty() { Ok((config, layers)) } else { Err(ConfigError(wrong)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(flags: &[(&str, &str)]) -> Result<Config, String> {
        let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        load(None, std::iter::empty(), &flags).map(|(config, _)| config).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_complete_and_valid() {
        let config = with(&[]).unwrap();
        assert!(config.http.listen.ip().is_loopback());
        assert_eq!(config.operator_token_file(), Path::new("./outflow-data/operator-token"));
    }

    #[test]
    fn plain_http_for_the_world_is_refused_unless_allowed() {
        let refused = with(&[("http.listen", "0.0.0.0:80")]).unwrap_err();
        assert!(refused.contains("http.allow_plaintext = true"), "{refused}");
        with(&[("http.listen", "0.0.0.0:80"), ("http.allow_plaintext", "true")]).unwrap();
        with(&[
            ("http.listen", "0.0.0.0:443"),
            ("http.tls.cert_file", "c"),
            ("http.tls.key_file", "k"),
        ])
        .unwrap();
        assert!(with(&[("http.tls.cert_file", "c")]).unwrap_err().contains("together"));
    }

    #[test]
    fn a_frame_of_openwire_is_as_large_as_an_event_needs_unless_it_is_set() {
        let frames = |flags: &[(&str, &str)]| {
            let config = with(flags)?;
            Ok::<_, String>(config.openwire.options(&config.limits).max_frame_bytes)
        };
        assert_eq!(frames(&[]), Ok((3 << 19) + (64 << 10)));
        assert_eq!(frames(&[("limits.max_event_bytes", "2097152")]), Ok((3 << 20) + (64 << 10)));
        assert_eq!(frames(&[("openwire.max_frame_bytes", "4096")]), Ok(4096));
        frames(&[("openwire.max_frame_bytes", "4095")]).unwrap_err();
    }

    #[test]
    fn layers_come_in_order_and_every_problem_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "[http]\nlisten = \"127.0.0.1:1\"\nidle_timeout_ms = 5000\n[log]\nlevel = \"warn\"\n",
        )
        .unwrap();
        let env = [
            ("OUTFLOW__HTTP__LISTEN", "127.0.0.1:2"),
            ("OUTFLOW__LOG__LEVEL", "debug"),
            ("OUTFLOW_TOKEN", "x"),
        ];
        let env = || env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let flags = [("log.level".to_owned(), "error".to_owned())];
        let (config, layers) = load(Some(file.path()), env(), &flags).unwrap();
        assert_eq!(config.http.listen.port(), 2);
        assert_eq!(config.http.idle_timeout_ms, 5000);
        assert_eq!(config.log.level, "error");
        let printed = layers.print();
        assert!(printed.contains("listen = \"127.0.0.1:2\"  # OUTFLOW__HTTP__LISTEN"), "{printed}");
        assert!(printed.contains("level = \"error\"  # flag"), "{printed}");

        std::fs::write(file.path(), "[http]\nlisten = 5\nliste = 1\n[lgo]\nlevel = 1\n").unwrap();
        let wrong = load(Some(file.path()), env(), &[]).unwrap_err().to_string();
        assert!(wrong.contains("http.listen: must be a string"), "{wrong}");
        assert!(wrong.contains("no key `http.liste`; did you mean `http.listen`?"), "{wrong}");
        assert!(wrong.contains("no key `lgo`; did you mean `log`?"), "{wrong}");

        let text = "[http]\nliste = 1\nmax_connections = 0\n[log]\nlevel = \"loud\"\n[runtime]\nthreads = -1\n";
        std::fs::write(file.path(), text).unwrap();
        let wrong = load(Some(file.path()), std::iter::empty(), &[]).unwrap_err().to_string();
        for key in ["http.liste", "http.max_connections", "log.level", "runtime.threads"] {
            assert!(wrong.contains(key), "no {key} in {wrong}");
        }
    }

    #[test]
    fn values_from_text_take_the_type_of_the_default() {
        assert_eq!(with(&[("runtime.threads", "3")]).unwrap().runtime.threads, 3);
        assert!(with(&[("runtime.threads", "three")]).unwrap_err().contains("must be an integer"));
        assert!(
            with(&[("http.allow_plaintext", "yes")]).unwrap_err().contains("must be true or false")
        );
        assert!(with(&[("http.listen", "localhost")]).unwrap_err().contains("http.listen"));
        assert!(with(&[("http", "x")]).unwrap_err().contains("must be a table"));
    }
}
