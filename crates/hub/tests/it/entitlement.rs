//! Who sees which types.

use std::collections::BTreeSet;

use outflow_hub::{CloseReason, Integration, ReadError, Start};
use outflow_model::{Action, Grant};

use crate::world::{World, closed, filter, grant, integration, lines, reader, token, world};

const ALL: [&str; 4] = [
    r#"{"type":"CUSTOM"}"#,
    r#"{"type":"LOCATION"}"#,
    r#"{"type":"COMPLIANCE"}"#,
    r#"{"type":"OPEN"}"#,
];

async fn sees(
    world: &World,
    grant: &Grant,
    only: Option<&'static str>,
    count: usize,
) -> Vec<String> {
    let mut request = world.request(Start::Earliest);
    request.only_type = only;
    let mut session = world.hub.open_read(grant, request).await.unwrap();
    let all = lines(&mut session, count).await;
    let of = |line: &String| line.split('"').nth(7).unwrap().to_owned();
    all.iter().map(of).collect()
}

#[tokio::test]
async fn switches_and_types_decide_what_is_seen() {
    let world = world().await;
    world.publish(&ALL).await;
    let types =
        |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>());
    let base = integration("p");
    let cases: [(Integration, &[&str]); 5] = [
        (base.clone(), &["CUSTOM", "OPEN"]),
        (Integration { send_location: true, ..base.clone() }, &["CUSTOM", "LOCATION", "OPEN"]),
        (Integration { compliance: true, ..base.clone() }, &["CUSTOM", "COMPLIANCE", "OPEN"]),
        (Integration { event_types: types(&["OPEN"]), ..base.clone() }, &["OPEN"]),
        (
            Integration { event_types: types(&["OPEN", "LOCATION"]), send_location: true, ..base },
            &["LOCATION", "OPEN"],
        ),
    ];
    for (integration, expected) in cases {
        world.hub.update_integration(integration.clone()).await.unwrap();
        assert_eq!(
            sees(&world, &token("p"), None, expected.len()).await,
            expected,
            "{integration:?}"
        );
    }
    let expected = ["CUSTOM", "LOCATION", "OPEN"];
    assert_eq!(sees(&world, &reader("p"), None, 3).await, expected);
    let both = grant("p", false, &[Action::Read, Action::Compliance]);
    assert_eq!(sees(&world, &both, None, 4).await.len(), 4);
    assert_eq!(sees(&world, &both, Some("COMPLIANCE"), 1).await, ["COMPLIANCE"]);
    let master = grant("p", false, &[Action::Compliance]);
    assert_eq!(sees(&world, &master, Some("COMPLIANCE"), 1).await, ["COMPLIANCE"]);
    let refused = world.hub.open_read(&master, world.request(Start::Earliest)).await;
    assert_eq!(refused.unwrap_err(), ReadError::Forbidden);
}

#[tokio::test]
async fn naming_a_type_beyond_it_is_refused_in_the_words_clients_match() {
    let world = world().await;
    let mut request = world.request(Start::Earliest);
    request.filter = filter(r#"[{"types":["location","OPEN"]},{"types":["COMPLIANCE"]}]"#);
    let error = world.hub.open_read(&token("p"), request).await.unwrap_err();
    let words = "Requested event types to which client is not entitled COMPLIANCE,LOCATION";
    assert_eq!(error.to_string(), words);
    let mut request = world.request(Start::Earliest);
    request.only_type = Some("COMPLIANCE");
    assert_eq!(world.hub.open_read(&token("p"), request).await.unwrap_err(), ReadError::Forbidden);
}

#[tokio::test]
async fn a_narrowed_integration_ends_reads_that_see_too_much() {
    let world = world().await;
    world
        .hub
        .update_integration(Integration { send_location: true, ..integration("p") })
        .await
        .unwrap();
    let mut session = world.hub.open_read(&token("p"), world.request(Start::Latest)).await.unwrap();
    world.hub.update_integration(integration("p")).await.unwrap();
    assert_eq!(closed(&mut session).await, CloseReason::Revoked);
}
