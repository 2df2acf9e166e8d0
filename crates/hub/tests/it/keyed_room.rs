//! What keyed streams take of the room that all share.

use std::sync::Arc;

use outflow_hub::{Options, Stream};

use crate::keyed::{account, keyed, payloads, publish};
use crate::world::{name, project_id, publisher, world, world_with};

#[tokio::test(start_paused = true)]
async fn batches_that_need_room_for_states_do_not_hold_up_one_another() {
    let options = Options { inflight_bytes: 1_200_000, ..Options::default() };
    let world = Arc::new(world_with(options).await);
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(240_000));
    let streams = [keyed(&world, "one").await, keyed(&world, "two").await];
    let spawn = |stream: &Arc<Stream>, events: Vec<String>| {
        let (world, stream) = (world.clone(), stream.clone());
        tokio::spawn(async move {
            let events: Vec<&str> = events.iter().map(String::as_str).collect();
            publish(&world, &stream, &events).await
        })
    };
    let mut sent = Vec::new();
    for stream in &streams {
        let first = [account("create", 1, &large), account("create", 2, &large)];
        publish(&world, stream, &first.each_ref().map(String::as_str)).await.unwrap();
    }
    // What the batches wait for while they have their own share: 480 KB each of 1.2 MB.
    world.engine.hold();
    for stream in &streams {
        sent.push(spawn(stream, vec![account("create", 3, "{}")]));
    }
    while world.engine.held() < 2 {
        tokio::task::yield_now().await;
    }
    for stream in &streams {
        let events = [("create", 10, &*large), ("create", 11, &large), ("update", 3, "{}")];
        let updates = [("update", 1, r#"{"n":1}"#), ("update", 2, r#"{"n":2}"#)];
        let events = events.iter().chain(&updates);
        sent.push(spawn(stream, events.map(|(kind, no, body)| account(kind, *no, body)).collect()));
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    world.engine.commit_all();
    sent.push(spawn(&world.stream(), vec![r#"{"type":"ANY"}"#.to_owned()]));
    for sent in sent {
        sent.await.unwrap().unwrap();
    }
    let merged = payloads(&world, &streams[1], "Account").await;
    assert!(merged[0].ends_with(r#"","n":1}"#) && merged[1].ends_with(r#"","n":2}"#));
    // All of it was given back.
    let event = format!(r#"{{"type":"ANY","body":{large}}}"#);
    let draft = world.draft(&[event.as_str(); 4]);
    world.hub.publish(&publisher("p"), &world.stream(), draft).await.unwrap();
}

#[tokio::test]
async fn what_a_deleted_stream_kept_in_memory_is_not_counted_any_more() {
    let world = world().await;
    let kept = || world.metric("outflow_entities_bytes");
    let stream = keyed(&world, "lasting").await;
    publish(&world, &stream, &[&account("create", 1, "{}")]).await.unwrap();
    publish(&world, &stream, &[&account("create", 2, "{}")]).await.unwrap();
    let before = kept();
    assert!(before > 0);
    for _ in 0..3 {
        let stream = keyed(&world, "billing").await;
        publish(&world, &stream, &[&account("create", 1, "{}")]).await.unwrap();
        publish(&world, &stream, &[&account("update", 1, "{}")]).await.unwrap();
        assert!(kept() > before);
        world.hub.delete_stream(&project_id("p"), &name("billing")).await.unwrap();
        assert_eq!(kept(), before);
    }
}
