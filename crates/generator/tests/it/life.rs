//! The lives of devices hang together, and the mix is near the test server's.

use std::collections::{HashMap, HashSet};

use outflow_generator::EVENT_TYPES;
use serde_json::Value;

use crate::{events, texts};

#[test]
fn the_same_seed_gives_the_same_bytes() {
    assert_eq!(texts(7, 3000), texts(7, 3000));
    assert_ne!(texts(7, 10), texts(8, 10));
}

#[test]
fn every_type_comes_within_a_few_thousand_events() {
    for seed in 0..5 {
        let seen: HashSet<String> = events(seed, 6000)
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect();
        let missing: Vec<_> = EVENT_TYPES.iter().filter(|name| !seen.contains(**name)).collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?}");
    }
}

/// Reference `airship.md` 3.3: of 100 events 18 `UNINSTALL` and so on. A life has one `FIRST_OPEN`
/// and one `UNINSTALL`, so those two are near each other; the newer types take their share.
#[test]
fn the_mix_is_near_the_test_servers() {
    let mut counts = HashMap::new();
    let all = events(3, 40_000);
    for event in &all {
        *counts.entry(event["type"].as_str().unwrap().to_owned()).or_insert(0_usize) += 1;
    }
    for (kind, low, high) in [
        ("UNINSTALL", 6, 18),
        ("LOCATION", 9, 18),
        ("OPEN", 9, 18),
        ("CLOSE", 8, 16),
        ("TAG_CHANGE", 9, 16),
        ("SEND", 8, 15),
        ("FIRST_OPEN", 6, 12),
        ("PUSH_BODY", 2, 6),
        ("CUSTOM", 3, 10),
    ] {
        let percent = counts[kind] * 100 / all.len();
        assert!((low..=high).contains(&percent), "{kind}: {percent} %");
    }
    let named = all.iter().filter(|event| event["user"].get("named_user_id").is_some()).count();
    assert!((2..12).contains(&(named * 100 / all.len())), "{named} have a named user");
}

#[test]
fn sends_share_a_push_and_opens_point_at_sends() {
    let (mut bodies, mut sent) = (HashSet::new(), HashSet::new());
    let (mut opened_by_push, mut most_sends) = (0, HashMap::new());
    for event in events(5, 20_000) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (channel, push) = (text(&event["device"]["channel"]), text(&event["body"]["push_id"]));
        match event["type"].as_str().unwrap() {
            "PUSH_BODY" => assert!(bodies.insert(push)),
            "SEND" => {
                assert!(bodies.contains(&push), "{event}");
                *most_sends.entry(push.clone()).or_insert(0) += 1;
                sent.insert((channel, push));
            }
            "OPEN" | "WEB_SESSION" => {
                if let Some(trigger) = event["body"].get("triggering_push") {
                    assert!(sent.contains(&(channel, text(&trigger["push_id"]))), "{event}");
                    opened_by_push += 1;
                }
            }
            _ => {}
        }
    }
    assert!(opened_by_push > 50, "{opened_by_push}");
    assert!(most_sends.values().any(|&sends| sends > 2));
}

#[test]
fn an_app_is_opened_before_it_is_used_and_silent_once_removed() {
    let (mut known, mut open, mut gone) = (HashSet::new(), HashMap::new(), HashSet::new());
    for event in events(9, 20_000) {
        let device = &event["device"];
        if !matches!(device["device_type"].as_str(), Some("IOS" | "ANDROID" | "AMAZON")) {
            continue;
        }
        let channel = device["channel"].as_str().unwrap().to_owned();
        let session = event["body"]["session_id"].as_str().map(ToOwned::to_owned);
        assert!(!gone.contains(&channel), "{event}");
        match event["type"].as_str().unwrap() {
            "FIRST_OPEN" => assert!(known.insert(channel)),
            "OPEN" => drop(open.insert(channel, session)),
            "CLOSE" => assert_eq!(open.remove(&channel), Some(session), "{event}"),
            "UNINSTALL" => drop(gone.insert(channel)),
            "LOCATION" | "SCREEN_VIEWED" => {
                assert_eq!(open.get(&channel), Some(&session), "{event}");
            }
            _ => assert!(known.contains(&channel), "{event}"),
        }
    }
    assert!(gone.len() > 100);
}
