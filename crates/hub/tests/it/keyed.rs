//! Keyed streams: what is accepted, the ticks it gets, and the state its entities are left in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outflow_hub::{
    CatalogError, Durability, Entity, EntityType, EntityTypes, Ingest, IngestFormat, IngestMode,
    NewStream, Options, PublishError, Receipt, Start, Stream, StreamSettings,
};
use outflow_model::rng::SeededRng;
use outflow_model::{Rng, Tick, Timestamp};
use outflow_store::AppendError;
use proptest::prelude::*;

use crate::world::{World, block, name, open, project_id, publisher, reader, world, world_with};

fn entity_type(name: &str, key: &[&str], depends_on: &[&str]) -> EntityType {
    let owned = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    EntityType {
        name: name.into(),
        keys: vec![owned(key)],
        group: None,
        depends_on: owned(depends_on),
    }
}

pub(crate) fn types() -> Arc<EntityTypes> {
    let types = vec![
        entity_type("Account", &["account_no"], &[]),
        entity_type("Payment", &["account_no", "payment_no"], &["Account"]),
    ];
    Arc::new(EntityTypes::new(types).unwrap())
}

pub(crate) async fn keyed(world: &World, stream: &str) -> Arc<Stream> {
    let settings = StreamSettings { entities: Some(types()), ..StreamSettings::default() };
    let new = NewStream { name: name(stream), settings };
    world.hub.create_stream(&project_id("p"), new).await.unwrap()
}

pub(crate) async fn publish(
    world: &World,
    stream: &Stream,
    events: &[&str],
) -> Result<Receipt, PublishError> {
    world.hub.publish(&publisher("p"), stream, world.draft(events)).await
}

async fn entities(world: &World, stream: &Stream, entity_type: &str) -> Vec<Entity> {
    world.hub.entities(stream, entity_type, None, 1000).await.unwrap().entities
}

pub(crate) async fn payloads(world: &World, stream: &Stream, entity_type: &str) -> Vec<String> {
    let text = |entity: Entity| String::from_utf8(entity.payload.to_vec()).unwrap();
    entities(world, stream, entity_type).await.into_iter().map(text).collect()
}

/// An account's event.
pub(crate) fn account(kind: &str, no: u32, body: &str) -> String {
    format!(
        r#"{{"type":"{kind}","ref":{{"type":"Account","ids":{{"account_no":{no}}}}},"body":{body}}}"#
    )
}

/// All events of a stream: their processed times and ticks.
async fn ticks(world: &World, stream: &Arc<Stream>, count: usize) -> Vec<(Timestamp, Tick)> {
    let mut request = world.request(Start::Earliest);
    request.stream = stream.clone();
    let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
    let mut all = Vec::new();
    while all.len() < count {
        let block = block(&mut session).await;
        let events = block.metas().unwrap();
        for (meta, line) in events.with_lines(block.lines().unwrap()) {
            all.push((meta.processed, meta.tick(line).unwrap()));
        }
    }
    all
}

#[tokio::test]
async fn what_is_relied_on_is_synced_whatever_is_asked_for() {
    let world = world().await;
    let relaxed = StreamSettings { durability: Durability::Relaxed, ..StreamSettings::default() };
    let keyed_too = StreamSettings { entities: Some(types()), ..relaxed.clone() };
    let ingest =
        Ingest { name: String::new(), format: IngestFormat::Json, mode: IngestMode::Active };
    let ingest_too = StreamSettings { ingest: Some(ingest), dedup: None, ..relaxed };
    for settings in [keyed_too, ingest_too] {
        let new = NewStream { name: name("billing"), settings };
        let refused = world.hub.create_stream(&project_id("p"), new).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    }
    let stream = keyed(&world, "billing").await;
    let draft = world.draft(&[&account("create", 1, "{}")]);
    world.engine.hold();
    let asked = Some(Durability::Relaxed);
    let stored = world.hub.enqueue(&publisher("p"), &stream, draft, asked).await.unwrap();
    let stored = tokio::spawn(stored);
    tokio::task::yield_now().await;
    assert!(!stored.is_finished(), "it was answered before it was stored");
    world.engine.commit_all();
    stored.await.unwrap().unwrap();
}

#[tokio::test]
async fn many_small_changes_of_a_large_entity_are_one_state_at_the_end() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(250_000));
    publish(&world, &stream, &[&account("create", 1, &large)]).await.unwrap();
    let changes: Vec<String> =
        (0..20_000).map(|n| account("update", 1, &format!(r#"{{"n":{n}}}"#))).collect();
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    publish(&world, &stream, &changes).await.unwrap();
    let payload = payloads(&world, &stream, "Account").await.remove(0);
    assert!(payload.ends_with(r#"","n":19999}"#));
    // A state that grows too large is refused, and names the event that came last.
    let more = format!(r#"{{"more":"{}"}}"#, "x".repeat(20_000));
    let more = account("update", 1, &more);
    let refused = publish(&world, &stream, &[&account("create", 2, "{}"), &more]).await;
    assert!(matches!(refused, Err(PublishError::EntityTooLarge { index: 1, .. })), "{refused:?}");
}

#[tokio::test]
async fn changes_are_merged_and_what_ends_is_gone() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let create = account("create", 1, r#"{"b":1.10,"a":{"x":1},"c":null}"#);
    publish(&world, &stream, &[&create, &account("create", 2, "{}")]).await.unwrap();
    let update = account("update", 1, r#"{"a":2E3,"z":[1, 2]}"#);
    publish(&world, &stream, &[&update, &account("delete", 2, "null")]).await.unwrap();
    let merged = r#"{"b":1.10,"a":2E3,"c":null,"z":[1, 2]}"#;
    assert_eq!(payloads(&world, &stream, "Account").await, [merged]);
    // The same after a restart, when nothing is in memory.
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
    publish(&world, &stream, &[&account("update", 1, r#"{"c":3}"#)]).await.unwrap();
    let merged = r#"{"b":1.10,"a":2E3,"c":3,"z":[1, 2]}"#;
    assert_eq!(payloads(&world, &stream, "Account").await, [merged]);
    // A create takes the place of what was there; an update of nothing begins with what it says.
    publish(&world, &stream, &[&account("create", 1, r#"{"n":1}"#)]).await.unwrap();
    publish(&world, &stream, &[&account("update", 2, r#"{"n":2}"#)]).await.unwrap();
    assert_eq!(payloads(&world, &stream, "Account").await, [r#"{"n":1}"#, r#"{"n":2}"#]);
    assert!(payloads(&world, &stream, "Payment").await.is_empty());
}

#[tokio::test]
async fn what_is_no_change_of_an_entity_is_refused_by_its_place() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let good = account("create", 1, "{}");
    let ids = |ids: &str| {
        format!(r#"{{"type":"create","ref":{{"type":"Payment","ids":{ids}}},"body":{{}}}}"#)
    };
    let long = "x".repeat(300);
    for (event, place, reason) in [
        (account("load", 1, "{}"), "/type", "must be create, update or delete"),
        (account("CREATE", 1, "{}"), "/type", "must be create"),
        (r#"{"type":"create","body":{}}"#.into(), "/ref", "must be an object"),
        (r#"{"type":"create","ref":1,"ref":{},"body":{}}"#.into(), "/ref", "comes twice"),
        (good.replace("Account", "Acount"), "/ref/type", "`Acount` is not an entity type"),
        (good.replace(r#""ids""#, r#""id""#), "/ref/ids", "must be an object"),
        (ids(r#"{"account_no":1}"#), "/ref/ids/payment_no", "is missing"),
        (ids(r#"{"account_no":null,"payment_no":1}"#), "/ref/ids/account_no", "must be a string"),
        (
            ids(&format!(r#"{{"account_no":"{long}","payment_no":1}}"#)),
            "/ref/ids/account_no",
            "256",
        ),
        (account("update", 1, "[]"), "/body", "must be an object"),
        (account("update", 1, r#""{}""#), "/body", "must be an object"),
    ] {
        match publish(&world, &stream, &[&good, &event]).await {
            Err(PublishError::Entity { index: 1, place: at, reason: why }) => {
                assert_eq!(at, place, "{event}");
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{event}: {other:?}"),
        }
    }
    assert!(entities(&world, &stream, "Account").await.is_empty());
    assert_eq!(world.hub.stats(&stream).next, world.hub.stats(&stream).start);
}

#[tokio::test]
async fn alternative_keys_are_told_and_the_first_one_names() {
    let world = world().await;
    let owned = |key: &[&str]| key.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    let keys = vec![owned(&["account_no"]), owned(&["userid"]), owned(&["region", "number"])];
    let types = EntityTypes::new(vec![EntityType { keys, ..entity_type("Account", &[], &[]) }]);
    let new =
        NewStream { name: name("billing"), settings: StreamSettings::keyed(types.unwrap().into()) };
    let stream = world.hub.create_stream(&project_id("p"), new).await.unwrap();
    let event = |kind: &str, ids: &str| {
        format!(r#"{{"type":"{kind}","ref":{{"type":"Account","ids":{ids}}},"body":{{}}}}"#)
    };
    let all = r#"{"account_no":1,"userid":"u","region":"eu","number":7}"#;
    let same = r#"{"account_no":2,"userid":"u"}"#;
    publish(&world, &stream, &[&event("create", all), &event("create", same)]).await.unwrap();
    // Named alone they name nothing.
    for other in [r#"{"userid":"u"}"#, r#"{"region":"eu","number":7}"#] {
        let refused = publish(&world, &stream, &[&event("update", other)]).await;
        let Err(PublishError::Entity { index: 0, place, .. }) = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(place, "/ref/ids/account_no");
    }
    publish(&world, &stream, &[&event("update", r#"{"account_no":1}"#)]).await.unwrap();
    // What was named stays, a new value takes its place, and so it is after a restart.
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
    let renamed = event("update", r#"{"userid":"v","account_no":1}"#);
    publish(&world, &stream, &[&renamed]).await.unwrap();
    let refs: Vec<_> = entities(&world, &stream, "Account").await;
    let refs: Vec<_> =
        refs.iter().map(|one| std::str::from_utf8(&one.entity_ref).unwrap()).collect();
    let first =
        r#"{"type":"Account","ids":{"account_no":1,"userid":"v","region":"eu","number":7}}"#;
    assert_eq!(refs, [first, &format!(r#"{{"type":"Account","ids":{same}}}"#)]);
    // The key ends the entity, whatever else is named.
    publish(&world, &stream, &[&event("delete", r#"{"account_no":1}"#)]).await.unwrap();
    assert_eq!(entities(&world, &stream, "Account").await.len(), 1);
}

#[tokio::test]
async fn keys_are_told_apart_by_kind_and_field() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let payment = |a: &str, b: &str| {
        format!(
            r#"{{"type":"create","ref":{{"type":"Payment","ids":{{"x":0,"payment_no":{b},"account_no":{a}}}}},"body":{{}}}}"#
        )
    };
    let events =
        [payment("1", "2"), payment("\"1\"", "2"), payment("12", "\"\""), payment("1", "\"2\"")];
    let same = payment("\"\\u0031\"", "2");
    let events: Vec<&str> = events.iter().chain([&same]).map(String::as_str).collect();
    publish(&world, &stream, &events).await.unwrap();
    assert_eq!(entities(&world, &stream, "Payment").await.len(), 4);
}

#[tokio::test]
async fn ticks_go_on_over_streams_restarts_and_clocks_that_go_back() {
    let mut world = world().await;
    let mut expected = BTreeMap::<String, usize>::new();
    keyed(&world, "a").await;
    keyed(&world, "b").await;
    for round in 0..6 {
        for stream in ["a", "b", "a"] {
            let stream = world.hub.stream(&project_id("p"), &name(stream)).unwrap();
            let events = [account("create", 1, "{}"), account("update", round, "{}")];
            publish(&world, &stream, &[&events[0], &events[1]]).await.unwrap();
            *expected.entry(stream.name.to_string()).or_default() += 2;
            world.clock.set(Timestamp::from_millis(crate::world::NOW - i64::from(round) * 100));
        }
        if round % 2 == 1 {
            let engine = Arc::new(world.engine.restart());
            world = open(&world.clock, &engine, Options::default()).await;
        }
    }
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for (stream, count) in expected {
        let stream = world.hub.stream(&project_id("p"), &name(&stream)).unwrap();
        let own = ticks(&world, &stream, count).await;
        assert!(own.windows(2).all(|pair| pair[0].1 < pair[1].1 && pair[0].0 <= pair[1].0));
        all.extend(own);
    }
    assert!(all.iter().all(|(_, tick)| seen.insert(*tick)), "a tick was used twice");
    // By time and then tick is by tick.
    let mut by_tick = all.clone();
    by_tick.sort_by_key(|(_, tick)| *tick);
    all.sort();
    assert_eq!(all, by_tick);
}

#[tokio::test]
async fn a_copy_changes_nothing() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let with_id = |id: &str, event: String| event.replacen('{', &format!(r#"{{"id":"{id}","#), 1);
    let first = with_id("1", account("create", 1, r#"{"n":1}"#));
    let second = with_id("2", account("update", 1, r#"{"n":2}"#));
    publish(&world, &stream, &[&first, &second]).await.unwrap();
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
    let third = with_id("3", account("update", 1, r#"{"m":3}"#));
    let receipt = publish(&world, &stream, &[&first, &third]).await.unwrap();
    assert!(receipt.events[0].duplicate && !receipt.events[1].duplicate);
    assert_eq!(payloads(&world, &stream, "Account").await, [r#"{"n":2,"m":3}"#]);
    assert_eq!(ticks(&world, &stream, 3).await.len(), 3);
}

#[tokio::test]
async fn a_change_that_fails_shows_in_no_later_state() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    publish(&world, &stream, &[&account("create", 1, r#"{"n":1}"#)]).await.unwrap();
    world.engine.hold();
    let task = |body: &str| {
        let (hub, stream) = (world.hub.clone(), stream.clone());
        let draft = world.draft(&[&account("update", 1, body)]);
        tokio::spawn(async move { hub.publish(&publisher("p"), &stream, draft).await })
    };
    let fails = task(r#"{"lost":1}"#);
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    let follows = task(r#"{"kept":1}"#);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.engine.held(), 1, "it waits for the change before it");
    world.engine.fail_next(AppendError::Full);
    world.engine.commit_all();
    assert!(matches!(fails.await.unwrap(), Err(PublishError::Unavailable(_))));
    follows.await.unwrap().unwrap();
    assert_eq!(payloads(&world, &stream, "Account").await, [r#"{"n":1,"kept":1}"#]);
}

#[tokio::test]
async fn an_entity_that_grows_too_large_is_refused_and_stays() {
    let options = Options { max_entity_bytes: 200, ..Options::default() };
    let world = world_with(options).await;
    let stream = keyed(&world, "billing").await;
    publish(&world, &stream, &[&account("create", 1, r#"{"a":1}"#)]).await.unwrap();
    let large = account("update", 1, &format!(r#"{{"b":"{}"}}"#, "x".repeat(200)));
    let small = account("update", 1, r#"{"a":2}"#);
    let refused = publish(&world, &stream, &[&small, &large]).await;
    assert_eq!(refused.unwrap_err(), PublishError::EntityTooLarge { index: 1, max: 200 });
    assert_eq!(payloads(&world, &stream, "Account").await, [r#"{"a":1}"#]);
    publish(&world, &stream, &[&small]).await.unwrap();
    assert_eq!(payloads(&world, &stream, "Account").await, [r#"{"a":2}"#]);
}

#[tokio::test]
async fn a_stream_becomes_keyed_but_stays_so() {
    let world = world().await;
    let before = world.stream();
    world.publish(&[r#"{"type":"ANY"}"#]).await;
    let set = |entities| {
        let settings = StreamSettings { entities, ..StreamSettings::default() };
        let hub = world.hub.clone();
        async move { hub.update_stream(&project_id("p"), &name("events"), settings).await }
    };
    let stream = set(Some(types())).await.unwrap();
    // Who looked it up before cannot slip anything in.
    assert_eq!(publish(&world, &before, &[r#"{"type":"ANY"}"#]).await, Err(PublishError::Keyed));
    publish(&world, &stream, &[&account("create", 1, "{}")]).await.unwrap();
    assert!(matches!(set(None).await, Err(CatalogError::Invalid(_))));
    let other = EntityTypes::new(vec![entity_type("Account", &["userid"], &[])]).unwrap();
    assert!(matches!(set(Some(Arc::new(other))).await, Err(CatalogError::Invalid(_))));
    let mut more = types().all().to_vec();
    more.push(entity_type("Plan", &["plan_no"], &[]));
    set(Some(Arc::new(EntityTypes::new(more).unwrap()))).await.unwrap();
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    let again = world.stream();
    assert_eq!(again.settings.entities.as_ref().unwrap().all().len(), 3);
    publish(&world, &again, &[&account("update", 1, "{}")]).await.unwrap();
}

#[tokio::test]
async fn entities_go_with_their_stream() {
    let world = world().await;
    let stream = keyed(&world, "billing").await;
    let events: Vec<String> = (0..1500).map(|no| account("create", no, "{}")).collect();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    publish(&world, &stream, &events).await.unwrap();
    let page = world.hub.entities(&stream, "Account", None, 1000).await.unwrap();
    let rest = world.hub.entities(&stream, "Account", page.next.as_deref(), 1000).await.unwrap();
    assert_eq!((page.entities.len(), rest.entities.len(), rest.next), (1000, 500, None));
    world.hub.delete_stream(&project_id("p"), &name("billing")).await.unwrap();
    while !entities(&world, &stream, "Account").await.is_empty() {
        tokio::task::yield_now().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Many publishers at once, restarts in between, a cache that holds nearly nothing: every
    /// entity ends as a fold of the log says.
    #[test]
    fn states_equal_the_fold_of_the_log(seed in any::<u64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(fold(seed));
    }
}

async fn fold(seed: u64) {
    let rng = SeededRng::new(seed);
    let options = Options { entity_cache_bytes: 400, ..Options::default() };
    let mut world = world_with(options.clone()).await;
    keyed(&world, "billing").await;
    let mut count = 0;
    for _ in 0..3 {
        let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
        let mut tasks = Vec::new();
        for _ in 0..12 {
            let batch: Vec<String> = (0..rng.next_u64() % 4 + 1)
                .map(|_| {
                    let kind =
                        ["create", "update", "update", "delete"][(rng.next_u64() % 4) as usize];
                    let field = ["a", "b", "c"][(rng.next_u64() % 3) as usize];
                    let value = rng.next_u64() % 100;
                    account(kind, (rng.next_u64() % 4) as u32, &format!(r#"{{"{field}":{value}}}"#))
                })
                .collect();
            count += batch.len();
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            let (hub, stream, draft) = (world.hub.clone(), stream.clone(), world.draft(&batch));
            tasks.push(tokio::spawn(async move {
                hub.publish(&publisher("p"), &stream, draft).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let engine = Arc::new(world.engine.restart());
        world = open(&world.clock, &engine, options.clone()).await;
    }
    let stream = world.hub.stream(&project_id("p"), &name("billing")).unwrap();
    let mut request = world.request(Start::Earliest);
    request.stream = stream.clone();
    let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
    let mut expected = BTreeMap::<u64, (u64, BTreeMap<String, u64>)>::new();
    for line in crate::world::lines(&mut session, count).await {
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let no = event["ref"]["ids"]["account_no"].as_u64().unwrap();
        if event["type"] == "delete" {
            expected.remove(&no);
            continue;
        }
        let entity = expected.entry(no).or_default();
        if event["type"] == "create" {
            entity.1.clear();
        }
        entity.0 = event["tick"].as_u64().unwrap();
        let fields = event["body"].as_object().unwrap().iter();
        entity.1.extend(fields.map(|(name, value)| (name.clone(), value.as_u64().unwrap())));
    }
    let mut found = BTreeMap::new();
    for entity in entities(&world, &stream, "Account").await {
        let id: serde_json::Value = serde_json::from_slice(&entity.entity_ref).unwrap();
        let fields: BTreeMap<String, u64> = serde_json::from_slice(&entity.payload).unwrap();
        found.insert(id["ids"]["account_no"].as_u64().unwrap(), (entity.tick.get(), fields));
    }
    assert_eq!(found, expected, "seed {seed}");
}

#[tokio::test]
async fn the_states_of_all_streams_together_have_a_bound_and_stay_right() {
    let options = Options { entity_total_bytes: 1 << 20, ..Options::default() };
    let world = world_with(options).await;
    let long = "x".repeat(100_000);
    let mut streams = Vec::new();
    for at in 0..20 {
        let stream = keyed(&world, &format!("billing-{at}")).await;
        let event = account("create", 1, &format!(r#"{{"long":"{long}","n":0}}"#));
        publish(&world, &stream, &[&event]).await.unwrap();
        // The table learns of a state when its commit has ended.
        publish(&world, &stream, &[&account("update", 1, r#"{"n":1}"#)]).await.unwrap();
        streams.push(stream);
    }
    let kept = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &world.metrics).unwrap();
        let line = text.lines().find(|line| line.starts_with("outflow_entities_bytes "));
        line.unwrap().rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    assert!((500_000..=1 << 20).contains(&kept()), "{}", kept());
    for stream in &streams {
        publish(&world, stream, &[&account("update", 1, r#"{"m":2}"#)]).await.unwrap();
        let expected = format!(r#"{{"long":"{long}","n":1,"m":2}}"#);
        assert_eq!(payloads(&world, stream, "Account").await, [expected]);
    }
}

#[tokio::test]
async fn states_that_changes_need_count_against_what_may_be_on_its_way() {
    let options = Options { inflight_bytes: 300_000, ..Options::default() };
    let world = world_with(options).await;
    let stream = keyed(&world, "billing").await;
    let long = "x".repeat(100_000);
    for no in 0..4 {
        let event = account("create", no, &format!(r#"{{"long":"{long}"}}"#));
        publish(&world, &stream, &[&event]).await.unwrap();
    }
    let updates: Vec<_> = (0..4).map(|no| account("update", no, r#"{"n":1}"#)).collect();
    let updates: Vec<&str> = updates.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let refused = publish(&world, &stream, &updates).await;
        assert!(matches!(refused, Err(PublishError::TooLarge { .. })), "{refused:?}");
        // What a refused batch held is given back.
        publish(&world, &stream, &updates[..2]).await.unwrap();
    }
}
