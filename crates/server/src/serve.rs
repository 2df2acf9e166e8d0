//! `outflow serve`, and what it shares with `dev`: options, configuration, reloading.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::activation::Handed;
use crate::config::{self, Config, ConfigError, Layers};
use crate::exit::{self, Exit};
use crate::logging::{self, Level};
use crate::signals::Signals;
use crate::wiring::{Core, StartError};

const EXAMPLES: &str = "\
Examples:
  outflow serve --config /etc/outflow.toml
  OUTFLOW__HTTP__LISTEN=127.0.0.1:9000 outflow serve --data-dir /var/lib/outflow
  outflow serve --set http.tls.cert_file=cert.pem --set http.tls.key_file=key.pem --http 0.0.0.0:443";

/// Options of `outflow serve`.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = exit::HELP)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// Options of every command that runs a server.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// The configuration file; see `outflow config print`.
    #[arg(long, env = "OUTFLOW_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where HTTP listens; port 0 takes a free one [config: http.listen].
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Where health and metrics listen; port 0 takes a free one [config: admin.listen].
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<SocketAddr>,
    /// Where STOMP listens; port 0 takes a free one [config: stomp.listen].
    #[arg(long, value_name = "ADDR")]
    pub(crate) stomp: Option<SocketAddr>,
    /// Where OpenWire listens; port 0 takes a free one [config: openwire.listen].
    #[arg(long, value_name = "ADDR")]
    pub(crate) openwire: Option<SocketAddr>,
    /// The data directory [config: data.dir].
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Any other key of the configuration, such as `log.level=debug`.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl ServerArgs {
    /// The flags as the uppermost layer of the configuration.
    fn flags(&self) -> Vec<(String, String)> {
        let shown = [
            ("http.listen", self.http.map(|addr| addr.to_string())),
            ("admin.listen", self.admin.map(|addr| addr.to_string())),
            ("stomp.listen", self.stomp.map(|addr| addr.to_string())),
            ("openwire.listen", self.openwire.map(|addr| addr.to_string())),
            ("data.dir", self.data_dir.as_ref().map(|dir| dir.display().to_string())),
        ];
        let shown = shown.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        shown.chain(self.set.iter().cloned()).collect()
    }

    /// All layers of the configuration.
    ///
    /// # Errors
    /// [`ConfigError`] lists what is wrong.
    pub(crate) fn load(&self) -> Result<(Config, Layers), ConfigError> {
        config::load(self.config.as_deref(), environment(), &self.flags())
    }
}

/// The environment's variables; those that are not Unicode are no configuration.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// A configuration in force.
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) layers: Layers,
    pub(crate) level: Level,
    /// Sockets that a service manager gave.
    pub(crate) handed: Handed,
}

/// Reads the configuration, takes over the sockets of a service manager, and begins to log.
///
/// # Errors
/// [`ConfigError`] lists what is wrong.
pub(crate) fn prepare(args: &ServerArgs) -> Result<Loaded, ConfigError> {
    let (mut config, layers) = args.load()?;
    let handed = Handed::collect()?;
    handed.apply(&mut config)?;
    let level =
        logging::start(&config.log).map_err(|error| ConfigError(vec![error.to_string()]))?;
    warn_of_exposure(&config);
    Ok(Loaded { config, layers, level, handed })
}

/// Says in the log what the network can see.
fn warn_of_exposure(config: &Config) {
    let (http, admin) = (config.http.listen, config.admin.listen);
    if !config.has_tls() && !http.ip().is_loopback() {
        tracing::warn!(
            listen = %http,
            "serving plain HTTP to the network: tokens can be read on the way (http.allow_plaintext)"
        );
    }
    if !admin.ip().is_loopback() {
        tracing::warn!(
            listen = %admin,
            "health and metrics are open to the network without authentication (admin.listen)"
        );
    }
}

/// Runs the command.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub(crate) async fn run(args: ServeArgs, loaded: Loaded) -> Result<Exit, StartError> {
    let Loaded { config, layers, level, handed } = loaded;
    let mut signals =
        Signals::listen().map_err(|error| StartError::System { what: "signals", error })?;
    let core = Core::open(&config, false).await?;
    let file = config.operator_token_file();
    if crate::operator::ensure(&core.auth, &file).await? {
        tracing::info!(file = %file.display(), "the first operator's token was written");
    }
    let serving = core.serve(&config, handed).await?;
    let stomp = serving.stomp.map(tracing::field::display);
    let openwire = serving.openwire.map(tracing::field::display);
    tracing::info!(
        http = %serving.http,
        admin = %serving.admin,
        stomp,
        openwire,
        tls = config.has_tls(),
        "ready"
    );
    let reload = || reload(&args.server, &layers, &level);
    Ok(serving.until_stopped(&mut signals, config.drain.clone(), reload).await)
}

/// Reads the configuration again and puts the keys that can change into force: `log.level` and
/// the section `drain`.
pub(crate) fn reload(args: &ServerArgs, before: &Layers, level: &Level) -> Option<config::Drain> {
    let (config, layers) = match args.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!(%error, "the configuration was not read again, the old one stays in force");
            return None;
        }
    };
    if let Err(error) = level.set(&config.log.level) {
        tracing::error!(%error, "the level of the log stays as it was");
    }
    let fixed = |key: &String| key != "log.level" && !key.starts_with("drain.");
    let waiting: Vec<String> = layers.changed(before).into_iter().filter(fixed).collect();
    if waiting.is_empty() {
        tracing::info!("configuration read again");
    } else {
        tracing::warn!(
            keys = waiting.join(", "),
            "configuration read again; these keys need a restart"
        );
    }
    Some(config.drain)
}
