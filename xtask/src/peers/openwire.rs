//! `cargo xtask bench --openwire`: ActiveMQ's own Java client on us and on ActiveMQ, in one run.
//!
//! Called by `main`. `interop/java/openwire/bench` is the client of both; each broker is measured in
//! turn, again and again, and the medians are printed side by side. Both sync what they answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Row, activemq, print};
use crate::fault::{During as _, Fault};
use crate::stage::execute;
use crate::stand::{Recipe, Stand};
use crate::suite::cargo;
use crate::workspace::Workspace;

/// The client: the last whose names Debian's broker shares.
const CLIENT: &str = "5.19.1";
const PROJECT: &str = "sample_connection";

/// What was asked for.
#[derive(Debug, Clone, Copy)]
struct Plan {
    runs: usize,
    messages: u64,
}

/// A broker to be measured.
struct Subject<'a> {
    address: SocketAddr,
    pid: u32,
    login: (&'a str, &'a str),
}

/// By scene, in the order of the runs.
type Figures = BTreeMap<String, Vec<Row>>;

pub(crate) fn run(workspace: &Workspace, flags: &[String]) -> Result<(), Fault> {
    let plan = plan(flags)?;
    execute(cargo(workspace).args(["build", "--release", "--locked", "-p", "outflow"]))?;
    let folder = workspace.root.join("target/peers");
    let stand = Stand::start(Recipe {
        binary: workspace.binary("release"),
        folder: folder.join("outflow"),
        arguments: vec!["--rate".to_owned(), "0".to_owned()],
    })?;
    let key = key(&stand)?;
    let ours = Subject { address: stand.openwire(), pid: stand.pid(), login: (PROJECT, &key) };
    let peer = activemq::start(&folder)?;
    let (mut own, mut others) = (Figures::new(), Figures::new());
    let mut order = Vec::new();
    for _ in 0..plan.runs {
        // In turn, so that what else the machine does falls on both.
        measure(workspace, &ours, plan, &mut own, &mut order)?;
        if let Some(peer) = &peer
            && let Some(address) = peer.openwire
        {
            let subject = Subject { address, pid: peer.pid, login: (peer.login, peer.login) };
            measure(workspace, &subject, plan, &mut others, &mut order)?;
        }
    }
    let mut columns = vec![("Outflow", medians(&order, &own))];
    if let Some(peer) = &peer {
        columns.push((peer.name, medians(&order, &others)));
    }
    print(&columns);
    Ok(())
}

fn plan(flags: &[String]) -> Result<Plan, Fault> {
    let mut plan = Plan { runs: 5, messages: 50_000 };
    let mut flags = flags.iter();
    while let Some(flag) = flags.next() {
        let value = flags.next().ok_or_else(|| Fault::new(format!("{flag} needs a number")))?;
        let number: u64 = value.parse().during(format_args!("{flag} {value}"))?;
        match flag.as_str() {
            "--runs" => plan.runs = usize::try_from(number).during("counting runs")?,
            "--messages" => plan.messages = number,
            _ => return Err(Fault::new(format!("no flag `{flag}`"))),
        }
    }
    Ok(plan)
}

/// A key that may publish and read in the demonstration's project.
fn key(stand: &Stand) -> Result<String, Fault> {
    let output = Command::new("curl")
        .args(["-fsS", "-H", &format!("Authorization: Bearer {}", stand.token())])
        .args(["-H", "Content-Type: application/json"])
        .args(["-d", r#"{"name": "bench", "actions": ["read", "publish"]}"#])
        .arg(format!("http://{}/v1/projects/{PROJECT}/keys", stand.http()))
        .output()
        .during("making a key")?;
    let made: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&output.stdout).during("reading the key")?;
    let secret = made.get("secret").and_then(serde_json::Value::as_str);
    secret.map(str::to_owned).ok_or_else(|| Fault::new("the key has no secret"))
}

/// Runs the client once, and adds what it says.
fn measure(
    workspace: &Workspace,
    subject: &Subject<'_>,
    plan: Plan,
    figures: &mut Figures,
    order: &mut Vec<String>,
) -> Result<(), Fault> {
    let mut child = Command::new("bash")
        .arg(Path::new(&workspace.root).join("interop/java/openwire/bench"))
        .args([CLIENT, &format!("tcp://{}", subject.address), &subject.pid.to_string()])
        .arg(plan.messages.to_string())
        .env("OUTFLOW_INSTALLED", workspace.interop())
        .env("OUTFLOW_USER", subject.login.0)
        .env("OUTFLOW_PASSWORD", subject.login.1)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .during("running the bench")?;
    let stdout = child.stdout.take().ok_or_else(|| Fault::new("the bench says nothing"))?;
    for line in BufReader::new(stdout).lines() {
        let line = line.during("reading the bench's figures")?;
        let Ok(row) = serde_json::from_str::<Row>(&line) else { continue };
        println!("{line}");
        if !order.contains(&row.scene) {
            order.push(row.scene.clone());
        }
        figures.entry(row.scene.clone()).or_default().push(row);
    }
    let status = child.wait().during("waiting for the bench")?;
    if status.success() { Ok(()) } else { Err(Fault::new(format!("the bench: {status}"))) }
}

/// The middle one of each scene's rates, and of its CPU times.
fn medians(order: &[String], figures: &Figures) -> Vec<Row> {
    let mut all = Vec::new();
    for scene in order {
        let Some(rows) = figures.get(scene) else { continue };
        let rate = median(rows, |row| Some(row.rate)).unwrap_or(0.0);
        let cpu_us = median(rows, |row| row.cpu_us);
        let client_us = median(rows, |row| row.client_us);
        all.push(Row { scene: scene.clone(), rate, cpu_us, client_us });
    }
    all
}

fn median(rows: &[Row], figure: impl Fn(&Row) -> Option<f64>) -> Option<f64> {
    let mut all: Vec<f64> = rows.iter().filter_map(figure).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}
