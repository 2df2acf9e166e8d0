//! The OpenAPI document is served and complete. That it is true to the routes' descriptions is a
//! test of its own module.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use crate::stage::Stage;

/// The document in the repository.
const TEXT: &str = include_str!("../../openapi.json");

#[tokio::test]
async fn the_document_is_served_to_anyone() {
    let stage = Stage::new().await;
    let served = stage.call(Method::GET, "/v1/openapi.json", None, "").await;
    assert_eq!(served.status, 200);
    assert_eq!(String::from_utf8(served.bytes).unwrap(), TEXT);
}

/// Every method of every described path that this crate serves, as (method, path, operation id).
pub(crate) fn operations() -> Vec<(Method, String, String)> {
    let document: Value = serde_json::from_str(TEXT).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            // Described here for all of the server, served by `face-ndjson`, `face-sse` and `face-ingest`.
            let tag = operation["tags"][0].as_str().unwrap();
            if ["reading", "feeds"].contains(&tag) || path.starts_with("/stream/") {
                continue;
            }
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.push((method, path.clone(), id));
        }
    }
    assert!(operations.len() >= 27, "{operations:?}");
    operations
}

#[tokio::test]
async fn every_route_is_in_the_document_and_every_description_is_a_route() {
    let stage = Stage::new().await;
    let described: BTreeSet<(String, String)> =
        operations().into_iter().map(|(method, path, _)| (method.to_string(), path)).collect();
    let paths: BTreeSet<&String> = described.iter().map(|(_, path)| path).collect();
    for path in paths {
        let uri = path.replace(['{', '}'], "");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = stage.call(method.clone(), &uri, None, "").await;
            let is_described = described.contains(&(method.to_string(), path.clone()));
            assert_eq!(answer.status != 405, is_described, "{method} {path}: {answer:?}");
            assert_ne!(answer.json()["detail"], "there is no such route", "{method} {path}");
        }
    }
}

#[test]
fn operations_have_names_of_their_own_and_say_how_they_fail() {
    let document: Value = serde_json::from_str(TEXT).unwrap();
    let names: BTreeSet<_> = operations().into_iter().map(|(_, _, name)| name).collect();
    assert_eq!(names.len(), operations().len());
    for (method, path, _) in operations() {
        let operation = &document["paths"][&path][method.as_str().to_lowercase()];
        if operation["tags"][0] == "oauth2" {
            assert!(operation["responses"]["400"].is_object(), "{method} {path}");
            continue;
        }
        let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
        assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem", "{method} {path}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let text = document.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to but not described");
    }
    // Only the answers that create a credential show its secret, and only webhooks take one.
    for (name, schema) in schemas {
        let shows = schema.to_string().contains("\"secret\"");
        let may = matches!(name.as_str(), "IssuedCredential" | "IssuedApiKey" | "IssuedWebhook")
            || matches!(name.as_str(), "NewWebhook" | "WebhookRotation");
        assert_eq!(shows, may, "{name}");
    }
}

#[test]
fn the_routes_that_stream_are_described() {
    let document: Value = serde_json::from_str(TEXT).unwrap();
    let stream = &document["paths"]["/v1/projects/{project}/streams/{stream}/events"];
    assert_eq!(stream["post"]["operationId"], "publish");
    let names: BTreeSet<_> = stream["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    let all = ["project", "stream", "start", "cursor", "follow", "limit", "filters"];
    assert_eq!(names, BTreeSet::from(all));
    for path in ["/api/events", "/api/events/general"] {
        assert_eq!(document["paths"][path]["post"]["tags"][0], "reading", "{path}");
    }
}
