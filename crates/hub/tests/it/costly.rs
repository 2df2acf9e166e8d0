//! Filters that cost much hold up nobody.

use std::fmt::Write;
use std::time::Duration;

use outflow_hub::{ReadEvent, ReadRequest, ReadSession, Start};
use outflow_model::Offset;

use crate::world::{World, block, filter, offsets, publisher, reader, world};

const ELEMENTS: usize = 300_000;

/// An event of many numbers, and filters that ask of each whether it is one of two hundred: that it is
/// not, or that the last one is.
async fn session(world: &World, finds: bool, start: Start) -> ReadSession {
    session_of(world, "p", finds, start).await
}

async fn session_of(world: &World, project: &str, finds: bool, start: Start) -> ReadSession {
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
    let (filter, stream) = (filter(&text), world.stream_of(project));
    let request = ReadRequest { filter, stream, heartbeat, ..world.request(start) };
    world.hub.open_read(&reader(project), request).await.unwrap()
}

fn event() -> String {
    event_of(ELEMENTS, 7)
}

fn event_of(elements: usize, last: u32) -> String {
    format!(r#"{{"type":"CUSTOM","body":[{}{last}]}}"#, "1,".repeat(elements))
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
async fn a_project_looks_while_another_looks_for_long() {
    let world = world().await;
    world.tenant("q").await;
    let at = world.publish(&[&event()]).await[0];
    let mut long = session(&world, true, Start::Earliest).await;
    assert!(matches!(long.next().await, ReadEvent::Heartbeat { considered } if considered < at));
    let long = tokio::spawn(async move { block(&mut long).await.last });
    // A twentieth of that, and still too much to be looked at where it is sent.
    let draft = world.draft(&[&event_of(ELEMENTS / 20, 7)]);
    world.hub.publish(&publisher("q"), &world.stream_of("q"), draft).await.unwrap();
    let mut short = session_of(&world, "q", true, Start::Earliest).await;
    assert_eq!(block(&mut short).await.count, 1);
    assert!(!long.is_finished(), "it came after the whole of another project's look");
    assert_eq!(long.await.unwrap(), at);
}

#[tokio::test]
async fn a_reader_whose_peer_takes_nothing_keeps_no_turn() {
    let world = world().await;
    let at = world.publish(&[&event()]).await[0];
    for project in ["q", "r"] {
        world.tenant(project).await;
        let draft = world.draft(&[&event_of(ELEMENTS / 20, 7)]);
        world.hub.publish(&publisher(project), &world.stream_of(project), draft).await.unwrap();
    }
    let mut first = session(&world, true, Start::Earliest).await;
    assert!(matches!(first.next().await, ReadEvent::Heartbeat { considered } if considered < at));
    // It stands in line behind the first, and nobody asks it any more.
    let mut stalled = session_of(&world, "q", true, Start::Earliest).await;
    assert!(matches!(stalled.next().await, ReadEvent::Heartbeat { .. }));
    let mut other = session_of(&world, "r", true, Start::Earliest).await;
    let both = async { (block(&mut other).await, block(&mut first).await) };
    let (other, first) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
    assert_eq!((other.count, first.last), (1, at));
    assert_eq!(block(&mut stalled).await.count, 1);
}

#[tokio::test]
async fn looks_in_turn_show_each_event_once_and_in_order() {
    let world = world().await;
    world.tenant("q").await;
    let mut expected = Vec::new();
    for project in ["p", "q"] {
        let events: Vec<String> =
            (0..45).map(|n| event_of(1_500, if n % 3 == 0 { 7 } else { 8 })).collect();
        let draft = world.draft(&events.iter().map(String::as_str).collect::<Vec<_>>());
        let stream = world.stream_of(project);
        let placed = world.hub.publish(&publisher(project), &stream, draft).await.unwrap().events;
        expected.push(placed.iter().step_by(3).map(|one| one.offset).collect::<Vec<_>>());
    }
    let mut of_p = session(&world, true, Start::Earliest).await;
    let mut of_q = session_of(&world, "q", true, Start::Earliest).await;
    let (p, q) = tokio::join!(offsets(&mut of_p, 15), offsets(&mut of_q, 15));
    assert_eq!([p, q], [expected[0].as_slice(), &expected[1]]);
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
