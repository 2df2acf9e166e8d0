//! Extraction jobs: what they send, that they go on, and that both streams fold to the truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use outflow_hub::{
    CatalogError, EntityType, EntityTypes, Extraction, ExtractionState, IngestMode, Loads,
    NewStream, Options, Start, Stream, StreamSettings,
};
use outflow_model::rng::SeededRng;
use outflow_model::{Rng, Timestamp};
use outflow_store::AppendError;
use serde_json::Value;

use crate::world::{World, lines, name, open, project_id, publisher, reader, world};

fn types() -> Arc<EntityTypes> {
    let one = |name: &str, group: &str, depends_on: &[&str]| EntityType {
        name: name.into(),
        keys: vec![vec!["no".into()]],
        group: Some(group.into()),
        depends_on: depends_on.iter().map(|&other| other.to_owned()).collect(),
    };
    let types = vec![
        one("Invoice", "Financial", &["Account"]),
        one("Account", "Customers", &[]),
        one("Plan", "Catalog", &[]),
    ];
    Arc::new(EntityTypes::new(types).unwrap())
}

async fn keyed(world: &World) -> Arc<Stream> {
    let settings = StreamSettings { entities: Some(types()), ..StreamSettings::default() };
    let new = NewStream { name: name("billing"), settings };
    world.hub.create_stream(&project_id("p"), new).await.unwrap()
}

fn stream(world: &World) -> Arc<Stream> {
    world.hub.stream(&project_id("p"), &name("billing")).unwrap()
}

fn event(kind: &str, entity_type: &str, no: u64, body: &str) -> String {
    format!(
        r#"{{"type":"{kind}","ref":{{"type":"{entity_type}","ids":{{"no":{no}}}}},"body":{body}}}"#
    )
}

async fn publish(world: &World, events: &[String]) {
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let draft = world.draft(&events);
    world.hub.publish(&publisher("p"), &stream(world), draft).await.unwrap();
}

async fn start(world: &World, types: &[&str], groups: &[&str]) -> Result<Extraction, CatalogError> {
    let owned = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
    world.hub.start_extraction(&stream(world), &owned(types), &owned(groups)).await
}

async fn over(world: &World, id: u32) -> Extraction {
    loop {
        let all = world.hub.extractions(&project_id("p"));
        let one = all.into_iter().find(|one| one.id == id).unwrap();
        if one.state.is_over() {
            return one;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// All events of a stream whose batches were all stored.
async fn all(world: &World, stream: &Arc<Stream>) -> Vec<Value> {
    let stats = world.hub.stats(stream);
    first(world, stream, (stats.next.get() - stats.start.get()) as usize).await
}

/// The first events of a stream.
async fn first(world: &World, stream: &Arc<Stream>, count: usize) -> Vec<Value> {
    let mut request = world.request(Start::Earliest);
    request.stream = stream.clone();
    let mut session = world.hub.open_read(&reader("p"), request).await.unwrap();
    let lines = lines(&mut session, count).await;
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn loads(world: &World) -> Vec<Value> {
    all(world, &world.hub.load_stream(&project_id("p")).unwrap()).await
}

fn summary(events: &[Value]) -> Vec<(String, u64)> {
    let of = |event: &Value| {
        let kind = event["ref"]["type"].as_str().unwrap_or("end").to_owned();
        (kind, event["ref"]["ids"]["no"].as_u64().unwrap_or(0))
    };
    events.iter().map(of).collect()
}

#[tokio::test]
async fn chosen_types_come_with_what_they_need_in_order_and_the_end_is_marked() {
    let world = world().await;
    keyed(&world).await;
    let mut events = vec![event("create", "Plan", 9, "{}")];
    for no in 1..=2 {
        events.push(event("create", "Invoice", no, r#"{"total":1.10}"#));
        events.push(event("create", "Account", no, r#"{"balance":0}"#));
    }
    publish(&world, &events).await;
    world.clock.advance(500);
    publish(&world, &[event("update", "Account", 2, r#"{"balance":5.00}"#)]).await;
    let job = start(&world, &["Invoice"], &[]).await.unwrap();
    assert_eq!((job.id, job.types.clone()), (1, vec!["Account".to_owned(), "Invoice".to_owned()]));
    let job = over(&world, 1).await;
    assert_eq!((job.state, job.entities), (ExtractionState::Done, 4));
    let loads = loads(&world).await;
    let expected = [("Account", 1), ("Account", 2), ("Invoice", 1), ("Invoice", 2), ("end", 0)];
    let summary = summary(&loads);
    assert_eq!(summary.iter().map(|(kind, no)| (&**kind, *no)).collect::<Vec<_>>(), expected);
    // Each tells the version it read: its time, its tick, its fields.
    let changes = all(&world, &stream(&world)).await;
    let last = changes.last().unwrap();
    assert_eq!(loads[1]["tick"], last["tick"]);
    assert_eq!(loads[1]["occurred"], last["processed"]);
    assert_eq!(loads[1]["type"], "load");
    assert_eq!(loads[1]["body"].to_string(), r#"{"balance":5.00}"#.replace("5.00", "5.0"));
    assert_eq!((&loads[4]["type"], &loads[4]["body"]["entities"]), (&"load-end".into(), &4.into()));
    let first: u64 = loads[0]["offset"].as_str().unwrap().parse().unwrap();
    assert_eq!(job.first.unwrap().get(), first);
    assert_eq!(Some(shown(&world, &stream(&world)).newest), job.first);

    let job = start(&world, &[], &["Catalog"]).await.unwrap();
    assert_eq!(over(&world, job.id).await.entities, 1);
    assert!(matches!(start(&world, &["Order"], &[]).await, Err(CatalogError::Invalid(_))));
    let plain = world.stream();
    let refused = world.hub.start_extraction(&plain, &[], &[]).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))));
}

#[tokio::test]
async fn a_restart_goes_on_with_nothing_sent_twice() {
    for crash_after in 0..8 {
        let world = world().await;
        keyed(&world).await;
        let events: Vec<_> = (0..300).map(|no| event("create", "Account", no, "{}")).collect();
        publish(&world, &events).await;
        world.engine.hold();
        let starting = {
            let (hub, stream) = (world.hub.clone(), stream(&world));
            tokio::spawn(async move { hub.start_extraction(&stream, &[], &[]).await })
        };
        for _ in 0..crash_after {
            while world.engine.held() == 0 {
                tokio::task::yield_now().await;
                if starting.is_finished()
                    && world.hub.extractions(&project_id("p")).iter().all(|one| one.state.is_over())
                {
                    break;
                }
            }
            world.engine.commit_next();
        }
        let engine = Arc::new(world.engine.restart());
        starting.abort();
        let world = open(&world.clock, &engine, Options::default()).await;
        if world.hub.extractions(&project_id("p")).is_empty() {
            start(&world, &[], &[]).await.unwrap();
        }
        let job = over(&world, 1).await;
        assert_eq!((job.state, job.entities), (ExtractionState::Done, 300), "{crash_after}");
        let loads = loads(&world).await;
        let mut numbers: Vec<u64> = summary(&loads)
            .into_iter()
            .filter(|(kind, _)| kind == "Account")
            .map(|(_, no)| no)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..300).collect::<Vec<_>>(), "crash after {crash_after} commits");
    }
}

#[tokio::test]
async fn a_step_that_the_engine_refuses_is_done_again() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Account", 1, "{}")]).await;
    start(&world, &["Account"], &[]).await.unwrap();
    over(&world, 1).await;
    world.engine.fail_next(AppendError::Throttled);
    let failed = start(&world, &["Account"], &[]).await;
    assert!(matches!(failed, Err(CatalogError::Unavailable(_))));
    assert_eq!(world.hub.extractions(&project_id("p")).len(), 1);
    world.engine.hold();
    let starting = {
        let (hub, stream) = (world.hub.clone(), stream(&world));
        tokio::spawn(async move { hub.start_extraction(&stream, &[], &[]).await })
    };
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    world.engine.commit_next();
    starting.await.unwrap().unwrap();
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    world.engine.fail_next(AppendError::Full);
    world.engine.commit_all();
    let job = over(&world, 2).await;
    assert_eq!((job.state, job.entities), (ExtractionState::Done, 1));
    // Two loads with their ends, and the offset of what was refused, which is not used again.
    let stream = world.hub.load_stream(&project_id("p")).unwrap();
    assert_eq!(summary(&first(&world, &stream, 4).await).len(), 4);
    let stats = world.hub.stats(&stream);
    assert_eq!(stats.next, stats.start.plus(5));
}

#[tokio::test(start_paused = true)]
async fn a_project_that_could_not_be_deleted_keeps_its_jobs() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Account", 1, "{}")]).await;
    world.engine.set_full(true);
    start(&world, &[], &[]).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    world.engine.fail_next(AppendError::Throttled);
    let refused = world.hub.delete_project(&project_id("p")).await;
    assert!(matches!(refused, Err(CatalogError::Unavailable(_))), "{refused:?}");
    world.engine.set_full(false);
    assert_eq!(over(&world, 1).await.state, ExtractionState::Done);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_cannot_be_noted_does_not_keep_the_next_job_waiting() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Account", 1, "{}")]).await;
    world.engine.set_full(true);
    for _ in 0..2 {
        start(&world, &[], &[]).await.unwrap();
    }
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    world.hub.delete_stream(&project_id("p"), &name("billing")).await.unwrap();
    world.engine.fail_next(AppendError::Throttled);
    for job in [1, 2] {
        assert_eq!(over(&world, job).await.state, ExtractionState::Failed);
    }
}

#[tokio::test]
async fn a_job_is_called_off_and_the_next_one_runs() {
    let world = world().await;
    keyed(&world).await;
    let events: Vec<_> = (0..200).map(|no| event("create", "Account", no, "{}")).collect();
    publish(&world, &events).await;
    world.engine.hold();
    let mut starting = Vec::new();
    for _ in 0..2 {
        let (hub, stream) = (world.hub.clone(), stream(&world));
        starting.push(tokio::spawn(async move { hub.start_extraction(&stream, &[], &[]).await }));
        while !starting.last().unwrap().is_finished() {
            tokio::task::yield_now().await;
            world.engine.commit_next();
        }
    }
    let cancelling = {
        let hub = world.hub.clone();
        tokio::spawn(async move { hub.cancel_extraction(&project_id("p"), 1).await })
    };
    while !cancelling.is_finished() {
        tokio::task::yield_now().await;
        world.engine.commit_next();
    }
    world.engine.commit_all();
    assert!(cancelling.await.unwrap().unwrap().state.is_over());
    assert_eq!(over(&world, 2).await.state, ExtractionState::Done);
    let again = world.hub.cancel_extraction(&project_id("p"), 2).await.unwrap();
    assert_eq!(again.state, ExtractionState::Done, "what is over stays");
    let unknown = world.hub.cancel_extraction(&project_id("p"), 7).await;
    assert!(matches!(unknown, Err(CatalogError::NotFound)));
    world.hub.delete_project(&project_id("p")).await.unwrap();
    assert!(world.hub.extractions(&project_id("p")).is_empty());
    let engine = Arc::new(world.engine.restart());
    let world = open(&world.clock, &engine, Options::default()).await;
    assert!(world.hub.extractions(&project_id("p")).is_empty());
}

/// The seed's procedure: both streams, folded by time and tick, end as the source is.
#[tokio::test]
async fn loads_and_changes_fold_to_the_source() {
    for seed in 0..20 {
        let rng = SeededRng::new(seed);
        let world = world().await;
        keyed(&world).await;
        let from = all(&world, &stream(&world)).await.len();
        assert_eq!(from, 0);
        let write = |rng: &SeededRng| {
            let kind = ["create", "update", "update", "delete"][(rng.next_u64() % 4) as usize];
            let entity_type = ["Account", "Invoice"][(rng.next_u64() % 2) as usize];
            let field = ["a", "b"][(rng.next_u64() % 2) as usize];
            let (no, value) = (rng.next_u64() % 60, rng.next_u64() % 1000);
            event(kind, entity_type, no, &format!(r#"{{"{field}":{value}}}"#))
        };
        let before: Vec<_> = (0..200).map(|_| write(&rng)).collect();
        publish(&world, &before).await;
        // The consumer joins the changes here: what came before, it gets from the load alone.
        let joined = all(&world, &stream(&world)).await.len();
        start(&world, &[], &[]).await.unwrap();
        for _ in 0..30 {
            world
                .clock
                .set(Timestamp::from_millis(crate::world::NOW + (rng.next_u64() % 20) as i64));
            publish(&world, &[write(&rng), write(&rng)]).await;
            tokio::task::yield_now().await;
        }
        over(&world, 1).await;
        let changes = all(&world, &stream(&world)).await.split_off(joined);
        let mut arrived: Vec<Value> = loads(&world).await;
        arrived.retain(|event| event["type"] == "load");
        arrived.extend(changes);
        // In whatever order they arrive, time and tick say what comes after what.
        let at = |event: &Value| {
            let time = if event["type"] == "load" { "occurred" } else { "processed" };
            (event[time].as_str().unwrap().to_owned(), event["tick"].as_u64().unwrap())
        };
        arrived.sort_by_key(at);
        let mut copy = BTreeMap::<String, serde_json::Map<String, Value>>::new();
        for event in &arrived {
            let id = event["ref"].to_string();
            let fields = event["body"].as_object().cloned().unwrap_or_default();
            match event["type"].as_str().unwrap() {
                "delete" => drop(copy.remove(&id)),
                "update" => copy.entry(id).or_default().extend(fields),
                _ => drop(copy.insert(id, fields)),
            }
        }
        let mut source = BTreeMap::new();
        for entity_type in ["Account", "Invoice"] {
            let page = world.hub.entities(&stream(&world), entity_type, None, 1000).await.unwrap();
            for entity in page.entities {
                let id: Value = serde_json::from_slice(&entity.entity_ref).unwrap();
                source.insert(id.to_string(), serde_json::from_slice(&entity.payload).unwrap());
            }
        }
        assert_eq!(copy, source, "seed {seed}");
    }
}

#[tokio::test]
async fn the_load_stream_is_made_by_extractions_alone_and_stays_as_they_need_it() {
    let world = world().await;
    keyed(&world).await;
    let (p, loads) = (project_id("p"), name("feed:load"));
    let new = NewStream { name: loads.clone(), settings: StreamSettings::default() };
    let refused = world.hub.create_stream(&p, new).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let job = start(&world, &[], &[]).await.unwrap();
    over(&world, job.id).await;
    let now = world.hub.stream(&p, &loads).unwrap().settings.clone();
    for wrong in [
        StreamSettings { entities: Some(types()), ..now.clone() },
        StreamSettings { dedup: StreamSettings::default().dedup, ..now.clone() },
    ] {
        let refused = world.hub.update_stream(&p, &loads, wrong).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    }
    let job = start(&world, &[], &[]).await.unwrap();
    assert_eq!(over(&world, job.id).await.state, ExtractionState::Done);
}

#[tokio::test]
async fn a_load_stream_from_before_its_bounds_can_be_changed_but_not_for_the_worse() {
    let world = world().await;
    keyed(&world).await;
    let (p, loads) = (project_id("p"), name("feed:load"));
    let job = start(&world, &[], &[]).await.unwrap();
    over(&world, job.id).await;
    // It could drop copies.
    let world = world.after_storing("feed:load", |record| {
        record["dedup"] = serde_json::json!({"window_ms": 7, "max_ids": 9});
    });
    let world = world.await;
    let old = world.hub.stream(&p, &loads).unwrap().settings.clone();
    assert!(old.dedup.is_some());
    let told = StreamSettings { description: "loads".into(), ..old.clone() };
    world.hub.update_stream(&p, &loads, told.clone()).await.unwrap();
    let worse = StreamSettings { entities: Some(types()), ..told.clone() };
    let refused = world.hub.update_stream(&p, &loads, worse).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    let better = StreamSettings { dedup: None, ..told.clone() };
    world.hub.update_stream(&p, &loads, better).await.unwrap();
    let refused = world.hub.update_stream(&p, &loads, told).await;
    assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{refused:?}");
    // It could hold payloads of upstream systems.
    let world = world.after_storing("feed:load", |record| {
        record["ingest"] = serde_json::json!({"name": "", "format": "json", "mode": "active"});
    });
    let world = world.await;
    let mut ended = world.hub.stream(&p, &loads).unwrap().settings.clone();
    ended.ingest.as_mut().unwrap().mode = IngestMode::Drop;
    world.hub.update_stream(&p, &loads, ended.clone()).await.unwrap();
    let better = StreamSettings { ingest: None, ..ended };
    world.hub.update_stream(&p, &loads, better).await.unwrap();
    let job = start(&world, &[], &[]).await.unwrap();
    assert_eq!(over(&world, job.id).await.state, ExtractionState::Done);
}

/// What the readers of a stream's loads see.
fn shown(world: &World, of: &Stream) -> Loads {
    let loads = world.hub.load_stream(&project_id("p")).unwrap();
    world.hub.loads(&loads, of).unwrap()
}

#[tokio::test]
async fn the_newest_load_is_that_of_the_stream() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Plan", 1, "{}")]).await;
    let job = start(&world, &[], &[]).await.unwrap();
    let first = over(&world, job.id).await.first;
    let p = project_id("p");
    let settings = StreamSettings { entities: Some(types()), ..StreamSettings::default() };
    let new = NewStream { name: name("other"), settings };
    let other = world.hub.create_stream(&p, new).await.unwrap();
    let job = world.hub.start_extraction(&other, &[], &[]).await.unwrap();
    let second = over(&world, job.id).await.first;
    assert!(first.is_some() && second > first);
    let newest = |of: &Stream| Some(shown(&world, of).newest);
    assert_eq!((newest(&stream(&world)), newest(&other)), (first, second));
}

#[tokio::test]
async fn the_newest_load_of_a_stream_stays_known_however_many_others_run() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Plan", 1, "{}")]).await;
    let p = project_id("p");
    let settings = StreamSettings { entities: Some(types()), ..StreamSettings::default() };
    let new = NewStream { name: name("other"), settings };
    let other = world.hub.create_stream(&p, new).await.unwrap();
    for _ in 0..2 {
        let job = start(&world, &[], &[]).await.unwrap();
        over(&world, job.id).await;
    }
    let before = shown(&world, &stream(&world));
    for _ in 0..105 {
        let job = world.hub.start_extraction(&other, &[], &[]).await.unwrap();
        over(&world, job.id).await;
    }
    assert_eq!(world.hub.extractions(&p).len(), 100);
    assert_eq!(shown(&world, &stream(&world)), before);
    let job = start(&world, &[], &[]).await.unwrap();
    let job = over(&world, job.id).await;
    let after = shown(&world, &stream(&world));
    assert_eq!((after.begins, Some(after.newest)), (before.begins, job.first));
}

#[tokio::test]
async fn a_load_that_waits_is_the_newest_one() {
    let world = world().await;
    keyed(&world).await;
    publish(&world, &[event("create", "Plan", 1, "{}")]).await;
    let first = start(&world, &[], &[]).await.unwrap();
    let first = over(&world, first.id).await;
    world.engine.hold();
    let starting = {
        let (hub, stream) = (world.hub.clone(), stream(&world));
        tokio::spawn(async move { hub.start_extraction(&stream, &[], &[]).await })
    };
    while world.engine.held() == 0 {
        tokio::task::yield_now().await;
    }
    world.engine.commit_next();
    let second = starting.await.unwrap().unwrap();
    let begins = shown(&world, &stream(&world)).newest;
    assert!(Some(begins) > first.last, "not the one before");
    world.engine.commit_all();
    let second = over(&world, second.id).await;
    assert_eq!(Some(begins), second.first);
}
