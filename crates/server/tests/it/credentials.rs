//! Projects, integrations and all that opens them, by the client commands.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::desk::{Desk, ended, text};
use crate::reader::{NAME, client};

/// Longest wait for what a revocation ends.
const PATIENCE: Duration = Duration::from_secs(10);

/// The id that a new credential's message names.
fn id(said: &str) -> String {
    let (_, id) = said.split_once("This is credential ").expect(said);
    assert!(said.contains("it is not shown again"), "{said}");
    id.split('.').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projects_and_integrations_are_made_changed_and_removed() {
    let mut desk = Desk::open(0).await;
    // The only project needs no name; of two, one does.
    assert_eq!(desk.json("outflow project list").await[0]["id"], NAME);
    desk.done("outflow stream list").await;
    desk.enter("acme").await;
    let of_two = desk.refused("OUTFLOW_PROJECT= outflow stream list", 2).await;
    assert!(of_two.contains("--project ID"), "{of_two}");
    let changed = desk.changed("project", "acme", "--name 'Acme Ltd' --connections 50").await;
    assert_eq!(
        (&changed["name"], &changed["limits"]["connections"]),
        (&json!("Acme Ltd"), &json!(50))
    );
    let shown = desk.done("outflow project show acme").await;
    assert!(shown.contains("limits.connections  50\n"), "{shown}");
    let again = desk.refused("outflow project create acme", 1).await;
    assert!(again.contains("(status 409)"), "{again}");

    let made = "outflow integration create warehouse --name Warehouse --types OPEN,CUSTOM";
    assert_eq!(desk.json(made).await["event_types"], json!(["CUSTOM", "OPEN"]));
    let changes = "--types all --max-connections 2";
    let changed = desk.changed("integration", "warehouse", changes).await;
    assert_eq!((&changed["event_types"], &changed["max_connections"]), (&json!(null), &json!(2)));
    let table = desk.done("outflow integration list").await;
    assert!(table.starts_with("ID ") && table.contains("\nwarehouse  Warehouse"), "{table}");

    desk.deleted("integration", "warehouse").await;
    desk.deleted("project", "acme").await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_reads_until_it_is_revoked() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    desk.done("outflow integration create warehouse").await;
    let new = "outflow token create --integration warehouse --name loader-1 > token";
    let made = desk.run(new).await;
    assert_eq!((made.code, made.stdout.as_str()), (0, ""), "{}", made.stderr);
    let (id, token) = (id(&made.stderr), desk.read("token"));
    assert_eq!(token.lines().count(), 1, "the secret alone");
    let listed = desk.done("outflow token list --integration warehouse").await;
    assert!(listed.contains(&id) && !listed.contains(token.trim()), "{listed}");

    desk.done(r#"echo '{"type":"CUSTOM","body":1.10}' | outflow publish"#).await;
    let mut tail = desk.start("outflow tail --from earliest --token-file token");
    let mut printed = BufReader::new(tail.stdout.take().unwrap()).lines();
    let first = timeout(PATIENCE, printed.next_line()).await.unwrap().unwrap().unwrap();
    assert!(first.contains(r#""body":1.10"#), "{first}");
    desk.done(&format!("outflow token revoke --integration warehouse {id}")).await;
    let over = timeout(PATIENCE, tail.wait_with_output()).await.expect("it ends with its token");
    assert_eq!(ended(over.unwrap()).code, 3);
    let said = desk.refused("outflow tail --token-file token --no-follow", 3).await;
    assert!(said.contains("give a token with --token-file"), "{said}");
    desk.refused(&format!("outflow token revoke --integration warehouse {id}"), 4).await;
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_does_what_it_is_made_for() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    desk.done("outflow stream create orders").await;
    let made =
        desk.run("outflow key create --can publish --streams orders --name shop > key").await;
    let key = id(&made.stderr);
    let publish = "echo '{\"body\":1}' | outflow publish --token-file key";
    desk.done(&format!("{publish} --stream orders")).await;
    desk.refused(&format!("{publish} --stream events"), 4).await;
    desk.refused("outflow tail orders --token-file key --no-follow", 3).await;
    let listed = desk.json("outflow key list").await;
    let shop = listed.as_array().unwrap().iter().find(|one| one["id"] == key.as_str()).unwrap();
    assert_eq!((&shop["actions"], &shop["streams"]), (&json!(["publish"]), &json!(["orders"])));
    assert!(desk.read("key").trim().ends_with(text(shop, "last4")));
    desk.done(&format!("outflow key revoke {key}")).await;
    desk.refused(&format!("{publish} --stream orders"), 3).await;
    assert_eq!(text(&desk.json("outflow key create --master").await, "kind"), "master");
    let useless = desk.refused("outflow key create", 2).await;
    assert!(useless.contains("--can"), "{useless}");

    let made = desk.run("outflow operator create --name night-shift > operator").await;
    let operator = id(&made.stderr);
    desk.done("outflow project list --token-file operator").await;
    desk.done(&format!("outflow operator revoke {operator}")).await;
    desk.refused("outflow project list --token-file operator", 3).await;
    assert_eq!(desk.json("outflow operator list").await.as_array().unwrap().len(), 1);

    let made =
        desk.run("outflow user create --user 31337 --namespace yourcompany > password").await;
    assert!(made.stderr.contains("The user is 31337"), "{}", made.stderr);
    let user = &desk.json("outflow user list").await[0];
    assert_eq!((text(user, "user"), text(user, "id")), ("31337", id(&made.stderr).as_str()));
    let wide = desk.run("outflow user create --can read,publish").await;
    assert!(wide.stderr.contains("reaches all"), "{}", wide.stderr);
    desk.done(&format!("outflow user delete {}", text(user, "id"))).await;
    assert_eq!(desk.json("outflow user list").await.as_array().unwrap().len(), 1);
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_keys_tokens_end_as_it_is_rotated_and_revoked() {
    let mut desk = Desk::open(0).await;
    desk.enter("acme").await;
    let made =
        desk.json("outflow api-key create --scope events:publish,events:read --name shop").await;
    let (id, secret) = (text(&made, "id").to_owned(), text(&made, "secret").to_owned());
    assert_eq!((&made["generation"], &made["deposed_until"]), (&json!(1), &json!(null)));
    desk.done(&format!("outflow api-key token {id} --days 90 > old")).await;
    assert_eq!(desk.read("old").trim().split('.').count(), 3, "a JWT");
    let narrow = desk.json(&format!("outflow api-key token {id} --scope events:read")).await;
    assert_eq!(narrow["scopes"], json!(["events:read"]));
    desk.write("narrow", text(&narrow, "access_token"));
    let publish =
        |token: &str| format!("echo '{{\"body\":1}}' | outflow publish --token-file {token}");
    desk.done(&publish("old")).await;
    desk.refused(&publish("narrow"), 3).await;
    desk.done("outflow tail --from earliest --no-follow --token-file narrow").await;

    // The secret is what OAuth's client credentials are.
    let url = desk.server().url("/oauth2/token");
    let form = "grant_type=client_credentials";
    let request =
        || client().post(&url).header("content-type", "application/x-www-form-urlencoded");
    let answer = request().basic_auth(&id, Some(&secret)).body(form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());

    let rotated = desk.done(&format!("outflow api-key rotate {id}")).await;
    assert_ne!(rotated.trim(), secret);
    assert!(desk.json("outflow api-key list").await[0]["deposed_until"].is_string());
    desk.done(&format!("outflow api-key token {id} > new")).await;
    for token in ["old", "new"] {
        desk.done(&publish(token)).await;
    }
    assert_eq!(desk.done(&format!("outflow api-key revoke {id} old")).await, "");
    desk.refused(&publish("old"), 3).await;
    desk.done(&publish("new")).await;
    let replaced = desk.done(&format!("outflow api-key revoke {id} all")).await;
    assert_ne!(replaced, rotated);
    desk.refused(&publish("new"), 3).await;
    desk.deleted("api-key", &id).await;
    desk.close().await;
}
