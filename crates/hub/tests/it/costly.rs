//! Filters that cost much hold up nobody.

use std::fmt::Write;
use std::time::Duration;

use outflow_hub::{ReadEvent, ReadRequest, Start};
use outflow_model::Offset;

use crate::world::{World, filter, reader, world};

const ELEMENTS: usize = 300_000;

/// An event of many numbers, and filters that ask of each whether it is one of two hundred: that it is
/// not, or that the last one is.
async fn session(world: &World, finds: bool, start: Start) -> outflow_hub::ReadSession {
    let mut matchers = String::new();
    for n in 0..200 {
        let wanted = if finds && n == 199 { 7 } else { 100 + n };
        write!(matchers, r#",{{"value":{{"equals":{wanted}}}}}"#).unwrap();
    }
    let text = format!(
        r#"{{"predicates":{{"key":"body","value":{{"array_contains":{{"or":[{}]}}}}}}}}"#,
        &matchers[1..]
    );
    let heartbeat = Duration::from_millis(10);
    let request = ReadRequest { filter: filter(&text), heartbeat, ..world.request(start) };
    world.hub.open_read(&reader("p"), request).await.unwrap()
}

fn event() -> String {
    format!(r#"{{"type":"CUSTOM","body":[{}7]}}"#, "1,".repeat(ELEMENTS))
}

#[tokio::test]
async fn heartbeats_and_others_go_on_while_an_event_is_looked_at_for_long() {
    let world = world().await;
    // What was stored before, and what comes while the session is live.
    for is_live in [false, true] {
        for finds in [false, true] {
            let (at, mut session) = if is_live {
                let mut session = session(&world, finds, Start::Latest).await;
                assert!(matches!(session.next().await, ReadEvent::Heartbeat { .. }));
                (world.publish(&[&event()]).await[0], session)
            } else {
                let at = world.publish(&[&event()]).await[0];
                let start = Start::After(Offset::new(at.get() - 1));
                (at, session(&world, finds, start).await)
            };
            let mut meanwhile = 0;
            loop {
                match session.next().await {
                    ReadEvent::Heartbeat { considered } if considered < at => meanwhile += 1,
                    ReadEvent::Heartbeat { considered } => {
                        assert!(!finds, "{considered}");
                        break;
                    }
                    ReadEvent::Batch(block) => {
                        assert!(finds && block.last >= at);
                        break;
                    }
                    ReadEvent::Closed(reason) => panic!("{reason:?}"),
                }
            }
            assert!(meanwhile > 0, "live {is_live}, finds {finds}: no heartbeat came meanwhile");
            assert_eq!(session.considered(), at);
        }
    }
}

#[tokio::test]
async fn a_filter_that_sidecars_answer_waits_for_no_look() {
    let world = world().await;
    let at = world.publish(&[&event()]).await[0];
    let start = Start::After(Offset::new(at.get() - 1));
    let mut looking = Vec::new();
    for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        let mut session = session(&world, false, start).await;
        let first = session.next().await;
        assert!(matches!(first, ReadEvent::Heartbeat { considered } if considered < at));
        looking.push(tokio::spawn(async move {
            while matches!(session.next().await, ReadEvent::Heartbeat { considered } if considered < at)
            {}
        }));
    }
    let request = ReadRequest { filter: filter(r#"{"types":["CUSTOM"]}"#), ..world.request(start) };
    let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
    loop {
        match session.next().await {
            ReadEvent::Batch(block) => {
                assert_eq!(block.last, at);
                break;
            }
            ReadEvent::Heartbeat { .. } => {}
            ReadEvent::Closed(reason) => panic!("{reason:?}"),
        }
    }
    assert!(looking.iter().all(|one| !one.is_finished()), "it came after a look");
    looking.iter().for_each(tokio::task::JoinHandle::abort);
}
