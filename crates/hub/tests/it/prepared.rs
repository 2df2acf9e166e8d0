//! Prepared transactions: nothing of them is done before their end, and nothing is lost, whatever
//! happens to consumers and the server in between.

use std::collections::BTreeSet;
use std::sync::Arc;

use outflow_hub::subscription::{
    PreparedError, Settle, SettleError, SubscriptionSettings, Transaction, TransactionError,
};
use outflow_hub::{Options, PublishError, Stream, Subscription};
use outflow_model::{Action, CredentialId, DestinationGrant, Grant, StreamName, Timestamp};
use outflow_store::{AppendError, Batch, Condition, Engine as _, Op, Put};

use crate::queueing::{acks, events, numbers, silent, user, with_credit};
use crate::world::{FIRST, NOW, World, grant, name, project_id, publisher, world, world_with};

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
        world.hub.roll_back_prepared(&user(), NAME, None).await.unwrap();
        assert_eq!(left(&world, 5).await, [0, 1, 2, 3, 4]);
        let world = world.crash().await;
        assert_eq!(world.hub.prepared(&user()).len(), 0);
        assert_eq!((left(&world, 5).await.len(), published(&world)), (5, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_prepared_and_ends_its_group_ends_it_after_a_restart() {
    let world = world().await;
    let by_key = SubscriptionSettings { group_by_key: true, ..Default::default() };
    let subscription = world.subscribe_with(by_key).await;
    for (n, sequence) in [(0, 1), (1, -1), (2, 1)] {
        let event = format!(
            r#"{{"type":"T","key":"k","headers":{{"JMSXGroupSeq":"{sequence}"}},"body":{{"n":{n}}}}}"#
        );
        world.publish(&[&event]).await;
    }
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(2)).await.unwrap();
    let got = events(&mut consumers, 2).await;
    let mut transaction = world.hub.transaction(&user());
    transaction.settle(&mut consumers, id, &acks(&got[1..])).unwrap();
    transaction.prepare(NAME).await.unwrap();
    drop(consumers);
    let world = world.crash().await;
    let mut first = world.hub.consumers(&user());
    first.add(&world.found(), with_credit(2)).await.unwrap();
    // The window is loaded before its second event comes back into it.
    assert_eq!(numbers(&events(&mut first, 1).await), [0]);
    drop(first);
    world.hub.roll_back_prepared(&user(), NAME, None).await.unwrap();
    let mut first = world.hub.consumers(&user());
    first.add(&world.found(), with_credit(2)).await.unwrap();
    assert_eq!(numbers(&events(&mut first, 2).await), [0, 1]);
    let mut second = world.hub.consumers(&user());
    second.add(&world.found(), with_credit(2)).await.unwrap();
    assert_eq!(numbers(&events(&mut second, 1).await), [2], "it is another group");
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
    let own = transaction.prepare(NAME).await.unwrap();
    world.hub.roll_back_prepared(&user(), NAME, Some(own)).await.unwrap();
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
        world.hub.roll_back_prepared(&user(), NAME, None).await.unwrap_err();
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
    let stranger: Grant = grant("q", false, &[Action::Publish]);
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
        let entries = self.engine.scan(prefix, None, 100).await.unwrap();
        entries.iter().map(|one| String::from_utf8_lossy(&one.key).into_owned()).collect()
    }
}

/// Another credential of the project with all rights.
fn other() -> Grant {
    Grant { credential: CredentialId::new("other").unwrap(), ..user() }
}

#[tokio::test(start_paused = true)]
async fn nobody_else_of_its_project_sees_or_ends_a_credentials_transaction() {
    let mut world = prepared().await;
    for _ in 0..2 {
        assert_eq!(world.hub.prepared(&other()).len(), 0);
        assert_eq!(world.hub.find_prepared(&other(), NAME), None);
        let ended = world.hub.commit_prepared(&other(), NAME).await;
        assert_eq!(ended, Err(PreparedError::Unknown));
        let ended = world.hub.roll_back_prepared(&other(), NAME, None).await;
        assert_eq!(ended, Err(PreparedError::Unknown));
        assert_eq!(world.hub.prepared(&user()), [NAME]);
        world = world.crash().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_credential_may_no_longer_do_is_not_committed() {
    let world = prepared().await;
    let streams = |names: &[&str]| {
        let names = names.iter().map(|one| name(one)).collect::<BTreeSet<_>>();
        Grant { streams: Some(Arc::new(names)), ..user() }
    };
    let actions = |all: &[Action]| {
        let all = all.iter().copied().collect::<BTreeSet<_>>();
        Grant { actions: Arc::new(all), ..user() }
    };
    let publishes = PreparedError::Transaction(PublishError::Forbidden.into());
    let consumes = PreparedError::Transaction(SettleError::Forbidden.into());
    for (lesser, error) in [
        (streams(&["events"]), &publishes),
        (actions(&[Action::Read]), &publishes),
        (streams(&["out"]), &consumes),
        (actions(&[Action::Publish]), &consumes),
    ] {
        let ended = world.hub.commit_prepared(&lesser, NAME).await;
        assert_eq!(ended.as_ref(), Err(error));
        assert_eq!((backlog(&world, &world.found()), published(&world)), (5, 0));
    }
    world.hub.commit_prepared(&user(), NAME).await.unwrap();
    assert_eq!((backlog(&world, &world.found()), published(&world)), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn who_manages_a_project_sees_and_ends_what_nobody_else_can() {
    for (commits, crashes) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut world = prepared().await;
        if crashes {
            world = world.crash().await;
        }
        let all = world.hub.prepared_of(&project_id("p"));
        let [one] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(one.credential, user().credential.as_str());
        assert_eq!((one.name.as_str(), one.answers), ("00ff6272616e6368", 2));
        assert_eq!(one.at, Some(Timestamp::from_millis(NOW)));
        assert!(one.bytes > 100, "{one:?}");
        let (project, credential) = (project_id("p"), one.credential.as_str());
        let end = |credential: &str, name: &str| {
            let (hub, project) = (world.hub.clone(), project.clone());
            let (credential, name) = (credential.to_owned(), name.to_owned());
            async move { hub.end_prepared(&project, &credential, &name, commits).await }
        };
        assert_eq!(end("nobody", &one.name).await, Err(PreparedError::Unknown));
        assert_eq!(end(credential, "00").await, Err(PreparedError::Unknown));
        end(credential, &one.name).await.unwrap();
        assert_eq!(world.hub.prepared_of(&project), []);
        assert_eq!(published(&world), if commits { 2 } else { 0 });
        let expected: &[u64] = if commits { &[0, 3, 4] } else { &[0, 1, 2, 3, 4] };
        assert_eq!(left(&world, expected.len()).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_connection_rolls_back_goes_back_to_the_queue() {
    let world = world().await;
    let subscription = world.subscribe().await;
    world.publish_numbers(0, 1).await;
    let mut consumers = world.hub.consumers(&user());
    let id = consumers.add(&subscription, with_credit(10)).await.unwrap();
    let got = events(&mut consumers, 1).await;
    let prepare = |consumers: &mut _| {
        let mut transaction = world.hub.transaction(&user());
        transaction.settle(consumers, id, &acks(&got)).unwrap();
        transaction.prepare(NAME)
    };
    let old = prepare(&mut consumers).await.unwrap();
    world.hub.roll_back_prepared(&user(), NAME, Some(old)).await.unwrap();
    prepare(&mut consumers).await.unwrap();
    // That of before is another one.
    world.hub.roll_back_prepared(&user(), NAME, Some(old)).await.unwrap();
    let again = events(&mut consumers, 1).await;
    assert!(again[0].lease > got[0].lease && again[0].redelivered);
    consumers.settle(id, &acks(&got)).unwrap_err();
    consumers.settle(id, &acks(&again)).unwrap().await.unwrap();
    assert_eq!(backlog(&world, &subscription), 0);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_end_is_bounded_over_restarts() {
    let options = Options { max_transaction_bytes: 2_000, ..Options::default() };
    let world = world_with(options.clone()).await;
    let out = world.stream_called("out").await;
    let event = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(1_000));
    let prepare = |world: &World, number: u8| {
        let mut transaction = world.hub.transaction(&user());
        transaction.publish(&out, world.draft(&[&event])).unwrap();
        async move { transaction.prepare(&[number]).await }
    };
    let full = |error| matches!(error, PreparedError::TooMuch { bytes: 32_000, .. });
    let mut number = 0;
    while prepare(&world, number).await.is_ok() {
        number += 1;
    }
    assert!((20..32).contains(&number), "{number}");
    assert!(full(prepare(&world, number).await.unwrap_err()));
    let engine = Arc::new(world.engine.restart());
    let world = crate::world::open(&world.clock, &engine, options).await;
    assert!(full(prepare(&world, number).await.unwrap_err()));
    world.hub.commit_prepared(&user(), &[0]).await.unwrap();
    prepare(&world, number).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_one_batch_cannot_hold_is_refused_before_it_is_prepared() {
    let world = world().await;
    // As with journal files of that size: two dead letters fit one, three do not.
    world.engine.bound_batches(20_000);
    let refused = world.two_refused(17_500).await;
    refused.transaction.prepare(NAME).await.unwrap();
    world.hub.commit_prepared(&user(), NAME).await.unwrap();
    assert_eq!(backlog(&world, &refused.subscription), 1);
    let out = world.stream_called("out").await;
    let event = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(18_000));
    let refused = world.hub.transaction(&user()).publish(&out, world.draft(&[&event]));
    assert_eq!(refused, Err(TransactionError::TooLarge { max: 17_500 }));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_on_its_way_goes_with_its_project() {
    let world = prepared().await;
    world.engine.hold();
    let transaction = sending(&world, 1);
    let coming = tokio::spawn(transaction.prepare(b"coming"));
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let hub = world.hub.clone();
    let deleted = tokio::spawn(async move { hub.delete_project(&project_id("p")).await });
    while world.engine.held() < 2 {
        tokio::task::yield_now().await;
    }
    while !coming.is_finished() || !deleted.is_finished() {
        world.engine.commit_all();
        tokio::task::yield_now().await;
    }
    deleted.await.unwrap().unwrap();
    assert_eq!(coming.await.unwrap(), Err(PreparedError::Unknown));
    assert_eq!(world.engine_keys(b"prepared").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_on_its_way_is_kept_when_its_project_is_not_deleted_after_all() {
    let world = world_with(Options { inflight_bytes: 2_000, ..Options::default() }).await;
    world.tenant("q").await;
    let out = world.stream_called("out").await;
    let sent = |grant: &Grant, stream: &Arc<Stream>, size| {
        let event = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(size));
        let mut transaction = world.hub.transaction(grant);
        transaction.publish(stream, world.draft(&[&event])).unwrap();
        transaction
    };
    world.engine.hold();
    // Another project's takes the room.
    let before = sent(&publisher("q"), &world.stream_of("q"), 1_500);
    let before = tokio::spawn(before.commit());
    while world.engine.held() < 1 {
        tokio::task::yield_now().await;
    }
    let coming = tokio::spawn(sent(&user(), &out, 1_000).prepare(NAME));
    while world.hub.find_prepared(&user(), NAME).is_none() {
        tokio::task::yield_now().await;
    }
    let hub = world.hub.clone();
    let deleted = tokio::spawn(async move { hub.delete_project(&project_id("p")).await });
    while world.engine.held() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        world.engine.fail_next(AppendError::Full);
        assert!(world.engine.commit_next());
    }
    before.await.unwrap().unwrap_err();
    deleted.await.unwrap().unwrap_err();
    while !coming.is_finished() {
        world.engine.commit_next();
        tokio::task::yield_now().await;
    }
    world.engine.commit_all();
    coming.await.unwrap().unwrap();
    world.hub.commit_prepared(&user(), NAME).await.unwrap();
    assert_eq!(published(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn what_an_older_version_kept_for_all_of_a_project_is_still_ended_by_its_manager() {
    for commits in [true, false] {
        let world = prepared().await;
        let own = format!("/{}/", user().credential);
        let mut ops = Vec::new();
        for entry in world.engine.scan(b"prepared", None, 100).await.unwrap() {
            let shared = String::from_utf8(entry.key.to_vec()).unwrap().replace(&own, "//");
            let kept = [(shared.into(), Some(entry.value)), (entry.key, None)];
            ops.extend(
                kept.map(|(key, value)| Op::Put(Put { key, value, condition: Condition::Any })),
            );
        }
        assert!(ops.len() >= 4, "{ops:?}");
        world.engine.submit(Batch { ops, ..Batch::default() }).await.unwrap();
        let world = world.crash().await;
        assert_eq!(world.hub.prepared(&user()), [NAME]);
        assert!(world.hub.find_prepared(&user(), NAME).is_some());
        assert_eq!(sending(&world, 1).prepare(NAME).await, Err(PreparedError::Exists));
        // Those that are kept to destinations never shared any.
        let destinations = Some(Arc::new(DestinationGrant::default()));
        let kept = Grant { destinations, ..user() };
        assert_eq!(world.hub.prepared(&kept).len(), 0);
        assert_eq!(world.hub.commit_prepared(&kept, NAME).await, Err(PreparedError::Unknown));
        sending(&world, 1).prepare(b"other").await.unwrap();
        assert_eq!(world.hub.prepared(&user()).len(), 2);
        if commits {
            world.hub.commit_prepared(&user(), NAME).await.unwrap();
        } else {
            world.hub.roll_back_prepared(&user(), NAME, None).await.unwrap();
        }
        assert_eq!(published(&world), if commits { 2 } else { 0 });
        let world = world.crash().await;
        assert_eq!(world.hub.prepared(&user()), [b"other".as_slice()]);
    }
}
