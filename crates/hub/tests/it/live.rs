//! Nothing is lost or reordered between behind and live, however slow the reader.

use std::time::Duration;

use outflow_hub::{Options, ReadEvent, Start};
use outflow_model::rng::SeededRng;
use outflow_model::{Offset, Rng};

use crate::world::{FIRST, filter, publisher, reader, world_with};

/// Reads until `last` is passed and gives the offsets and bytes. Now and then dawdles.
async fn follow(
    mut session: outflow_hub::ReadSession,
    last: Offset,
    seed: u64,
) -> (Vec<Offset>, Vec<u8>) {
    let rng = SeededRng::new(seed);
    let (mut offsets, mut bytes) = (Vec::new(), Vec::new());
    while session.considered() < last {
        match session.next().await {
            ReadEvent::Batch(block) => {
                offsets.extend(block.metas().unwrap().iter().map(|meta| meta.offset));
                bytes.extend_from_slice(block.lines().unwrap());
            }
            ReadEvent::Heartbeat { .. } => {}
            ReadEvent::Closed(reason) => panic!("seed {seed}: closed: {reason:?}"),
        }
        match rng.below(8) {
            0 => tokio::time::sleep(Duration::from_millis(rng.below(4))).await,
            // A wait given up at once.
            1 => drop(tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await),
            _ => {}
        }
    }
    (offsets, bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_see_the_exact_bytes_while_many_publish() {
    const EVENTS: u64 = 3_000;
    // A small ring and small chunks: readers fall out of it and come back all the time.
    let options =
        Options { tail_blocks_bytes: 4 << 10, read_chunk_bytes: 2 << 10, ..Options::default() };
    let world = world_with(options).await;
    world.publish(&[r#"{"type":"CUSTOM"}"#]).await;
    let last = FIRST.plus(EVENTS);
    let mut readers = Vec::new();
    for seed in 0..24 {
        let start = if seed % 2 == 0 { Start::Earliest } else { Start::After(FIRST) };
        let mut request = world.request(start);
        request.heartbeat = Duration::from_millis(10);
        if seed % 6 == 0 {
            request.filter = filter(r#"[{"types":["CUSTOM","OPEN"]}]"#);
        }
        let session = world.hub.open_read(&reader("p"), request).await.unwrap();
        readers.push((start, tokio::spawn(follow(session, last, seed))));
    }
    let publishers = (0..4).map(|_| {
        let (hub, stream) = (world.hub.clone(), world.stream());
        let draft = world.draft(&[
            r#"{"type":"CUSTOM","body":"x"}"#,
            r#"{"type":"OPEN"}"#,
            r#"{"type":"CUSTOM"}"#,
        ]);
        tokio::spawn(async move {
            for _ in 0..EVENTS / 12 {
                hub.publish(&publisher("p"), &stream, draft.clone()).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let whole = follow(world.read(Start::Earliest).await, last, 99).await.1;
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for (seed, (start, reader)) in readers.into_iter().enumerate() {
        let (offsets, bytes) =
            tokio::time::timeout(Duration::from_secs(60), reader).await.unwrap().unwrap();
        let from = u64::from(start != Start::Earliest);
        assert!(offsets.into_iter().eq((from..=EVENTS).map(|n| FIRST.plus(n))), "reader {seed}");
        assert!(
            bytes == whole[if from == 1 { first_line } else { 0 }..],
            "reader {seed}: other bytes"
        );
    }
}

#[tokio::test]
async fn a_stream_stops_working_when_its_last_reader_leaves_and_starts_again() {
    let world = world_with(Options::default()).await;
    for round in 0..20 {
        let mut session = world.read(Start::Latest).await;
        let wait = tokio::time::timeout(Duration::from_millis(2), session.next()).await;
        assert!(wait.is_err());
        world.publish_numbers(round, round + 1).await;
        assert_eq!(crate::world::offsets(&mut session, 1).await, [FIRST.plus(round as u64)]);
    }
    assert_eq!(world.metric("outflow_tail_blocks_total"), 20);
}

/// A reader that stalls among those that do not costs nothing: what is held for live readers is bounded
/// for all streams together, and the stalled reader finds what it missed in the engine.
#[tokio::test]
async fn what_is_held_for_live_readers_is_bounded_however_many_stall() {
    const TENANTS: usize = 8;
    const ROUNDS: u64 = 50;
    const TOTAL: u64 = 64 << 10;
    // A stream keeps its last block, whatever the others hold.
    const LAST_BLOCKS: u64 = TENANTS as u64 * (8 << 10);
    let options = Options {
        tail_total_bytes: TOTAL as usize,
        read_chunk_bytes: 4 << 10,
        ..Options::default()
    };
    let world = world_with(options).await;
    let event = format!(r#"{{"type":"CUSTOM","body":"{}"}}"#, "x".repeat(1_000));
    let tenants: Vec<_> = (0..TENANTS).map(|n| format!("t{n}")).collect();
    let mut readers = Vec::new();
    for tenant in &tenants {
        world.tenant(tenant).await;
        let mut both = Vec::new();
        for _ in 0..2 {
            let mut request = world.request(Start::Latest);
            request.stream = world.stream_of(tenant);
            both.push(world.hub.open_read(&reader(tenant), request).await.unwrap());
        }
        readers.push(both);
    }
    let mut most = 0;
    for round in 0..ROUNDS {
        for (tenant, both) in tenants.iter().zip(&mut readers) {
            let stream = world.stream_of(tenant);
            let draft = world.draft(&[&event, &event, &event]);
            world.hub.publish(&publisher(tenant), &stream, draft).await.unwrap();
            crate::world::offsets(&mut both[0], 3).await;
            if round == 0 {
                // Both are at the live end before one of them stalls.
                crate::world::offsets(&mut both[1], 3).await;
            }
            most = most.max(world.metric("outflow_tail_bytes"));
        }
    }
    assert!(most > TOTAL / 2, "only {most} bytes were held: the bound was not met");
    assert!(most <= TOTAL + LAST_BLOCKS, "{most} bytes were held");
    for both in &mut readers {
        let missed = 3 * (ROUNDS as usize - 1);
        let offsets = crate::world::offsets(&mut both[1], missed).await;
        assert!(offsets.into_iter().eq((3..3 * ROUNDS).map(|n| FIRST.plus(n))));
    }
    drop(readers);
    let freed = async {
        while world.metric("outflow_tail_bytes") > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.expect("nobody is left to hold for");
}
