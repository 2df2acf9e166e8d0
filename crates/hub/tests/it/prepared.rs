//! Prepared transactions: nothing of them is done before their end, and nothing is lost, whatever
//! happens to consumers and the server in between.

use outflow_hub::Subscription;
use outflow_hub::subscription::{PreparedError, Settle, SubscriptionSettings, Transaction};
use outflow_model::{Grant, StreamName};
use outflow_store::AppendError;

use crate::queueing::{acks, events, numbers, silent, user, with_credit};
use crate::world::{FIRST, World, grant, name, project_id, world};

const NAME: &[u8] = b"\x00\xffbranch";

fn sending(world: &World, publishes: u64) -> Transaction {
    let out = world.hub.stream(&project_id("p"), &name("out")).unwrap();
    let mut transaction = world.hub.transaction(&user());
    for n in 0..publishes {
        let event = format!(r#"{{"id":"own-{n}","type":"CUSTOM","body":{{"n":{n}}}}}"#);
        transaction.publish(&out, world.draft(&[&event])).unwrap();
    }
    transaction
}

fn backlog(world: &World, of: &Subscription) -> u64 {
    world.hub.subscription_stats(of).backlog
}

fn published(world: &World) -> u64 {
    let out = world.hub.stream(&project_id("p"), &name("out")).unwrap();
    world.hub.stats(&out).next.get() - FIRST.get()
}

/// A world where two of five events were answered in a transaction that publishes two, which is
/// prepared. The consumer has gone.
async fn prepared() -> World {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.stream_called("out").await;
    world.publish_numbers(0, 5).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 5).await;
    let mut transaction = sending(&world, 2);
    transaction.settle(&mut consumers, id, &acks(&got[1..3])).unwrap();
    transaction.prepare(NAME).await.unwrap();
    assert_eq!((backlog(&world, &subscription), published(&world)), (5, 0), "nothing is done yet");
    world
}

/// The numbers that a new consumer gets.
async fn left(world: &World, count: usize) -> Vec<u64> {
    let mut consumers = world.hub.consumers(&user());
    consumers.add(&world.found(), with_credit(10)).await.unwrap();
    let got = numbers(&events(&mut consumers, count).await);
    silent(&mut consumers).await;
    got
}

#[tokio::test(start_paused = true)]
async fn a_prepared_transaction_is_committed_before_and_after_a_crash() {
    for crashes in 0..3 {
        let mut world = prepared().await;
        for _ in 0..crashes {
            world = world.crash().await;
        }
        assert_eq!(left(&world, 3).await, [0, 3, 4], "what it answers is nobody's");
        assert_eq!(world.hub.prepared(&user()), [NAME]);
        let receipts = world.hub.commit_prepared(&user(), NAME).await.unwrap();
        assert_eq!((receipts.len(), published(&world)), (2, 2));
        assert_eq!(backlog(&world, &world.found()), 3);
        assert_eq!(world.hub.prepared(&user()).len(), 0);
        let twice = world.hub.commit_prepared(&user(), NAME).await;
        assert_eq!(twice, Err(PreparedError::Unknown));
        let world = world.crash().await;
        assert_eq!(left(&world, 3).await, [0, 3, 4]);
        assert_eq!(world.hub.prepared(&user()).len(), 0, "it is over after a crash as well");
        assert_eq!(published(&world), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_prepared_and_rolled_back_comes_again() {
    for crashes in 0..2 {
        let mut world = prepared().await;
        for _ in 0..crashes {
            world = world.crash().await;
        }
        world.hub.roll_back_prepared(&user(), NAME).await.unwrap();
        assert_eq!(left(&world, 5).await, [0, 1, 2, 3, 4]);
        let world = world.crash().await;
        assert_eq!(world.hub.prepared(&user()).len(), 0);
        assert_eq!((left(&world, 5).await.len(), published(&world)), (5, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_still_there_holds_again_what_was_rolled_back() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let mut transaction = world.hub.transaction(&user());
    transaction.settle(&mut consumers, id, &acks(&got)).unwrap();
    transaction.prepare(NAME).await.unwrap();
    world.hub.roll_back_prepared(&user(), NAME).await.unwrap();
    silent(&mut consumers).await;
    consumers.settle(id, &acks(&got)).unwrap().await.unwrap();
    assert_eq!(backlog(&world, &subscription), 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_disk_refuses_is_as_it_was() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.stream_called("out").await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let mut transaction = sending(&world, 1);
    transaction.settle(&mut consumers, id, &acks(&got)).unwrap();
    world.engine.fail_next(AppendError::Full);
    transaction.prepare(NAME).await.unwrap_err();
    assert_eq!(world.hub.prepared(&user()).len(), 0);
    let mut transaction = sending(&world, 1);
    transaction.settle(&mut consumers, id, &acks(&got)).unwrap();
    transaction.prepare(NAME).await.unwrap();
    for _ in 0..2 {
        world.engine.fail_next(AppendError::Full);
        world.hub.commit_prepared(&user(), NAME).await.unwrap_err();
        world.engine.fail_next(AppendError::Full);
        world.hub.roll_back_prepared(&user(), NAME).await.unwrap_err();
        assert_eq!((backlog(&world, &subscription), published(&world)), (1, 0));
    }
    drop(consumers);
    let receipts = world.hub.commit_prepared(&user(), NAME).await.unwrap();
    assert_eq!(receipts[0].events[0].offset, FIRST.plus(2), "failed ones leave gaps");
    assert_eq!((backlog(&world, &subscription), published(&world)), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_of_a_prepared_transaction_is_buried_when_it_is_committed() {
    let world = world().await;
    let dead_letter = Some(StreamName::new("dead").unwrap());
    let settings = SubscriptionSettings { dead_letter, ..SubscriptionSettings::default() };
    world.stream_called("dead").await;
    let subscription = world.subscribe_with(settings).await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let mut transaction = world.hub.transaction(&user());
    let letter = Settle::DeadLetter { lease: got[0].lease, cause: "no".into() };
    transaction.settle(&mut consumers, id, &[letter]).unwrap();
    transaction.prepare(NAME).await.unwrap();
    drop((consumers, subscription));
    let world = world.crash().await;
    world.hub.commit_prepared(&user(), NAME).await.unwrap();
    let dead = world.hub.stream(&project_id("p"), &name("dead")).unwrap();
    assert_eq!(world.hub.stats(&dead).next, FIRST.plus(1));
    assert_eq!(backlog(&world, &world.found()), 0);
}

#[tokio::test(start_paused = true)]
async fn names_are_a_projects_own_and_taken_once() {
    let world = prepared().await;
    world.tenant("q").await;
    let stranger: Grant = grant("q", false, &[outflow_model::Action::Publish]);
    assert_eq!(world.hub.prepared(&stranger).len(), 0);
    let ended = world.hub.commit_prepared(&stranger, NAME).await;
    assert_eq!(ended, Err(PreparedError::Unknown));
    let again = sending(&world, 1).prepare(NAME).await;
    assert_eq!(again, Err(PreparedError::Exists));
    let long = sending(&world, 1).prepare(&[7; 137]).await;
    assert_eq!(long, Err(PreparedError::Name));
    world.hub.delete_project(&project_id("p")).await.unwrap();
    let world = world.crash().await;
    world.tenant("p").await;
    assert_eq!(world.hub.prepared(&user()).len(), 0, "it went with its project");
}

#[tokio::test(start_paused = true)]
async fn what_is_larger_than_one_entry_of_the_state_is_kept_in_pieces() {
    let world = world().await;
    let out = world.stream_called("out").await;
    let mut transaction = world.hub.transaction(&user());
    let body = "x".repeat(200_000);
    for n in 0..8 {
        let event = format!(r#"{{"type":"CUSTOM","body":{{"n":{n},"x":"{body}"}}}}"#);
        transaction.publish(&out, world.draft(&[&event])).unwrap();
    }
    transaction.prepare(NAME).await.unwrap();
    drop(out);
    let world = world.crash().await;
    world.hub.commit_prepared(&user(), NAME).await.unwrap();
    assert_eq!(published(&world), 8);
    let left = world.engine_keys(b"prepared").await;
    assert_eq!(left, Vec::<String>::new(), "nothing of it is left behind");
}

impl World {
    async fn engine_keys(&self, prefix: &[u8]) -> Vec<String> {
        use outflow_store::Engine as _;
        let entries = self.engine.scan(prefix, None, 100).await.unwrap();
        entries.iter().map(|one| String::from_utf8_lossy(&one.key).into_owned()).collect()
    }
}
