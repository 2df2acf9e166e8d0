//! Users: named or numbered, kept to destinations, gone when they are deleted.

use http::Method;
use serde_json::json;

use crate::stage::Stage;

const USERS: &str = "/v1/projects/acme/users";

#[tokio::test]
async fn a_customer_of_a_feed_is_made_by_its_namespace() {
    let stage = Stage::new().await;
    let body = json!({ "namespace": "yourcompany", "name": "Your Company" });
    let made = stage.operate(Method::POST, USERS, body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let user = made["user"].as_str().unwrap();
    assert!(user.len() == 5 && user.bytes().all(|byte| byte.is_ascii_digit()), "{user}");
    let password = made["secret"].as_str().unwrap();
    assert!(password.len() == 32 && password.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!((&made["kind"], &made["actions"]), (&json!("user"), &json!(["read"])));
    let consume = [
        "queue://*.RTO.yourcompany",
        "queue://Consumer.*.RTO.yourcompany",
        "topic://RTO.yourcompany",
    ];
    assert_eq!((&made["consume"], &made["send"]), (&json!(consume), &json!([])));
    // The password is shown once, and opens nothing here.
    let listed = stage.get(USERS).await;
    assert_eq!(listed.json()["items"][0]["user"], user);
    assert!(!String::from_utf8(listed.bytes).unwrap().contains(password));
    let tried = stage.call(Method::GET, "/v1/projects", Some(password), "").await;
    assert_eq!(tried.status, 401);
    let path = format!("{USERS}/{}", made["id"].as_str().unwrap());
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 204);
    assert_eq!(stage.operate(Method::DELETE, &path, json!({})).await.status, 404);
    assert_eq!(stage.get(USERS).await.json()["items"], json!([]));
}

#[tokio::test]
async fn rights_follow_from_the_destinations() {
    let stage = Stage::new().await;
    for (body, actions) in [
        (json!({ "user": "1" }), json!(["read"])),
        (json!({ "user": "2", "actions": ["read", "publish"] }), json!(["read", "publish"])),
        (json!({ "user": "3", "consume": ["a.>"] }), json!(["read"])),
        (json!({ "user": "4", "send": ["topic://a"] }), json!(["publish"])),
        (json!({ "user": "5", "consume": ["a"], "send": ["b"] }), json!(["read", "publish"])),
    ] {
        let made = stage.operate(Method::POST, USERS, body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["actions"], actions);
    }
    let taken = stage.operate(Method::POST, USERS, json!({ "user": "1" })).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["code"]), (409, &json!("conflict")));
    let elsewhere = "/v1/projects/rival/users";
    assert_eq!(stage.operate(Method::POST, elsewhere, json!({ "user": "1" })).await.status, 201);
    for (body, pointer) in [
        (json!({ "namespace": "a.b" }), Some("/namespace")),
        (json!({ "namespace": "a", "consume": ["b"] }), Some("/namespace")),
        (json!({ "consume": ["a", "b..c"] }), Some("/consume/1")),
        (json!({ "send": [">.a"] }), Some("/send/0")),
        (json!({ "consume": [] }), Some("/consume")),
        (json!({ "actions": [] }), Some("/actions")),
        (json!({ "actions": ["manage"] }), Some("/actions/0")),
        (json!({ "user": "a b" }), None),
    ] {
        let refused = stage.operate(Method::POST, USERS, body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        let place = &refused.json()["errors"][0]["pointer"];
        assert_eq!(place.as_str(), pointer, "{refused:?}");
    }
}

#[tokio::test]
async fn only_who_manages_the_project_sees_its_users() {
    let stage = Stage::new().await;
    let (reader, rival) =
        (stage.key("acme", &["read"]).await, stage.key("rival", &["manage"]).await);
    assert_eq!(stage.call(Method::GET, USERS, Some(&reader), "").await.status, 403);
    assert_eq!(stage.call(Method::GET, USERS, Some(&rival), "").await.status, 404);
}
