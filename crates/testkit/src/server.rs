//! One server process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::TestkitError;
use crate::log::Log;

/// How long a server may take to become ready.
const READY: Duration = Duration::from_secs(30);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Generated events a second.
    pub rate: u32,
    /// The data directory; `None`: in memory.
    pub data_dir: Option<PathBuf>,
    /// The address for HTTP; port 0 takes a free one.
    pub http: SocketAddr,
    /// Further arguments of `outflow dev`.
    pub arguments: Vec<OsString>,
    /// Further environment variables.
    pub environment: Vec<(OsString, OsString)>,
}

impl Default for Options {
    /// In memory, no generated events, any port.
    fn default() -> Self {
        Self {
            rate: 0,
            data_dir: None,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// The binary under test: `OUTFLOW_BIN`, or `outflow` in the directory that the running test was
/// built into.
///
/// # Errors
/// [`TestkitError::NoBinary`].
pub fn binary() -> Result<PathBuf, TestkitError> {
    if let Some(path) = std::env::var_os("OUTFLOW_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()
        .map_err(|error| TestkitError::System { what: "find the test", error })?;
    // A test is in target/<profile>/deps, an xtask in target/<profile>.
    let beside = own.ancestors().skip(1).take(2).map(|dir| dir.join("outflow"));
    beside.into_iter().find(|path| path.is_file()).ok_or(TestkitError::NoBinary)
}

/// A running `outflow dev`. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: Log,
    http: SocketAddr,
    admin: SocketAddr,
    stomp: SocketAddr,
    openwire: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it is ready.
    ///
    /// # Errors
    /// [`TestkitError`] holds the end of the server's log.
    pub async fn start(options: &Options) -> Result<Self, TestkitError> {
        let mut command = Command::new(binary()?);
        command.args([
            "dev",
            "--json",
            "--admin",
            "127.0.0.1:0",
            "--stomp",
            "127.0.0.1:0",
            "--openwire",
            "127.0.0.1:0",
            "--http",
        ]);
        command.arg(options.http.to_string()).args(["--rate", &options.rate.to_string()]);
        match &options.data_dir {
            Some(dir) => command.arg("--data-dir").arg(dir),
            None => command.arg("--ephemeral"),
        };
        command.args(&options.arguments).envs(options.environment.iter().cloned());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|error| TestkitError::System { what: "start the server", error })?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            log.follow(stderr);
        }
        let [http, admin, stomp, openwire] = ready(&mut child, &log).await?;
        Ok(Self { child, log, http, admin, stomp, openwire })
    }

    /// Where HTTP listens.
    #[must_use]
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where STOMP listens.
    #[must_use]
    pub const fn stomp(&self) -> SocketAddr {
        self.stomp
    }

    /// Where OpenWire listens.
    #[must_use]
    pub const fn openwire(&self) -> SocketAddr {
        self.openwire
    }

    /// A URL on the HTTP listener; `path` begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    /// A URL on the admin listener; `path` begins with a slash.
    #[must_use]
    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The end of its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Sends a signal by name, such as `TERM`.
    ///
    /// # Errors
    /// [`TestkitError::System`] when the process is gone.
    pub async fn signal(&self, name: &str) -> Result<(), TestkitError> {
        let fail = |error| TestkitError::System { what: "send a signal", error };
        let id = self.id().ok_or_else(|| fail(std::io::ErrorKind::NotFound.into()))?;
        // Sending signals by a system call needs unsafe code or a crate; `kill` is everywhere.
        let status = Command::new("kill")
            .args(["-s", name, &id.to_string()])
            .status()
            .await
            .map_err(fail)?;
        if status.success() { Ok(()) } else { Err(fail(std::io::ErrorKind::NotFound.into())) }
    }

    /// Kills it as `kill -9` does and waits until it is gone.
    ///
    /// # Errors
    /// [`TestkitError::System`].
    pub async fn kill(mut self) -> Result<(), TestkitError> {
        self.child
            .kill()
            .await
            .map_err(|error| TestkitError::System { what: "kill the server", error })
    }

    /// Asks it to stop by SIGTERM and waits until it has.
    ///
    /// # Errors
    /// [`TestkitError::TimedOut`] after `within`; it is then killed.
    pub async fn terminate(self, within: Duration) -> Result<ExitStatus, TestkitError> {
        self.signal("TERM").await?;
        self.ended(within).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`TestkitError::TimedOut`] after `within`; it is then killed.
    pub async fn ended(mut self, within: Duration) -> Result<ExitStatus, TestkitError> {
        match timeout(within, self.child.wait()).await {
            Ok(status) => {
                status.map_err(|error| TestkitError::System { what: "wait for the server", error })
            }
            Err(_) => Err(TestkitError::TimedOut { what: "end", log: self.log.text() }),
        }
    }
}

/// Reads the ready line.
async fn ready(child: &mut Child, log: &Log) -> Result<[SocketAddr; 4], TestkitError> {
    let Some(stdout) = child.stdout.take() else {
        return Err(TestkitError::ReadyLine("there is no output".into()));
    };
    let mut line = String::new();
    let mut lines = BufReader::new(stdout);
    match timeout(READY, lines.read_line(&mut line)).await {
        Err(_) => return Err(TestkitError::TimedOut { what: "become ready", log: log.text() }),
        Ok(Err(error)) => return Err(TestkitError::System { what: "read the ready line", error }),
        Ok(Ok(0)) => {
            let status = child
                .wait()
                .await
                .map_err(|error| TestkitError::System { what: "wait for the server", error })?;
            return Err(TestkitError::Ended { status: status.to_string(), log: log.text() });
        }
        Ok(Ok(_)) => {}
    }
    let bad = || TestkitError::ReadyLine(line.clone());
    let value: serde_json::Value = serde_json::from_str(&line).map_err(|_| bad())?;
    let address = |name: &str| value.get(name)?.as_str()?.parse().ok();
    Ok([
        address("http").ok_or_else(bad)?,
        address("admin").ok_or_else(bad)?,
        address("stomp").ok_or_else(bad)?,
        address("openwire").ok_or_else(bad)?,
    ])
}

/// A new directory that is removed when the value is dropped.
///
/// # Errors
/// [`TestkitError::System`].
pub fn directory() -> Result<TempDir, TestkitError> {
    tempfile::tempdir().map_err(|error| TestkitError::System { what: "make a directory", error })
}
