//! Browsers whose selectors look long hold up nobody, and see all the same.

use std::sync::Arc;
use std::time::Duration;

use outflow_hub::subscription::{Browse, Subscription, SubscriptionSettings};
use outflow_hub::{Dialect, Selector};
use tokio::time::{Instant, sleep, timeout};

use crate::choosing::{long_selector, long_text};
use crate::queueing::{new, number, user};
use crate::world::{World, project_id, world};

/// An event that [`selector`] takes long to accept.
fn wanted(n: u64) -> String {
    long_text(n).replace(r#""type":"T""#, r#""type":"WANTED""#)
}

fn selector() -> Selector {
    Selector::parse(&long_selector("JMSType = 'WANTED'"), Dialect::Plain).unwrap()
}

/// A look with such a selector, of the subscription or of the browser.
async fn look(world: &World, of_subscription: bool) -> (Arc<Subscription>, Browse) {
    let settings = SubscriptionSettings {
        selector: of_subscription.then(selector),
        ..SubscriptionSettings::default()
    };
    let new = new(if of_subscription { "chosen" } else { "whole" }, &["events"], settings);
    let subscription = world.hub.create_subscription(&project_id("p"), new).await.unwrap();
    let own = (!of_subscription).then(selector);
    let browse = world.hub.browse(&user(), &subscription, own).await.unwrap();
    (subscription, browse)
}

async fn publish(world: &World, texts: &[String]) {
    world.publish(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn others_go_on_while_a_browser_looks_long() {
    for of_subscription in [false, true] {
        let world = world().await;
        let mut texts: Vec<String> = (0..100).map(long_text).collect();
        texts.push(wanted(100));
        publish(&world, &texts).await;
        let (_subscription, mut browse) = look(&world, of_subscription).await;
        let begun = Instant::now();
        let mut longest = Duration::ZERO;
        let asking = async {
            loop {
                let asked = Instant::now();
                sleep(Duration::from_millis(1)).await;
                longest = longest.max(asked.elapsed());
            }
        };
        let found = tokio::select! {
            biased;
            found = browse.next() => found,
            () = asking => None,
        };
        let took = begun.elapsed();
        assert_eq!(found.as_ref().map(number), Some(100));
        assert!(browse.next().await.is_none());
        assert!(longest > Duration::ZERO, "nobody was served in all of {took:?}");
        assert!(longest < took / 4, "{longest:?} of {took:?} nobody was served");
    }
}

#[tokio::test]
async fn a_browser_that_is_given_up_in_a_long_look_goes_on_where_it_was() {
    for of_subscription in [false, true] {
        let world = world().await;
        let text = |n: u64| if n.is_multiple_of(3) { wanted(n) } else { long_text(n) };
        publish(&world, &(0..40).map(text).collect::<Vec<_>>()).await;
        let (_subscription, mut browse) = look(&world, of_subscription).await;
        // What comes now is not part of it.
        publish(&world, &[wanted(60)]).await;
        let (mut seen, mut given_up) = (Vec::new(), 0);
        loop {
            match timeout(Duration::from_micros(10), browse.next()).await {
                Ok(Some(delivery)) => seen.push(number(&delivery)),
                Ok(None) => break,
                Err(_) => given_up += 1,
            }
        }
        assert_eq!(seen, (0..40).step_by(3).collect::<Vec<_>>());
        assert!(given_up > 0, "it was never waited for");
    }
}
