//! Publishes generated events at a steady rate, as any publisher would.

use std::sync::Arc;
use std::time::Duration;

use outflow_auth::{Auth, Presented};
use outflow_generator::Generator;
use outflow_hub::{Hub, PublishError, Stream};
use outflow_model::{Clock, Draft, ErrorCode};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::demonstration::NAME;

/// How often a batch is due, at rates that allow it.
const TICK: Duration = Duration::from_millis(10);

/// The largest batch: what one tick owes at the highest rate, and some to catch up.
const MAX_BATCH: u64 = 5_000;

/// How many batches may wait for their commit before the feed waits too.
const IN_FLIGHT: usize = 16;

/// What the feed is asked for.
pub(super) struct Settings {
    /// Events a second, at least one.
    pub(super) rate: u32,
    pub(super) seed: u64,
    pub(super) clock: Arc<dyn Clock>,
}

/// Publishes until the task is aborted, the stream is gone or the server stops.
pub(super) async fn run(hub: Hub, auth: Auth, stream: Arc<Stream>, settings: Settings) {
    let Some(grant) = auth.authenticate(&Presented::Bearer { project: Some(NAME), token: NAME })
    else {
        tracing::error!("the generator's credential is not in force");
        return;
    };
    let grant = Arc::new(grant);
    let mut generator = Generator::new(settings.seed, settings.clock);
    let mut publishing = tokio::task::JoinSet::new();
    let mut pace = Pace::new(settings.rate);
    loop {
        let due = pace.next().await;
        let mut draft = Draft::default();
        let rules = hub.rules();
        for _ in 0..due {
            if let Err(error) =
                draft.push_json(generator.next_event().as_bytes(), &rules, hub.rng())
            {
                tracing::error!(%error, at = error.at, "the generator made an event that is not acceptable");
            }
        }
        if publishing.len() >= IN_FLIGHT
            && let Some(Ok(Err(error))) = publishing.join_next().await
            && !goes_on(&error)
        {
            return;
        }
        let (hub, stream, grant) = (hub.clone(), Arc::clone(&stream), Arc::clone(&grant));
        publishing.spawn(async move { hub.publish(&grant, &stream, draft).await });
    }
}

/// Whether it is worth going on after `error`.
fn goes_on(error: &PublishError) -> bool {
    if error.code() == ErrorCode::Unavailable {
        tracing::debug!(%error, "generated events were not taken");
        return true;
    }
    tracing::warn!(%error, "the generator stops");
    false
}

/// Says how many events are due, when some are.
struct Pace {
    rate: u64,
    ticks: tokio::time::Interval,
    began: Instant,
    sent: u64,
}

impl Pace {
    fn new(rate: u32) -> Self {
        let every = TICK.max(Duration::from_secs(1) / rate.max(1));
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { rate: u64::from(rate), ticks, began: Instant::now(), sent: 0 }
    }

    /// Waits until at least one event is due and says how many are. What a slow server missed is
    /// forgotten but for one batch, so that it is not flooded afterwards.
    async fn next(&mut self) -> u64 {
        loop {
            self.ticks.tick().await;
            let elapsed = self.began.elapsed().as_micros() as u64;
            let owed = (elapsed.saturating_mul(self.rate) / 1_000_000).saturating_sub(self.sent);
            if owed > 0 {
                self.sent += owed;
                return owed.min(MAX_BATCH);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pace_is_kept_over_time() {
        for rate in [1_u32, 50, 333, 100_000] {
            let mut pace = Pace::new(rate);
            let began = Instant::now();
            let mut sent = 0;
            while began.elapsed() < Duration::from_secs(20) {
                sent += pace.next().await;
            }
            let expected = u64::from(rate) * 20;
            assert!(sent.abs_diff(expected) <= expected / 100 + 1, "{rate}/s: {sent} in 20 s");
        }
    }
}
