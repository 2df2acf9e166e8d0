//! Things done at the same moment: transactions beside purges and deletions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use outflow_hub::subscription::{Settle, TransactionError};
use outflow_hub::{NewStream, PublishError, Stream, StreamSettings};
use outflow_model::{Action, Draft};
use outflow_store::AppendError;

use crate::queueing::{events, user, with_credit};
use crate::world::{FIRST, World, grant, name, project, project_id, world};

#[tokio::test(start_paused = true)]
async fn a_purge_beside_a_transaction_brings_nothing_back() {
    let world = world().await;
    let subscription = world.subscribe().await;
    let out = world.stream_called("out").await;
    world.publish_numbers(0, 2).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(1)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let mut transaction = world.hub.transaction(&user());
    transaction.publish(&out, world.draft(&[r#"{"type":"CUSTOM","body":{"n":7}}"#])).unwrap();
    transaction.settle(&mut consumers, id, &[Settle::Ack(got[0].lease)]).unwrap();
    drop(consumers);
    world.engine.hold();
    let committed = tokio::spawn(transaction.commit());
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let (hub, of) = (world.hub.clone(), subscription.clone());
    let purged = tokio::spawn(async move { hub.purge_subscription(&of).await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    world.engine.commit_all();
    committed.await.unwrap().unwrap();
    assert_eq!(purged.await.unwrap().unwrap(), 1);
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 0);
    drop(subscription);
    let world = world.crash().await;
    assert_eq!(world.hub.subscription_stats(&world.found()).backlog, 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_in_a_transaction_waits_for_the_first_one_and_stands_in_for_it() {
    let event = r#"{"id":"one","type":"CUSTOM","body":{"n":7}}"#;
    for first_fails in [false, true] {
        let world = world().await;
        let subscription = world.subscribe().await;
        let out = world.stream_called("out").await;
        world.publish_numbers(0, 1).await;
        let mut consumers = world.hub.consumers(&user());
        let id = consumers.add(&subscription, with_credit(1)).await.unwrap();
        let got = events(&mut consumers, 1).await;
        world
            .hub
            .publish(&user(), &out, world.draft(&[r#"{"id":"zero","type":"X"}"#]))
            .await
            .unwrap();
        world.engine.hold();
        let first = world.hub.enqueue(&user(), &out, world.draft(&[event]), None).await.unwrap();
        let first = tokio::spawn(first);
        let mut transaction = world.hub.transaction(&user());
        transaction.publish(&out, world.draft(&[event])).unwrap();
        transaction.settle(&mut consumers, id, &[Settle::Ack(got[0].lease)]).unwrap();
        let committed = tokio::spawn(transaction.commit());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(world.engine.held(), 1, "nothing of it is queued before the first is decided");
        if first_fails {
            world.engine.fail_next(AppendError::Full);
        }
        world.engine.commit_all();
        assert_eq!(first.await.unwrap().is_err(), first_fails);
        let receipts = committed.await.unwrap().unwrap();
        assert_eq!(receipts[0].events[0].duplicate, !first_fails);
        assert_eq!(world.hub.subscription_stats(&subscription).backlog, 0);
        let stored = if first_fails { 3 } else { 2 };
        assert_eq!(world.hub.stats(&out).next, FIRST.plus(stored), "a failed one leaves a gap");
    }
}

#[tokio::test]
async fn a_transaction_for_a_stream_that_went_is_not_worth_another_try() {
    let world = world().await;
    let out = world.stream_called("out").await;
    let mut transaction = world.hub.transaction(&user());
    transaction.publish(&out, world.draft(&[r#"{"type":"CUSTOM"}"#])).unwrap();
    world.hub.delete_stream(&project_id("p"), &out.name).await.unwrap();
    let refused = transaction.commit().await;
    assert_eq!(refused, Err(TransactionError::Publish(PublishError::NotFound)));
}

#[tokio::test]
async fn acks_that_come_too_late_are_told_from_those_that_count() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 3).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(3)).await.unwrap();
    let got = events(&mut consumers, 3).await;
    let acks: Vec<_> = got.iter().map(|one| Settle::Ack(one.lease)).collect();
    consumers.settle(id, &acks[1..2]).unwrap().await.unwrap();
    let (settling, unknown) = consumers.settle_held(id, &acks).unwrap();
    assert_eq!(unknown, [1]);
    settling.await.unwrap();
    assert_eq!(world.hub.subscription_stats(&subscription).backlog, 0);
}

/// Streams whose order by name is the reverse of that by number.
async fn streams_of(world: &World, of: &str, count: usize) -> Vec<Arc<Stream>> {
    let mut streams = Vec::new();
    for number in (0..count).rev() {
        let settings = StreamSettings { dedup: None, ..StreamSettings::default() };
        let new = NewStream { name: name(&format!("s{number:04}")), settings };
        streams.push(world.hub.create_stream(&project_id(of), new).await.unwrap());
    }
    streams
}

#[test]
fn deleting_a_project_beside_transactions_comes_to_an_end() {
    const ROUNDS: usize = 20;
    const STREAMS: usize = 1_000;
    let (tell, over) = std::sync::mpsc::channel();
    #[expect(clippy::disallowed_methods, reason = "what hangs must not hang the test")]
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build();
        runtime.unwrap().block_on(async {
            let world = world().await;
            for round in 0..ROUNDS {
                let of = format!("q{round}");
                world.hub.create_project(project(&of)).await.unwrap();
                let streams = streams_of(&world, &of, STREAMS).await;
                let publisher = grant(&of, false, &[Action::Publish]);
                let mut draft = Draft::default();
                let event = br#"{"type":"CUSTOM","body":{"n":7}}"#;
                draft.push_json(event, &world.hub.rules(), world.hub.rng()).unwrap();
                // One waits for another's locks while the deletion waits for them too.
                let committed = Arc::new(AtomicUsize::new(0));
                let work = (0..3).map(|_| {
                    let committed = committed.clone();
                    let (hub, publisher) = (world.hub.clone(), publisher.clone());
                    let (streams, draft) = (streams.clone(), draft.clone());
                    tokio::spawn(async move {
                        // Until the streams are gone.
                        loop {
                            let mut transaction = hub.transaction(&publisher);
                            for stream in &streams {
                                transaction.publish(stream, draft.clone()).unwrap();
                            }
                            if transaction.commit().await.is_err() {
                                return;
                            }
                            committed.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                });
                let work: Vec<_> = work.collect();
                while committed.load(Ordering::Relaxed) < 6 {
                    tokio::task::yield_now().await;
                }
                world.hub.delete_project(&project_id(&of)).await.unwrap();
                for one in work {
                    one.await.unwrap();
                }
            }
        });
        tell.send(()).unwrap();
    });
    over.recv_timeout(Duration::from_secs(60)).expect("an end");
}
