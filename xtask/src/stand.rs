//! The server under test: an `outflow dev` process on a data folder of its own, and a control port
//! through which drivers in any language restart or kill it.
//!
//! A control line is one word, answered by one line, `ok` or `error …`: `restart` (SIGTERM, wait,
//! start), `kill` (SIGKILL, start), `drain` (SIGTERM, wait), `start`. The server keeps its ports and
//! its data through all of them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::fault::{During as _, Fault};

/// The server says that it is ready within this, even on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How often it is started again where a port of its own is taken, and after how long each time.
const PASSING: usize = 20;
const PASSES: Duration = Duration::from_millis(500);

/// What `--json` prints once the ports are open.
#[derive(Debug, Clone, Deserialize)]
struct Ready {
    ready: bool,
    http: SocketAddr,
    admin: SocketAddr,
    stomp: SocketAddr,
    openwire: SocketAddr,
}

/// How to start the server.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) binary: PathBuf,
    pub(crate) folder: PathBuf,
    /// Further arguments of `dev`.
    pub(crate) arguments: Vec<String>,
}

/// A running stand; dropping it ends the server.
#[derive(Debug)]
pub(crate) struct Stand {
    http: SocketAddr,
    admin: SocketAddr,
    stomp: SocketAddr,
    openwire: SocketAddr,
    control: SocketAddr,
    /// The process that was started first; kills and restarts have others follow.
    pid: u32,
    token: String,
    orders: mpsc::Sender<Order>,
    keeper: Option<thread::JoinHandle<()>>,
}

/// What the keeper thread is told; it alone owns the child.
enum Order {
    Word(String, mpsc::Sender<String>),
    End,
}

impl Stand {
    /// Starts from an empty data folder and waits until the server is ready.
    pub(crate) fn start(recipe: Recipe) -> Result<Self, Fault> {
        if recipe.folder.exists() {
            fs::remove_dir_all(&recipe.folder)
                .during(format_args!("emptying {}", recipe.folder.display()))?;
        }
        fs::create_dir_all(&recipe.folder)
            .during(format_args!("making {}", recipe.folder.display()))?;
        let mut server = Server { recipe, ports: None, child: None };
        let ready = server.start()?;
        let token = fs::read_to_string(server.recipe.folder.join("data/operator-token"))
            .during("reading the operator token")?;

        let pid = server.child.as_ref().map_or(0, Child::id);
        let listener = TcpListener::bind("127.0.0.1:0").during("opening the control port")?;
        let control = listener.local_addr().during("asking for the control port")?;
        let (orders, inbox) = mpsc::channel();
        let for_clients = orders.clone();
        // Ends with the process: an accept cannot be woken without a connection, and it holds nothing.
        #[expect(
            clippy::disallowed_methods,
            reason = "the drivers' orders come while drivers run"
        )]
        thread::spawn(move || accept(&listener, &for_clients));
        #[expect(clippy::disallowed_methods, reason = "the drivers' orders come while drivers run")]
        let keeper = thread::spawn(move || server.keep(&inbox));
        Ok(Self {
            http: ready.http,
            admin: ready.admin,
            stomp: ready.stomp,
            openwire: ready.openwire,
            control,
            pid,
            token: token.trim().to_owned(),
            orders,
            keeper: Some(keeper),
        })
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where `/readyz` is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn control(&self) -> SocketAddr {
        self.control
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn stomp(&self) -> SocketAddr {
        self.stomp
    }

    pub(crate) fn openwire(&self) -> SocketAddr {
        self.openwire
    }

    /// The token of the server's operator, for the admin API.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        let told = self.orders.send(Order::End).is_ok();
        if let Some(keeper) = self.keeper.take()
            && told
        {
            let _ = keeper.join();
        }
    }
}

fn accept(listener: &TcpListener, orders: &mpsc::Sender<Order>) {
    for client in listener.incoming().flatten() {
        let orders = orders.clone();
        #[expect(clippy::disallowed_methods, reason = "a driver may keep its connection")]
        thread::spawn(move || serve(&client, &orders));
    }
}

fn serve(client: &TcpStream, orders: &mpsc::Sender<Order>) {
    let mut client = client;
    for word in BufReader::new(client).lines().map_while(Result::ok) {
        let (reply, answer) = mpsc::channel();
        if orders.send(Order::Word(word, reply)).is_err() {
            return;
        }
        let Ok(answer) = answer.recv() else { return };
        if writeln!(client, "{answer}").is_err() {
            return;
        }
    }
}

struct Server {
    recipe: Recipe,
    /// Once known, the ports stay.
    ports: Option<Ready>,
    child: Option<Child>,
}

impl Server {
    fn keep(mut self, inbox: &mpsc::Receiver<Order>) {
        while let Ok(Order::Word(word, reply)) = inbox.recv() {
            let answer = match self.obey(word.trim()) {
                Ok(()) => "ok".to_owned(),
                Err(fault) => format!("error {fault}"),
            };
            let _ = reply.send(answer);
        }
        let _ = self.stop("-KILL");
    }

    fn obey(&mut self, word: &str) -> Result<(), Fault> {
        match word {
            "restart" => self.stop("-TERM").and_then(|()| self.start()).map(|_| ()),
            "kill" => self.stop("-KILL").and_then(|()| self.start()).map(|_| ()),
            "drain" => self.stop("-TERM"),
            "start" => self.start().map(|_| ()),
            _ => Err(Fault::new(format!("no such order: {word}"))),
        }
    }

    /// Starts again where a port is taken: while the server is down, the kernel may give it to somebody's
    /// passing connection.
    #[expect(clippy::disallowed_methods, reason = "a foreign process can only be asked again")]
    fn start(&mut self) -> Result<Ready, Fault> {
        let log = self.recipe.folder.join("server.log");
        for _ in 0..PASSING {
            let said = fs::metadata(&log).map_or(0, |about| about.len());
            let started = self.start_once();
            let is_taken = || {
                let text = fs::read(&log).unwrap_or_default();
                let new = text.get(usize::try_from(said).unwrap_or(0)..).unwrap_or_default();
                String::from_utf8_lossy(new).contains("Address already in use")
            };
            if started.is_ok() || self.ports.is_none() || !is_taken() {
                return started;
            }
            thread::sleep(PASSES);
        }
        self.start_once()
    }

    fn start_once(&mut self) -> Result<Ready, Fault> {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let ports = self.ports.as_ref();
        let [http, admin, stomp, openwire] = ports
            .map_or([free; 4], |ready| [ready.http, ready.admin, ready.stomp, ready.openwire])
            .map(|port| port.to_string());
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.recipe.folder.join("server.log"))
            .during("opening the server's log")?;
        let mut child = Command::new(&self.recipe.binary)
            .args([
                "dev",
                "--json",
                "--http",
                &http,
                "--admin",
                &admin,
                "--openwire",
                &openwire,
                "--stomp",
                &stomp,
                "--data-dir",
            ])
            .arg(self.recipe.folder.join("data"))
            .args(&self.recipe.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .during(format_args!("starting {}", self.recipe.binary.display()))?;
        let ready = wait_until_ready(&mut child, &self.recipe.folder);
        self.child = Some(child);
        let ready = ready?;
        self.ports = Some(ready.clone());
        Ok(ready)
    }

    fn stop(&mut self, signal: &str) -> Result<(), Fault> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        signal_process(child.id(), signal)?;
        child.wait().during("waiting for the server's end")?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop("-KILL");
    }
}

fn wait_until_ready(child: &mut Child, folder: &Path) -> Result<Ready, Fault> {
    let log = folder.join("server.log");
    let stdout =
        child.stdout.take().ok_or_else(|| Fault::new("the server has no standard output"))?;
    let (lines, found) = mpsc::channel();
    // Keeps reading after the first line, so that the server never blocks on a full pipe.
    #[expect(
        clippy::disallowed_methods,
        reason = "a read of a pipe has no end that can be waited for with a limit"
    )]
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    loop {
        let line = found.recv_timeout(READY_WITHIN).map_err(|_| {
            Fault::new(format!("the server did not get ready; see {}", log.display()))
        })?;
        if let Ok(ready) = serde_json::from_str::<Ready>(&line)
            && ready.ready
        {
            return Ok(ready);
        }
    }
}

/// Sends a signal by the ordinary command; a system call would need a dependency for one line.
pub(crate) fn signal_process(id: u32, signal: &str) -> Result<(), Fault> {
    let status =
        Command::new("kill").args([signal, &id.to_string()]).status().during("running kill")?;
    if status.success() { Ok(()) } else { Err(Fault::new(format!("kill {signal} {id}: {status}"))) }
}
