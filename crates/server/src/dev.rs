//! `outflow dev`: a server with a demonstration project and a generator of test events, ready to
//! be read by an unmodified Airship client.
//!
//! Everything it makes is made once: a second start finds and keeps it.

mod banner;
mod billing;
mod broker;
mod demonstration;
mod feed;
mod low_feeds;
mod upstream;

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use outflow_auth::Secret;
use outflow_face::Phase;

use crate::exit::{self, Exit};
use crate::serve::{self, ServerArgs};
use crate::signals::Signals;
use crate::wiring::{Core, StartError};

/// The most events a second that the generator is asked for.
const MAX_RATE: i64 = 100_000;

const EXAMPLES: &str = "\
Examples:
  outflow dev                          events at 50/s, kept in ./outflow-data
  outflow dev --ephemeral --rate 5000  in memory, gone afterwards
  outflow dev --rate 0                 no generated events; publish your own";

/// Options of `outflow dev`.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = exit::HELP)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Keep everything in memory, and forget it at the end.
    #[arg(long, conflicts_with = "data_dir")]
    ephemeral: bool,
    /// Generated events a second: 0 to 100000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=MAX_RATE))]
    rate: u32,
    /// Draw the generated events from this seed; another each time by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Print one JSON line on stdout once ready, and no instructions.
    #[arg(long)]
    json: bool,
}

impl DevArgs {
    /// The options it shares with `serve`.
    pub(crate) const fn server(&self) -> &ServerArgs {
        &self.server
    }
}

/// Runs the command.
///
/// # Errors
/// [`StartError`] when it cannot start.
pub(crate) async fn run(args: DevArgs, loaded: serve::Loaded) -> Result<Exit, StartError> {
    let serve::Loaded { mut config, layers, level, handed } = loaded;
    config.webhook.allow_this_host();
    let mut signals =
        Signals::listen().map_err(|error| StartError::System { what: "signals", error })?;
    let core = Core::open(&config, args.ephemeral).await?;
    let stream = demonstration::ensure(&core.hub, &core.auth).await?;
    let broker = broker::ensure(&core.hub, &core.auth).await?;
    let ingest_token = upstream::ensure(&core.hub, &core.auth).await?;
    let billing = billing::ensure(&core.hub).await?;
    let feeds = low_feeds::Feeds { broker, billing };
    let token_file = config.operator_token_file();
    if !args.ephemeral {
        crate::operator::ensure(&core.auth, &token_file).await?;
    }
    let (hub, auth, clock) = (core.hub.clone(), core.auth.clone(), core.clock.clone());
    let serving = core.serve(&config, handed).await?;
    demonstration::ensure_attempts(&hub).await?;
    let seed = args.seed.unwrap_or_else(|| clock.now().millis().unsigned_abs());
    let settings = feed::Settings { rate: args.rate, seed, clock };
    let stopping = serving.drain.clone();
    if args.rate > 0 {
        let quiet = low_feeds::run(hub.clone(), auth.clone(), feeds, seed);
        let busy = feed::run(hub, auth, stream, settings);
        tokio::spawn(async move {
            tokio::select! {
                ((), ()) = async { tokio::join!(busy, quiet) } => {}
                () = stopping.reached(Phase::Draining) => {}
            }
        });
    }
    if args.json {
        ready(&serving, &ingest_token)?;
    } else {
        let token_file = (!args.ephemeral).then_some(token_file);
        let scheme = if config.has_tls() { "https" } else { "http" };
        banner::print(&banner::Facts {
            base: format!("{scheme}://{}", serving.http),
            admin: serving.admin,
            stomp: serving.stomp,
            openwire: serving.openwire,
            ingest_token,
            rate: args.rate,
            data: (!args.ephemeral).then(|| config.data.dir.clone()),
            token_file,
        });
    }
    let reload = || serve::reload(&args.server, &layers, &level);
    Ok(serving.until_stopped(&mut signals, config.drain.clone(), reload).await)
}

/// Prints the one line that programs wait for.
fn ready(serving: &crate::serving::Serving, ingest: &Secret) -> Result<(), StartError> {
    let mut out = std::io::stdout().lock();
    let brokers = [("stomp", serving.stomp), ("openwire", serving.openwire)];
    writeln!(out, "{}", line(serving.http, serving.admin, brokers, ingest))
        .and_then(|()| out.flush())
        .map_err(|error| StartError::System { what: "standard output", error })
}

/// Where the server listens, and a token for its ingest streams: the demonstration's, made for this
/// start, which the instructions show as well.
fn line(
    http: SocketAddr,
    admin: SocketAddr,
    brokers: [(&str, Option<SocketAddr>); 2],
    ingest: &Secret,
) -> String {
    let brokers: String = brokers
        .into_iter()
        .filter_map(|(name, addr)| Some(format!(r#","{name}":"{}""#, addr?)))
        .collect();
    let ingest = ingest.expose();
    format!(
        r#"{{"ready":true,"http":"{http}","admin":"{admin}"{brokers},"ingest_token":"{ingest}"}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_find_where_it_listens_and_the_token() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let token = Secret::new("eyJ.a-b_c.d".to_owned());
        for stomp in [None, Some(addr(3))] {
            let brokers = [("stomp", stomp), ("openwire", Some(addr(4)))];
            let line = line(addr(1), addr(2), brokers, &token);
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&read["ready"], &read["http"]), (&true.into(), &"127.0.0.1:1".into()));
            assert_eq!(read["admin"], "127.0.0.1:2");
            assert_eq!(read["stomp"].as_str(), stomp.map(|_| "127.0.0.1:3"));
            assert_eq!(read["openwire"], "127.0.0.1:4");
            assert_eq!(read["ingest_token"], "eyJ.a-b_c.d");
        }
    }
}
