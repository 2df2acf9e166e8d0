//! README's first tour, line by line as it stands there.

use crate::desk::{Desk, lines};
use crate::outflow::outflow;

const README: &str = include_str!("../../../../README.md");

/// The lines of shell under a heading of README.
fn shell(heading: &str) -> Vec<&'static str> {
    let (_, after) = README.split_once(heading).expect("README has the heading");
    let (_, block) = after.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0.lines().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_tour_of_the_readme_can_be_walked() {
    let tour = shell("## A first tour");
    let [_build, dev, tail, publish, create, verify] = tour.as_slice() else {
        panic!("walk the new lines as well: {tour:?}")
    };
    // A port of its own, else as it stands there.
    let rate = dev.strip_prefix("outflow dev --rate ").expect("a rate");
    let rate = rate.split(' ').next().unwrap().parse().unwrap();
    let desk = Desk::open(rate).await;

    let tailed = lines(&desk.done(tail).await);
    assert_eq!(tailed.len(), 5, "{tail}");
    assert!(tailed.iter().all(|event| event["type"].is_string() && event["offset"].is_string()));
    let said = desk.done(publish).await;
    assert!(said.starts_with("published 1 events (0 duplicates), offsets "), "{said}");
    let found = desk.done("outflow tail --since 1h --no-follow --types CUSTOM").await;
    assert!(found.contains(r#""body":{"name":"hello"}"#), "{found}");
    desk.done(create).await;
    let made = desk.json("outflow stream show orders").await;
    assert_eq!(made["retention"]["age_ms"], 30_u64 * 86_400_000);
    assert_eq!(made["dedup"]["window_ms"], 600_000);

    assert!(verify.starts_with("kill %1; wait; outflow verify "), "{verify}");
    let folder = desk.close().await;
    let data = folder.path().join("outflow-data");
    let sound = outflow(&["verify", "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(sound.code, 0, "{}{}", sound.stdout, sound.stderr);
}
