//! The client's loop: Register, Subscribe, Peek, Receive, Confirm, and what may go wrong in it.

use outflow_face_mailbox::{Options, SubscribeStatus};
use serde_json::json;

use crate::stand::Stand;

#[tokio::test]
async fn the_seeds_call_order() {
    let stand = Stand::new().await;
    let said = stand.ask("POST", "/Events/Register?subscriberName=subscriber1").await.good();
    let id = said["SubscriberId"].as_str().unwrap().to_owned();
    assert_eq!(said, json!({"SubscriberId": id, "Name": "subscriber1", "ServiceResult": null}),);
    let said = stand.call("POST", "Subscribe", &id, "&topic=INVOICES&companyCode=AA").await;
    assert_eq!(said.status, 200);
    assert_eq!(said.head.field("cache-control"), Some("no-store"));
    let row = json!({"SubscriberId": id, "Topic": "INVOICES", "CompanyCode": "AA", "ServiceResult": null});
    assert_eq!(said.body, row);

    let body = r#"{"TID":"TID-002","InnerBody":{"Value":1.10,"Value":2}}"#;
    let published = stand.publish("INVOICES", body).await;
    let said = stand.call("GET", "Peek", &id, "&timeout=10").await.good();
    assert_eq!(said["MessageCount"], 1);
    assert_eq!(said["NextMessageId"], published, "a publisher's id is the receiver's");
    assert_eq!(said["ServiceResult"], json!(null));

    let said = stand.receive(&id, &published, 30).await.good();
    assert_eq!(said["MessageBody"]["TID"], "TID-002");
    for (member, value) in [
        ("Topic", json!("INVOICES")),
        ("CompanyCode", json!("AA")),
        ("MessageType", json!("ITASMessage")),
        ("EnqueueTime", json!("2026-01-01T00:00:00.000Z")),
        ("LockedUntil", json!("2026-01-01T00:00:30.000Z")),
        ("DeliveryCount", json!(1)),
        ("ServiceResult", json!(null)),
    ] {
        assert_eq!(said[member], value, "{member}");
    }
    let lock = said["LockId"].as_str().unwrap();
    let said = stand.confirm(&id, &published, lock).await.good();
    assert_eq!(said, json!({"MessageId": published, "ServiceResult": null}));
    assert_eq!(stand.next(&id).await, None);
}

#[tokio::test]
async fn a_message_over_several_lines_is_kept_byte_for_byte() {
    let stand = Stand::new().await;
    let id = stand.subscriber("lines", &["INVOICES"]).await;
    for body in ["{\n  \"a\": 1.10,\r\n  \"a\": [ ]\n}", " [1,\n 2]\n", "{\"a\":  1}"] {
        let message = stand.publish("INVOICES", body).await;
        let got = stand.receive(&id, &message, 30).await;
        let expected = format!("\"MessageBody\":{},\"", body.trim());
        assert!(got.text.contains(&expected), "{} in {}", expected, got.text);
        stand.call("DELETE", "Confirm", &id, &format!("&messageId={message}")).await.good();
    }
    let more = format!("Authorization: Bearer {}\r\n", stand.token);
    let target = "/Events/Publish?companyCode=AA&topic=INVOICES";
    for bad in ["{\n\"a\":}", "{}\n{}", "text\n"] {
        let refused = stand.ask_as("PUT", target, &more, bad).await;
        assert_eq!(refused.fault(), (400, "BadRequest"), "{bad}");
    }
}

#[tokio::test]
async fn parameters_may_stand_in_the_body() {
    let stand = Stand::new().await;
    let as_form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let as_json = "Content-Type: application/json\r\n";
    let login = format!("Authorization: Bearer {}\r\n", stand.token);
    let ask = async |call: &str, kind: &str, body: &str| {
        let more = format!("{login}{kind}");
        stand.ask_as("POST", &format!("/Events/{call}"), &more, body).await
    };
    let id = stand.subscriber("in+the+query", &[]).await;
    let said = ask("Register", as_form, "subscriberNAME=in+the%20query").await.good();
    assert_eq!(said["SubscriberId"], id);
    let said = ask("register", as_json, r#"{"SubscriberName": "in the query"}"#).await.good();
    assert_eq!(said["SubscriberId"], id);
    // curl says that it sends a form, whatever it sends.
    let said = ask("Register", as_form, r#"{"subscribername": "in the query"}"#).await.good();
    assert_eq!(said["SubscriberId"], id);
    let form = format!("subscriberId={id}&companyCode=AA&topic=INVOICES");
    ask("Subscribe", as_form, &form).await.good();
    let json = format!(r#"{{"SubscriberId":"{id}","Topic":"PAYMENTS","StrictOrder":true}}"#);
    ask("Subscribe?companyCode=AA", as_json, &json).await.good();
    let seen = stand.call("GET", "ViewSubscriptions", &id, "").await.good();
    assert_eq!(seen["Subscriptions"].as_array().unwrap().len(), 2);
    // What is neither says nothing, and what is both is refused.
    let call = format!("Subscribe?{form}");
    for nothing in ["null", "\"x\"", "<a b=\"c\"/>", "{}", "[1]"] {
        ask(&call, as_json, nothing).await.good();
    }
    for (body, what) in [
        (r#"{"topic":"PAYMENTS"}"#, "given twice"),
        ("topic=PAYMENTS", "given twice"),
        (r#"{"topic"#, "no JSON"),
        (r#"{"strictOrder":[]}"#, "no switch"),
    ] {
        assert_eq!(ask(&call, as_json, body).await.fault(), (400, "BadRequest"), "{what}");
    }
    let large = format!("x={}", "y".repeat(70_000));
    assert_eq!(ask(&call, as_form, &large).await.status, 413);
    // The body of a Publish is the message, whatever it says.
    let message = r#"{"companyCode":"AA","topic":"INVOICES"}"#;
    let said = stand.ask_as("PUT", "/Events/Publish", &login, message).await;
    assert_eq!(said.fault(), (400, "BadRequest"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_subscribed_to_while_another_topic_is_left_stays() {
    let stand = std::sync::Arc::new(Stand::new().await);
    let id = stand.subscriber("hasty", &[]).await;
    let topic = |name: &str| format!("&companyCode=AA&topic={name}");
    for round in 0..200 {
        let (left, taken) =
            if round % 2 == 0 { ("INVOICES", "PAYMENTS") } else { ("PAYMENTS", "INVOICES") };
        stand.call("POST", "Subscribe", &id, &topic(left)).await.good();
        let (leaves, takes) = (topic(left), topic(taken));
        let tasks = [("DELETE", "Unsubscribe", leaves), ("POST", "Subscribe", takes)].map(
            |(method, call, rest)| {
                let (stand, id) = (stand.clone(), id.clone());
                tokio::spawn(async move { stand.call(method, call, &id, &rest).await.status })
            },
        );
        for task in tasks {
            assert_eq!(task.await.unwrap(), 200, "round {round}");
        }
        let seen = stand.call("GET", "ViewSubscriptions", &id, "").await.good();
        let rows = seen["Subscriptions"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "round {round}: {seen}");
        assert_eq!(rows[0]["Topic"], taken, "round {round}");
    }
}

#[tokio::test]
async fn messages_come_in_the_order_of_publishing_over_all_topics() {
    let stand = Stand::new().await;
    let id = stand.subscriber("orderly", &["INVOICES", "PAYMENTS"]).await;
    let mut sent = Vec::new();
    for n in 0..20 {
        let topic = if n % 3 == 0 { "PAYMENTS" } else { "INVOICES" };
        stand.clock.advance(1);
        sent.push(stand.publish(topic, &format!("{n}")).await);
    }
    let mut found = Vec::new();
    while let Some(message) = stand.next(&id).await {
        let got = stand.receive(&id, &message, 30).await.good();
        stand.confirm(&id, &message, got["LockId"].as_str().unwrap()).await.good();
        found.push(message);
    }
    assert_eq!(found, sent);
}

#[tokio::test]
async fn a_repeated_confirm_is_answered_as_the_first() {
    let stand = Stand::new().await;
    let id = stand.subscriber("again", &["INVOICES"]).await;
    let message = stand.publish("INVOICES", "{}").await;
    let got = stand.receive(&id, &message, 30).await.good();
    let lock = got["LockId"].as_str().unwrap();
    let first = stand.confirm(&id, &message, lock).await.good();
    for _ in 0..3 {
        assert_eq!(stand.confirm(&id, &message, lock).await.good(), first);
    }
    // Long after, and without a lock, as a client of the first version repeats it.
    stand.pass(23 * 3600).await;
    let rest = format!("&messageId={message}");
    assert_eq!(stand.call("DELETE", "Confirm", &id, &rest).await.good(), first);
    assert_eq!(stand.metric("mailbox_confirms_repeated_total"), 4);
    let gone = stand.receive(&id, &message, 30).await;
    assert_eq!(gone.fault(), (404, "NotFound"));
}

#[tokio::test]
async fn the_vendors_confirm_names_no_lock() {
    let stand = Stand::new().await;
    let id = stand.subscriber("lockless", &["INVOICES"]).await;
    for _ in 0..2 {
        stand.publish("INVOICES", "{}").await;
    }
    let rest = |message: &str| format!("&messageId={message}");
    let locked = stand.next(&id).await.unwrap();
    stand.receive(&id, &locked, 30).await.good();
    stand.call("DELETE", "Confirm", &id, &rest(&locked)).await.good();
    let waiting = stand.next(&id).await.unwrap();
    assert_ne!(waiting, locked);
    stand.call("POST", "Confirm", &id, &rest(&waiting)).await.good();
    assert_eq!(stand.next(&id).await, None);

    let strict = Stand::with(Options { require_lock: true, ..Options::default() }).await;
    let id = strict.subscriber("locks", &["INVOICES"]).await;
    let message = strict.publish("INVOICES", "{}").await;
    let refused = strict.call("DELETE", "Confirm", &id, &rest(&message)).await;
    assert_eq!(refused.fault(), (400, "BadRequest"));
}

#[tokio::test]
async fn a_lock_that_ends_puts_the_message_back_in_its_place() {
    let stand = Stand::new().await;
    let id = stand.subscriber("slow", &["INVOICES"]).await;
    let first = stand.publish("INVOICES", "1").await;
    let second = stand.publish("INVOICES", "2").await;
    let got = stand.receive(&id, &first, 10).await.good();
    let stale = got["LockId"].as_str().unwrap();
    assert_eq!(stand.next(&id).await.as_ref(), Some(&second), "what is locked is not shown");
    let busy = stand.receive(&id, &first, 10).await;
    assert_eq!(busy.fault(), (409, "Conflict"));
    assert_eq!(busy.head.field("retry-after"), Some("10"));
    stand.pass(11).await;
    assert_eq!(stand.next(&id).await.as_ref(), Some(&first));
    assert_eq!(stand.confirm(&id, &first, stale).await.fault(), (409, "Conflict"));
    let again = stand.receive(&id, &first, 10).await.good();
    assert_eq!(again["DeliveryCount"], 2);
    // A lock that has ended takes nothing from who has the message now.
    assert_eq!(stand.confirm(&id, &first, stale).await.fault(), (409, "Conflict"));
    assert_eq!(stand.receive(&id, &first, 10).await.fault(), (409, "Conflict"));
    let current = again["LockId"].as_str().unwrap();
    stand.confirm(&id, &first, current).await.good();
    // Nor does it pass for the one that confirmed, and neither does one that was never given.
    assert_eq!(stand.confirm(&id, &first, stale).await.fault(), (409, "Conflict"));
    assert_eq!(stand.confirm(&id, &first, &second).await.fault(), (409, "Conflict"));
    stand.confirm(&id, &first, current).await.good();
    // A lock that a client has lost is not the same as none.
    assert_eq!(stand.confirm(&id, &second, "").await.fault(), (400, "BadRequest"));
    assert_eq!(stand.next(&id).await.as_ref(), Some(&second));
}

#[tokio::test]
async fn locks_are_renewed_and_given_back() {
    let stand = Stand::new().await;
    let id = stand.subscriber("busy", &["INVOICES"]).await;
    let message = stand.publish("INVOICES", "1").await;
    let got = stand.receive(&id, &message, 10).await.good();
    let lock = format!("&messageId={message}&lockId={}", got["LockId"].as_str().unwrap());
    stand.pass(8).await;
    let renewed = stand.call("POST", "Renew", &id, &format!("{lock}&lockTimeout=60")).await.good();
    assert_eq!(renewed["LockedUntil"], "2026-01-01T00:01:08.000Z");
    stand.pass(30).await;
    assert_eq!(stand.next(&id).await, None);
    stand.call("POST", "Release", &id, &lock).await.good();
    assert_eq!(stand.next(&id).await, Some(message));
    for call in ["Release", "Renew"] {
        assert_eq!(stand.call("POST", call, &id, &lock).await.fault(), (409, "Conflict"), "{call}");
    }
}

#[tokio::test]
async fn strict_order_shows_nothing_behind_a_locked_message() {
    let stand = Stand::new().await;
    let id = stand.subscriber("strict", &[]).await;
    let rest = "&companyCode=AA&topic=INVOICES&strictOrder=true";
    stand.call("POST", "Subscribe", &id, rest).await.good();
    let first = stand.publish("INVOICES", "1").await;
    let second = stand.publish("INVOICES", "2").await;
    let got = stand.receive(&id, &first, 30).await.good();
    assert_eq!(stand.next(&id).await, None);
    stand.confirm(&id, &first, got["LockId"].as_str().unwrap()).await.good();
    assert_eq!(stand.next(&id).await, Some(second));
}

#[tokio::test]
async fn a_mailbox_lives_as_long_as_it_is_used() {
    let stand = Stand::new().await;
    let id = stand.subscriber("idle", &["INVOICES"]).await;
    stand.publish("INVOICES", "1").await;
    stand.pass(9 * 86_400).await;
    assert!(stand.next(&id).await.is_some());
    stand.pass(9 * 86_400).await;
    assert!(stand.next(&id).await.is_some(), "it was asked nine days ago");
    stand.pass(11 * 86_400).await;
    let gone = stand.call("GET", "Peek", &id, "&timeout=0").await;
    assert_eq!(gone.fault(), (404, "NotFound"));
    // The subscriber is still known, and begins anew.
    assert_eq!(stand.subscriber("idle", &["INVOICES"]).await, id);
    assert_eq!(stand.next(&id).await, None);
}

#[tokio::test]
async fn topics_come_and_go() {
    let stand = Stand::new().await;
    let id = stand.subscriber("fickle", &["INVOICES", "PAYMENTS", "PAYMENTS"]).await;
    stand.publish("INVOICES", "1").await;
    let kept = stand.publish("PAYMENTS", "2").await;
    let seen = stand.call("GET", "ViewSubscriptions", &id, "").await.good();
    assert_eq!(seen["MessageCount"], 2);
    let topics: Vec<(&str, u64, bool)> = seen["Subscriptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            assert_eq!(one["LastPolled"], seen["LastPolled"]);
            let count = one["MessageCount"].as_u64().unwrap();
            (one["Topic"].as_str().unwrap(), count, one["OldestEnqueueTime"].is_string())
        })
        .collect();
    assert_eq!(topics, [("INVOICES", 1, true), ("PAYMENTS", 1, true)]);
    stand.call("DELETE", "Unsubscribe", &id, "&companyCode=AA&topic=INVOICES").await.good();
    assert_eq!(stand.next(&id).await, Some(kept));
    let twice = stand.call("DELETE", "Unsubscribe", &id, "&companyCode=AA&topic=INVOICES").await;
    assert_eq!(twice.fault(), (404, "NotFound"));
    stand.call("DELETE", "Unsubscribe", &id, "&companyCode=AA&topic=PAYMENTS").await.good();
    assert_eq!(stand.call("GET", "Peek", &id, "&timeout=0").await.fault(), (404, "NotFound"));
    let seen = stand.call("GET", "ViewSubscriptions", &id, "").await.good();
    assert_eq!(seen["Subscriptions"], json!([]));
    stand.call("DELETE", "Unregister", &id, "").await.good();
    assert_eq!(stand.call("GET", "ViewSubscriptions", &id, "").await.fault(), (404, "NotFound"));
}

#[tokio::test]
async fn the_status_of_subscribe_is_the_seeds_or_the_vendors() {
    let options = Options { subscribe_status: SubscribeStatus::Created, ..Options::default() };
    let stand = Stand::with(options).await;
    let id = stand.subscriber("vendor", &[]).await;
    let rest = "&companyCode=AA&topic=INVOICES";
    assert_eq!(stand.call("POST", "Subscribe", &id, rest).await.status, 201);
    assert_eq!(stand.call("POST", "Subscribe", &id, rest).await.status, 200);
}

#[tokio::test]
async fn the_later_grammar_leads_to_the_same_mailbox() {
    let stand = Stand::new().await;
    let said = stand.ask("POST", "/Subscribers/later").await;
    assert_eq!(said.status, 201);
    let id = said.good()["SubscriberId"].as_str().unwrap().to_owned();
    assert_eq!(stand.ask("POST", "/SUBSCRIBERS/later").await.status, 200);
    assert_eq!(stand.subscriber("later", &[]).await, id);
    // Both companies have INVOICES, one alone PAYMENTS.
    let which = stand.ask("PUT", &format!("/Subscriptions/{id}/INVOICES")).await;
    assert_eq!(which.fault(), (400, "BadRequest"));
    assert_eq!(stand.ask("PUT", &format!("/Subscriptions/{id}/PAYMENTS")).await.status, 201);
    let named = format!("/Subscriptions/{id}/INVOICES?companyCode=BB");
    assert_eq!(stand.ask("PUT", &named).await.status, 201);
    assert_eq!(stand.ask("GET", &format!("/Messages/{id}?timeout=0")).await.status, 204);
    let message = stand.publish("PAYMENTS", r#"{"a":1}"#).await;
    let seen = stand.ask("GET", &format!("/Messages/{id}?timeout=10")).await.good();
    assert_eq!(seen["MessageBody"], json!({"a": 1}));
    assert_eq!((&seen["MessageId"], &seen["LockId"]), (&json!(message), &json!(null)));
    assert_eq!(seen["DeliveryCount"], 0);
    assert_eq!(stand.next(&id).await, Some(message.clone()), "a look takes nothing");
    let locked =
        stand.ask("GET", &format!("/Messages/{id}?timeout=10&lockTimeout=30")).await.good();
    assert!(locked["LockId"].is_string());
    assert_eq!(locked["DeliveryCount"], 1, "nor does it count");
    assert_eq!(stand.ask("GET", &format!("/Messages/{id}?timeout=0")).await.status, 204);
    for _ in 0..2 {
        assert_eq!(stand.ask("DELETE", &format!("/Messages/{id}/{message}")).await.status, 200);
    }
    assert_eq!(stand.ask("DELETE", &format!("/Subscriptions/{id}/PAYMENTS")).await.status, 200);
}

#[tokio::test]
async fn topics_are_listed() {
    let stand = Stand::new().await;
    let all = stand.ask("GET", "/Events/ViewTopics").await.good();
    let names: Vec<_> = all["Topics"].as_array().unwrap().iter().map(|one| &one["Topic"]).collect();
    assert_eq!(names, ["INVOICES", "PAYMENTS", "INVOICES"]);
    let one = stand.ask("GET", "/Events/ViewTopics?companyCode=BB").await.good();
    let row = json!({"CompanyCode": "BB", "Topic": "INVOICES", "Description": "TID-002: test", "TemplateId": "TID-002"});
    assert_eq!(one, json!({"Topics": [row], "ServiceResult": null}));
}
