//! `cargo xtask bench --peers`: our queues beside other brokers' in one run, on one machine.
//!
//! Called by `main`. Starts each broker that Debian has installed, on free ports of this machine
//! and with a data folder of its own, synced before it answers; measures it with the very client
//! that measures ours; prints the rates side by side. A broker that is not installed is named and
//! left out: this is a comparison, not a test.

mod activemq;
pub(crate) mod openwire;
mod rabbitmq;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::fault::{During as _, Fault};
use crate::stage::{execute, now};
use crate::stand::signal_process;
use crate::suite::cargo;
use crate::workspace::Workspace;

/// Java and Erlang take their time.
const READY_WITHIN: Duration = Duration::from_secs(120);
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// A broker that runs for as long as this value lives.
#[derive(Debug)]
pub(crate) struct Peer {
    name: &'static str,
    address: SocketAddr,
    /// Where it speaks OpenWire, if it does.
    openwire: Option<SocketAddr>,
    login: &'static str,
    child: Child,
    /// The process that does the work, where `child` only started it.
    pid: u32,
    /// What ends the helpers that the broker leaves behind.
    sweep: Option<Command>,
}

/// What of a bench's row is compared.
#[derive(Debug, Deserialize)]
struct Row {
    scene: String,
    rate: f64,
    cpu_us: Option<f64>,
    /// What the client took, where it is a program of its own.
    client_us: Option<f64>,
}

pub(crate) fn run(workspace: &Workspace, flags: &[String]) -> Result<(), Fault> {
    execute(cargo(workspace).args(["build", "--release", "--locked", "-p", "outflow"]))?;
    let folder = workspace.root.join("target/peers");
    let mut columns = vec![("Outflow", measure(workspace, &[], flags)?)];
    for start in [activemq::start, rabbitmq::start] {
        match start(&folder)? {
            Some(peer) => columns.push((peer.name, peer.measure(workspace, flags)?)),
            None => continue,
        }
    }
    print(&columns);
    Ok(())
}

/// Runs the bench and reads its rows.
fn measure(workspace: &Workspace, broker: &[String], flags: &[String]) -> Result<Vec<Row>, Fault> {
    let output = Command::new(workspace.binary("release"))
        .args(["bench", "stomp", "--json"])
        .args(broker)
        .args(flags)
        .stderr(Stdio::inherit())
        .output()
        .during("running the bench")?;
    if !output.status.success() {
        return Err(Fault::new(format!("the bench: {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).during("reading the bench's figures")
}

impl Peer {
    fn measure(&self, workspace: &Workspace, flags: &[String]) -> Result<Vec<Row>, Fault> {
        let broker = ["--broker", &self.address.to_string(), "--broker-pid", &self.pid.to_string()]
            .into_iter()
            .chain(["--login", self.login, "--passcode", self.login])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        measure(workspace, &broker, flags)
    }

    /// Waits until the broker takes connections.
    #[expect(clippy::disallowed_methods, reason = "a foreign process can only be asked again")]
    fn wait(mut self, log: &Path) -> Result<Self, Fault> {
        let begun = now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().during("looking after a broker")?;
            if let Some(status) = ended {
                let log = log.display();
                return Err(Fault::new(format!("{} ended: {status}; see {log}", self.name)));
            }
            if begun.elapsed() > READY_WITHIN {
                return Err(Fault::new(format!("{} did not get ready", self.name)));
            }
            thread::sleep(Duration::from_millis(200));
        }
        Ok(self)
    }
}

impl Drop for Peer {
    #[expect(clippy::disallowed_methods, reason = "a foreign process can only be asked again")]
    fn drop(&mut self) {
        let _ = signal_process(self.pid, "-TERM");
        let begun = now();
        while begun.elapsed() < ENDED_WITHIN {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(sweep) = &mut self.sweep {
            let _ = sweep.stdout(Stdio::null()).status();
        }
    }
}

/// A port that is free now, of this machine only.
fn free_port() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").during("looking for a free port")?;
    listener.local_addr().during("asking for a port")
}

/// Scenes down, brokers across; how many times ours is of each.
fn print(columns: &[(&str, Vec<Row>)]) {
    let Some(((_, ours), peers)) = columns.split_first() else { return };
    print!("{:<36} {:>12} {:>13}", "scene (events/s, CPU us each)", "Outflow", "CPU (client)");
    for (name, _) in peers {
        print!(" {name:>12} {:>13} {:>7}", "CPU (client)", "times");
    }
    println!();
    let cpu = |row: &Row| {
        let server = row.cpu_us.map_or("-".to_owned(), |us| format!("{us:.1}"));
        row.client_us.map_or(server.clone(), |us| format!("{server} ({us:.1})"))
    };
    for row in ours {
        print!("{:<36} {:>12.0} {:>13}", row.scene, row.rate, cpu(row));
        for (_, rows) in peers {
            match rows.iter().find(|other| other.scene == row.scene) {
                Some(other) => {
                    let times = row.rate / other.rate.max(1.0);
                    print!(" {:>12.0} {:>13} {times:>7.1}", other.rate, cpu(other));
                }
                None => print!(" {:>12} {:>13} {:>7}", "-", "-", "-"),
            }
        }
        println!();
    }
}
