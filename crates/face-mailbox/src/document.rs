//! `/Events/openapi.json`: the OpenAPI 3.1 document of both grammars.
//!
//! Written from one table, because the routes are read by [`crate::wire`] and not by a router that
//! could be asked. A test asks [`crate::wire`] for every operation of it. Needs no credential.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// The document as text, made once.
static TEXT: LazyLock<String> = LazyLock::new(|| openapi().to_string());

const DESCRIPTION: &str = "A mailbox receives a company's topics. Register a subscriber, Subscribe it to topics, \
    then Peek (which waits for a message), Receive (which locks it) and Confirm (which removes it), over and over. \
    Two grammars lead to the same calls; paths and names count in any case. Errors are `{\"ServiceResult\":{\"Code\",\"Message\"}}`, \
    or problem documents (RFC 9457) where `Accept` asks for `application/problem+json`.";

/// One operation.
struct Operation {
    path: &'static str,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Names as in [`parameter`]; those that must be there first, then `|`, then the others.
    parameters: &'static str,
    answer: &'static str,
}

const fn operation(
    path: &'static str,
    method: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { path, method, id, summary, parameters, answer }
}

const OPERATIONS: &[Operation] = &[
    operation(
        "/Events/Register",
        "post",
        "register",
        "Make a subscriber, or find it again by its name.",
        "subscriberName",
        "Subscriber",
    ),
    operation(
        "/Events/Unregister",
        "delete",
        "unregister",
        "Delete a subscriber with its mailbox.",
        "subscriberId",
        "Subscriber",
    ),
    operation(
        "/Events/Subscribe",
        "post",
        "subscribe",
        "Receive a topic from now on.",
        "subscriberId companyCode topic|strictOrder",
        "Subscription",
    ),
    operation(
        "/Events/Unsubscribe",
        "delete",
        "unsubscribe",
        "Receive a topic no longer; its messages are removed.",
        "subscriberId companyCode topic",
        "Subscription",
    ),
    operation(
        "/Events/Peek",
        "get",
        "peek",
        "Wait for a message and see which is next; `NextMessageId` is null when none came in time.",
        "subscriberId|timeout",
        "Peek",
    ),
    operation(
        "/Events/Receive",
        "post",
        "receive",
        "Lock a message and get it. 409 while another holds it, 404 once it is confirmed.",
        "subscriberId messageId|lockTimeout",
        "Message",
    ),
    operation(
        "/Events/Confirm",
        "delete",
        "confirm",
        "Remove a message for good; durable when answered, and answered alike when repeated.",
        "subscriberId messageId|lockId",
        "Confirmation",
    ),
    operation(
        "/Events/Renew",
        "post",
        "renew",
        "Hold a lock for longer, from now.",
        "subscriberId messageId lockId|lockTimeout",
        "Lock",
    ),
    operation(
        "/Events/Release",
        "post",
        "release",
        "Give a lock back; the message is next again.",
        "subscriberId messageId lockId",
        "Confirmation",
    ),
    operation(
        "/Events/ViewSubscriptions",
        "get",
        "view_subscriptions",
        "List a mailbox's topics, and how it stands.",
        "subscriberId",
        "Mailbox",
    ),
    operation(
        "/Events/ViewTopics",
        "get",
        "view_topics",
        "List the topics.",
        "|companyCode",
        "Topics",
    ),
    operation(
        "/Events/Publish",
        "put",
        "publish",
        "Publish the JSON body as a message.",
        "companyCode topic",
        "Confirmation",
    ),
    operation(
        "/Subscribers/{subscriberName}",
        "post",
        "register_2",
        "As Register; 201 when new.",
        "subscriberName",
        "Subscriber",
    ),
    operation(
        "/Subscribers/{subscriberId}",
        "delete",
        "unregister_2",
        "As Unregister.",
        "subscriberId",
        "Subscriber",
    ),
    operation(
        "/Subscriptions/{subscriberId}/{topic}",
        "put",
        "subscribe_2",
        "As Subscribe; 201 when new. The company may be left out where one alone has the topic.",
        "subscriberId topic|companyCode strictOrder",
        "Subscription",
    ),
    operation(
        "/Subscriptions/{subscriberId}/{topic}",
        "delete",
        "unsubscribe_2",
        "As Unsubscribe.",
        "subscriberId topic|companyCode",
        "Subscription",
    ),
    operation(
        "/Subscriptions/{subscriberId}",
        "get",
        "view_subscriptions_2",
        "As ViewSubscriptions.",
        "subscriberId",
        "Mailbox",
    ),
    operation(
        "/Messages/{subscriberId}",
        "get",
        "take_2",
        "Wait for a message and get it, locked only if `lockTimeout` is given; 204 when none came.",
        "subscriberId|timeout lockTimeout",
        "Message",
    ),
    operation(
        "/Messages/{subscriberId}/{messageId}",
        "delete",
        "confirm_2",
        "As Confirm.",
        "subscriberId messageId|lockId",
        "Confirmation",
    ),
    operation(
        "/Messages/{topic}",
        "put",
        "publish_2",
        "As Publish, answered 201.",
        "topic|companyCode",
        "Confirmation",
    ),
];

/// The document as text.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

/// The document.
#[must_use]
pub fn openapi() -> Value {
    let mut paths = Map::new();
    for one in OPERATIONS {
        let item = paths.entry(one.path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(one.method.to_owned(), described(one));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Outflow: mailboxes",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        },
        "security": [{"bearer": []}, {"basic": []}, {"key": [], "secret": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "key": {"type": "apiKey", "in": "header", "name": "ClientKey"},
                "secret": {"type": "apiKey", "in": "header", "name": "HMAC"},
            },
        },
    })
}

fn described(one: &Operation) -> Value {
    let (needed, others) = one.parameters.split_once('|').unwrap_or((one.parameters, ""));
    let named = |names: &'static str, is_needed| {
        names.split(' ').filter(|name| !name.is_empty()).map(move |name| (name, is_needed))
    };
    let parameters: Vec<Value> = named(needed, true)
        .chain(named(others, false))
        .map(|(name, is_needed)| {
            let is_in_path = one.path.contains(&format!("{{{name}}}"));
            json!({
                "name": name,
                "in": if is_in_path { "path" } else { "query" },
                "required": is_needed,
                "schema": parameter(name),
            })
        })
        .collect();
    let content = |schema: &str| json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    let mut described = json!({
        "operationId": one.id,
        "summary": one.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Well.", "content": content(one.answer)},
            "default": {"description": "What went wrong.", "content": content("Failure")},
        },
    });
    if one.id.starts_with("publish")
        && let Some(members) = described.as_object_mut()
    {
        let body = json!({"required": true, "content": {"application/json": {"schema": {}}}});
        members.insert("requestBody".to_owned(), body);
    }
    described
}

fn parameter(name: &str) -> Value {
    match name {
        "subscriberName" => json!({"type": "string", "minLength": 1, "maxLength": 200}),
        "subscriberId" | "messageId" | "lockId" => json!({"type": "string", "format": "uuid"}),
        "timeout" => {
            let about = "Seconds to wait; the longest, 90, when absent. A longer time is cut to it, as `ServiceResult` notes.";
            json!({"type": "integer", "minimum": 0, "description": about})
        }
        "lockTimeout" => {
            let about = "Seconds to hold the message; 30 when absent. Longer than the longest is cut to it, as `ServiceResult` notes.";
            json!({"type": "integer", "minimum": 1, "description": about})
        }
        "strictOrder" => {
            let about = "Whether nothing behind a locked message is shown.";
            json!({"type": "boolean", "description": about})
        }
        _ => json!({"type": "string"}),
    }
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let guid = || json!({"type": "string", "format": "uuid"});
    let time = || json!({"type": ["string", "null"], "format": "date-time"});
    let count = || json!({"type": "integer", "minimum": 0});
    let object = |members: Value| {
        let mut members = members;
        if let Some(members) = members.as_object_mut() {
            let result = json!({"type": ["object", "null"], "properties": {"Code": text(), "Message": text()}});
            members.insert("ServiceResult".to_owned(), result);
        }
        json!({"type": "object", "properties": members})
    };
    let topic = json!({"CompanyCode": text(), "Topic": text(), "Description": text(), "TemplateId": {"type": ["string", "null"]}});
    let row = json!({"SubscriberId": guid(), "CompanyCode": text(), "Topic": text()});
    let waiting = json!({
        "SubscriberId": guid(), "CompanyCode": text(), "Topic": text(), "MessageCount": count(),
        "OldestEnqueueTime": time(), "LastPolled": time(),
    });
    json!({
        "Failure": object(json!({})),
        "Subscriber": object(json!({"SubscriberId": guid(), "Name": text()})),
        "Subscription": object(row),
        "Peek": object(json!({
            "MessageCount": count(), "NextMessageId": {"type": ["string", "null"], "format": "uuid"},
            "Topic": {"type": ["string", "null"]}, "CompanyCode": {"type": ["string", "null"]},
        })),
        "Message": object(json!({
            "MessageId": guid(), "LockId": {"type": ["string", "null"], "format": "uuid"}, "Topic": text(), "CompanyCode": text(),
            "MessageType": text(), "MessageBody": {}, "ContentEncoding": text(), "EnqueueTime": time(),
            "DeliveryCount": count(), "LockedUntil": time(), "MessageCount": count(),
        })),
        "Confirmation": object(json!({"MessageId": guid()})),
        "Lock": object(json!({"MessageId": guid(), "LockId": guid(), "LockedUntil": time()})),
        "Mailbox": object(json!({
            "SubscriberId": guid(), "Name": text(), "MessageCount": count(), "LockedCount": count(),
            "OldestEnqueueTime": time(), "LastPolled": time(),
            "Subscriptions": {"type": "array", "items": {"type": "object", "properties": waiting}},
        })),
        "Topics": object(json!({"Topics": {"type": "array", "items": {"type": "object", "properties": topic}}})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Guid, parse};

    #[test]
    fn every_operation_is_a_call_and_has_its_answer_described() {
        let id = Guid::of(1).to_string();
        let document = openapi();
        for one in OPERATIONS {
            let needed = one.parameters.split('|').next().unwrap_or_default();
            let (mut path, mut query) = (one.path.to_owned(), String::new());
            for name in needed.split(' ').filter(|name| !name.is_empty()) {
                let value = if name.ends_with("Id") { id.as_str() } else { "x" };
                if path.contains(&format!("{{{name}}}")) {
                    path = path.replace(&format!("{{{name}}}"), value);
                } else {
                    query.push_str(&format!("&{name}={value}"));
                }
            }
            let method = one.method.to_ascii_uppercase();
            parse(&method, &path, &query).unwrap_or_else(|error| panic!("{}: {error}", one.id));
            assert!(document["components"]["schemas"][one.answer].is_object(), "{}", one.id);
            // Without what is needed there is no call.
            if one.path.starts_with("/Events/") && !needed.is_empty() {
                parse(&method, &path, "").unwrap_err();
            }
        }
    }
}
