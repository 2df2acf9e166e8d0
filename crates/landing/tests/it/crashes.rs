//! Every event is in exactly one file, wherever landing is cut short.

use outflow_hub::IngestFormat;
use outflow_landing::Options;
use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_store::AppendError;

use crate::world::{Fate, World};

#[tokio::test]
async fn every_event_lands_once_through_any_failure() {
    let seed = std::env::var("OUTFLOW_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in seed..seed + 50 {
        let rng = SeededRng::new(seed);
        let world = World::new(IngestFormat::Json).await;
        let options = Options { max_bytes: 2_000, ..Options::default() };
        let mut lander = world.lander(options.clone());
        let mut sent = 0;
        for _ in 0..60 {
            match rng.below(6) {
                0 | 1 => {
                    for _ in 0..rng.below(20) {
                        world.json(&format!("{{\"n\":{sent}}}")).await;
                        sent += 1;
                    }
                }
                2 => *world.shelf.fate.lock() = Some(Fate::Refused),
                3 => *world.shelf.fate.lock() = Some(Fate::Lost),
                // The server ends and begins again.
                4 => lander = world.lander(options.clone()),
                _ => world.clock.advance(i64::try_from(rng.below(100_000)).unwrap()),
            }
            // What fails may be a place's put or the note of where it is.
            if rng.below(4) == 0 && world.shelf.fate.lock().is_none() {
                world.engine.fail_next(AppendError::Throttled);
                lander.pass().await;
                // It may not have been needed.
                world.hub.set_cursor(&world.stream, None, "spare", world.stream.begins).await.ok();
            }
            lander.pass().await;
        }
        *world.shelf.fate.lock() = None;
        world.clock.advance(60_000);
        lander.pass().await;
        let expected: String = (0..sent).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        assert_eq!(world.text(), expected, "seed {seed}");
    }
}
