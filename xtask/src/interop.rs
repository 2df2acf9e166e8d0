//! Real clients against a real server: installs them under `target/interop`, starts a server for
//! each group of drivers, and counts what they report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::driver::{self, Case};
use crate::fault::{During as _, Fault};
use crate::stage::{Stages, execute};
use crate::stand::{Recipe, Stand};
use crate::suite::{OPTIONAL, cargo};
use crate::workspace::Workspace;

/// One folder of `interop/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Python,
    Node,
    Java,
    Curl,
    /// The shared-deflate form, read by every library at once.
    Deflate,
    /// A page in a browser.
    Chromium,
    /// ActiveMQ's Java client, in several versions.
    OpenWire,
    /// Receivers of webhooks, and the libraries that they verify with.
    Webhook,
}

const ALL: [Client; 8] = [
    Client::Python,
    Client::Node,
    Client::Java,
    Client::OpenWire,
    Client::Curl,
    Client::Deflate,
    Client::Webhook,
    Client::Chromium,
];
/// What the browser is called.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// What installs it where it is missing: no package client of a language does.
const BROWSER_HINT: &str =
    "no Chromium on this machine: `apt-get install chromium` brings its cases";
/// Idle times of half a minute, reconnects and restarts add up; a driver that needs more hangs.
const DRIVER_LIMIT: Duration = Duration::from_secs(420);
/// How many times drivers that kill the server do so, where they are not told by themselves.
pub(crate) const KILL_ROUNDS: &str = "OUTFLOW_KILL_ROUNDS";
/// A subscription counts as abandoned soon: a driver waits for that.
const ABANDONED: &str = "destinations.abandoned_after_s=2";
/// What each of these may take: a driver may have three cases that kill.
const ROUND_LIMIT: Duration = Duration::from_secs(6);

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Java => "java",
            Self::Curl => "curl",
            Self::Deflate => "deflate",
            Self::Chromium => "chromium",
            Self::OpenWire => "openwire",
            Self::Webhook => "webhook",
        }
    }

    /// Its place in `interop/`.
    fn folder(self, workspace: &Workspace) -> PathBuf {
        let folder = match self {
            Self::OpenWire => "java/openwire",
            other => other.name(),
        };
        workspace.root.join("interop").join(folder)
    }

    /// The tools this group's drivers are written in.
    fn needs(self) -> &'static [Client] {
        match self {
            Self::Python => &[Self::Python],
            Self::Node => &[Self::Node],
            Self::Java => &[Self::Java],
            Self::Curl => &[],
            Self::Deflate => &[Self::Python, Self::Node, Self::Java],
            Self::Chromium => &[Self::Node],
            Self::OpenWire => &[Self::OpenWire],
            Self::Webhook => &[Self::Webhook],
        }
    }
}

/// All cases of all drivers.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    cases: Vec<(&'static str, Case)>,
}

impl Tally {
    fn failed(&self) -> usize {
        self.cases.iter().filter(|(_, case)| !case.ok).count()
    }

    /// A row per case, and the plain closing line.
    pub(crate) fn print(&self) {
        println!("{:<9} {:<44} result", "client", "case");
        for (client, case) in &self.cases {
            let result = if case.ok { "ok".to_owned() } else { format!("FAILED: {}", case.detail) };
            println!("{client:<9} {:<44} {result}", case.case);
        }
        println!("\n{} passed, {} failed", self.cases.len() - self.failed(), self.failed());
    }

    /// An error if any case failed, or if there was none.
    pub(crate) fn verdict(&self) -> Result<(), Fault> {
        match (self.cases.len(), self.failed()) {
            (0, _) => Err(Fault::new("interop: no case ran")),
            (_, 0) => Ok(()),
            (_, failed) => Err(Fault::new(format!("interop: {failed} cases failed"))),
        }
    }
}

/// A private certificate authority, made anew, and a server certificate of it.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn make(folder: &Path, workspace: &Workspace) -> Result<Self, Fault> {
        fs::create_dir_all(folder).during(format_args!("making {}", folder.display()))?;
        execute(Command::new("bash").arg(workspace.root.join("interop/tls/make")).arg(folder))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// How a server is told to use it.
    fn arguments(&self) -> Vec<String> {
        let set = |key: &str, file: &str| {
            ["--set".to_owned(), format!("{key}={}", self.folder.join(file).display())]
        };
        let of = |face: &str| {
            let certificate = set(&format!("{face}.tls.cert_file"), "server.pem");
            [certificate, set(&format!("{face}.tls.key_file"), "server.key")].concat()
        };
        [of("http"), of("openwire"), of("stomp")].concat()
    }
}

/// `cargo xtask interop [NAME]`: builds, installs, runs.
pub(crate) fn run(workspace: &Workspace, name: Option<&str>) -> Result<(), Fault> {
    let mut stages = Stages::default();
    stages.run("build", || build(workspace))?;
    stages.run("install clients", || install(workspace, name))?;
    let tally = stages.run("run clients", || drive(workspace, name))?;
    stages.print();
    tally.print();
    tally.verdict()
}

/// Builds the server that the clients meet: as the tests do, so that nothing is built twice.
pub(crate) fn build(workspace: &Workspace) -> Result<(), Fault> {
    let build = ["build", "--locked", "--workspace", "--all-targets"];
    execute(cargo(workspace).args(build).args(OPTIONAL))
}

/// Installs what the chosen drivers need, with the machine's own package clients.
pub(crate) fn install(workspace: &Workspace, name: Option<&str>) -> Result<(), Fault> {
    let chosen = chosen(name)?;
    for tool in ALL {
        if chosen.iter().any(|client| client.needs().contains(&tool)) {
            let script = tool.folder(workspace).join("install");
            let into = workspace.interop().join(tool.name());
            fs::create_dir_all(&into).during(format_args!("making {}", into.display()))?;
            execute(Command::new("bash").arg(script).arg(into))?;
        }
    }
    Ok(())
}

/// Runs the chosen drivers, each group on a server of its own.
pub(crate) fn drive(workspace: &Workspace, name: Option<&str>) -> Result<Tally, Fault> {
    let mut tally = Tally::default();
    for client in chosen(name)? {
        println!("--- {}", client.name());
        let recipe = Recipe {
            binary: workspace.binary("debug"),
            folder: workspace.interop().join("stand").join(client.name()),
            arguments: ["--rate", "0", "--set", ABANDONED].map(str::to_owned).to_vec(),
        };
        let tls = Authority::make(&recipe.folder.with_extension("authority"), workspace)?;
        let secured = Recipe {
            folder: recipe.folder.with_extension("tls"),
            arguments: [recipe.arguments.clone(), tls.arguments()].concat(),
            ..recipe.clone()
        };
        let stand = Stand::start(recipe)?;
        let secured = Stand::start(secured)?;
        for script in drivers(workspace, client)? {
            let mut command = Command::new("bash");
            command
                .arg(client.folder(workspace).join("run"))
                .arg(&script)
                .arg(format!("http://{}", stand.http()))
                .current_dir(client.folder(workspace))
                .env("OUTFLOW_INSTALLED", workspace.interop())
                .env("OUTFLOW_CHROMIUM", browser().unwrap_or_default())
                .env("OUTFLOW_BINARY", workspace.binary("debug"))
                .env("OUTFLOW_CONTROL", stand.control().to_string())
                .env("OUTFLOW_OPERATOR_TOKEN", stand.token())
                .env("OUTFLOW_ADMIN_URL", format!("http://{}", stand.admin()))
                .env("OUTFLOW_STOMP", stand.stomp().to_string())
                .env("OUTFLOW_OPENWIRE", stand.openwire().to_string())
                .env("OUTFLOW_TLS_URL", format!("https://localhost:{}", secured.http().port()))
                .env("OUTFLOW_TLS_OPERATOR_TOKEN", secured.token())
                .env(
                    "OUTFLOW_OPENWIRE_TLS",
                    format!("ssl://localhost:{}", secured.openwire().port()),
                )
                .env("OUTFLOW_STOMP_TLS", format!("localhost:{}", secured.stomp().port()))
                .env("OUTFLOW_CA", tls.folder.join("ca.pem"))
                .env("OUTFLOW_TRUST_STORE", tls.folder.join("trust.p12"));
            let cases = driver::run(&mut command, DRIVER_LIMIT + ROUND_LIMIT * kill_rounds())?;
            tally.cases.extend(cases.into_iter().map(|case| (client.name(), case)));
        }
    }
    Ok(tally)
}

/// How many kills were asked for; none unless they were.
fn kill_rounds() -> u32 {
    std::env::var(KILL_ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The groups to run. The browser alone is not installed here and may be missing: a run of all
/// says so and goes on, a run of its own fails.
fn chosen(name: Option<&str>) -> Result<Vec<Client>, Fault> {
    let is_here = browser().is_some();
    match name {
        None if is_here => Ok(ALL.to_vec()),
        None => {
            println!("{BROWSER_HINT}");
            Ok(ALL.into_iter().filter(|client| *client != Client::Chromium).collect())
        }
        Some("chromium") if !is_here => Err(Fault::new(BROWSER_HINT)),
        Some(name) => ALL
            .into_iter()
            .find(|client| client.name() == name)
            .map(|client| vec![client])
            .ok_or_else(|| Fault::new(format!("no client `{name}` in interop/"))),
    }
}

/// The browser on this machine's path, by its name.
fn browser() -> Option<&'static str> {
    let path = std::env::var_os("PATH")?;
    let is_there = |name: &&str| std::env::split_paths(&path).any(|dir| dir.join(name).is_file());
    BROWSERS.into_iter().find(is_there)
}

/// The drivers of a group: its files in `cases/`, in the order of their names.
fn drivers(workspace: &Workspace, client: Client) -> Result<Vec<PathBuf>, Fault> {
    let folder = client.folder(workspace).join("cases");
    let mut scripts = Vec::new();
    for entry in fs::read_dir(&folder).during(format_args!("listing {}", folder.display()))? {
        let path = entry.during("listing drivers")?.path();
        if path.is_file() {
            scripts.push(path);
        }
    }
    scripts.sort();
    Ok(scripts)
}
