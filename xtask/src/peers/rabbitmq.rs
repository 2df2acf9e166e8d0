//! Debian's RabbitMQ with its STOMP plugin: durable classic queues, receipts after the sync.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Peer, free_port};
use crate::fault::{During as _, Fault};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// Starts it, if it is installed.
pub(super) fn start(folder: &Path) -> Result<Option<Peer>, Fault> {
    if !Path::new(SERVER).exists() {
        println!("RabbitMQ is not installed (apt-get install rabbitmq-server): left out");
        return Ok(None);
    }
    let base = folder.join("rabbitmq");
    if base.exists() {
        fs::remove_dir_all(&base).during("emptying RabbitMQ's folder")?;
    }
    fs::create_dir_all(&base).during("making RabbitMQ's folder")?;
    let (address, node, distribution) = (free_port()?, free_port()?, free_port()?);
    let names = free_port()?.port().to_string();
    let configuration = base.join("rabbitmq.conf");
    let text = format!("stomp.listeners.tcp.1 = {address}\nlisteners.tcp.1 = {node}\n");
    fs::write(&configuration, text).during("writing RabbitMQ's configuration")?;
    fs::write(base.join("plugins"), "[rabbitmq_stomp].\n").during("writing RabbitMQ's plugins")?;
    let log = base.join("broker.log");
    let output = File::create(&log).during("making RabbitMQ's log")?;
    let child = Command::new(SERVER)
        .env("HOME", &base)
        .env("RABBITMQ_NODENAME", "peer@localhost")
        .env("RABBITMQ_MNESIA_BASE", base.join("data"))
        .env("RABBITMQ_LOG_BASE", &base)
        .env("RABBITMQ_CONFIG_FILE", &configuration)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", base.join("plugins"))
        .env("RABBITMQ_DIST_PORT", distribution.port().to_string())
        .env("ERL_EPMD_PORT", &names)
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
        .env("RABBITMQ_PID_FILE", base.join("pid"))
        .stdin(Stdio::null())
        .stderr(output.try_clone().during("sharing RabbitMQ's log")?)
        .stdout(output)
        .spawn()
        .during("starting RabbitMQ")?;
    let pid = child.id();
    // Erlang's name server stays when the broker ends.
    let mut sweep = Command::new("epmd");
    sweep.args(["-port", &names, "-kill"]);
    let peer = Peer {
        name: "RabbitMQ",
        address,
        openwire: None,
        login: "guest",
        child,
        pid,
        sweep: Some(sweep),
    };
    let mut peer = peer.wait(&log)?;
    let worker = fs::read_to_string(base.join("pid")).during("asking for RabbitMQ's process")?;
    peer.pid = worker.trim().parse().during("reading RabbitMQ's process")?;
    Ok(Some(peer))
}
