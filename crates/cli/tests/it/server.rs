//! Commands against a stub of the server.

use std::collections::HashMap;
use std::process::ExitCode;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::{get, patch, post, put};
use clap::{CommandFactory, Parser};
use outflow_model::Filter;

use crate::arguments::Line;

pub(crate) async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn run(server: &str, line: &str) -> ExitCode {
    run_plain(server, &format!("{line} --project acme")).await
}

/// As [`run`], with no project named.
async fn run_plain(server: &str, line: &str) -> ExitCode {
    let words = format!("outflow {line} --server {server} --data-dir /nowhere");
    let line = Line::try_parse_from(words.split(' ')).unwrap();
    outflow_cli::run(line.command, Line::command()).await
}

#[tokio::test]
async fn exit_codes_say_what_went_wrong() {
    for (status, code) in [(400, 1), (401, 3), (403, 3), (404, 4), (409, 1), (503, 5)] {
        let status = StatusCode::from_u16(status).unwrap();
        let server = serve(Router::new().fallback(move || async move { (status, "{}") })).await;
        assert_eq!(run(&server, "stream list").await, ExitCode::from(code), "{status}");
    }
    assert_eq!(run("http://127.0.0.1:1", "stream list").await, ExitCode::from(5));
    assert_eq!(run("ftp://127.0.0.1", "stream list").await, ExitCode::from(2));
    assert_eq!(run("http://127.0.0.1:1", "project delete acme").await, ExitCode::from(2));
}

#[tokio::test]
async fn publishing_tries_again_while_the_server_is_busy() {
    let path = "/v1/projects/acme/streams/events/events";
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = tries.clone();
    let answer = post(async move |body: String| {
        assert_eq!(body, "{}\n{}");
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return (StatusCode::SERVICE_UNAVAILABLE, "{}");
        }
        (StatusCode::OK, r#"{"count":2,"first":"1","last":"2","duplicates":0}"#)
    });
    let server = serve(Router::new().route(path, answer)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{}\n{}").unwrap();
    let line = format!("publish {}", file.path().display());
    assert_eq!(run(&server, &line).await, ExitCode::SUCCESS);
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_change_that_meets_others_is_tried_again_some_times() {
    for (conflicts, code, tried) in [(2, 0, 3), (u32::MAX, 1, 5)] {
        let tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = tries.clone();
        let answer = patch(async move |body: String| {
            assert_eq!(body, r#"{"name":"Acme"}"#);
            if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < conflicts {
                return (StatusCode::CONFLICT, "{}");
            }
            (StatusCode::OK, r#"{"id":"acme","name":"Acme"}"#)
        });
        let server = serve(Router::new().route("/v1/projects/acme", answer)).await;
        let ended = run_plain(&server, "project update acme --name Acme").await;
        assert_eq!(ended, ExitCode::from(code));
        assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), tried);
    }
}

#[tokio::test]
async fn publishing_looks_its_project_up_again_while_the_server_restarts() {
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = tries.clone();
    let projects = get(async move || {
        if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            return (StatusCode::SERVICE_UNAVAILABLE, "{}");
        }
        (StatusCode::OK, r#"{"items":[{"id":"acme"}],"next":null}"#)
    });
    let answer = post(|| async { r#"{"count":1,"first":"1","last":"1","duplicates":0}"# });
    let app = Router::new()
        .route("/v1/projects", projects)
        .route("/v1/projects/acme/streams/events/events", answer);
    let server = serve(app).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{}").unwrap();
    let line = format!("publish {}", file.path().display());
    assert_eq!(run_plain(&server, &line).await, ExitCode::SUCCESS);
    assert_eq!(tries.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test]
async fn tail_resumes_behind_the_last_event_it_printed() {
    let asked = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = get(async move |uri: axum::http::Uri| {
        let query = uri.query().unwrap_or_default().to_owned();
        let start =
            query.split('&').find_map(|pair| pair.strip_prefix("start=")).unwrap().to_owned();
        seen.lock().push(start.clone());
        let next = start.parse::<u64>().map_or(8, |start| start + 1);
        let line = format!("{{\"id\":\"a\",\"type\":\"T\",\"offset\":\"{next}\"}}\n\n");
        ([("outflow-from", (next - 1).to_string())], line)
    });
    let server =
        serve(Router::new().route("/v1/projects/acme/streams/events/events", answer)).await;
    assert_eq!(run(&server, "tail --count 3 --format line").await, ExitCode::SUCCESS);
    assert_eq!(*asked.lock(), ["latest", "8", "9"]);
}

/// The first answer ends at damage, the second says that it went past it, the third that there is
/// no more.
#[tokio::test]
async fn tail_says_what_damage_it_passed_over() {
    let asked = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = get(async move |uri: axum::http::Uri| {
        let query = uri.query().unwrap_or_default().to_owned();
        let start =
            query.split('&').find_map(|pair| pair.strip_prefix("start=")).unwrap().to_owned();
        seen.lock().push(start.clone());
        let (from, resume, line) = match start.as_str() {
            "earliest" => ("0", "", r#"{"id":"a","type":"T","offset":"1"}"#),
            "1" => ("4", "damaged; start=5", r#"{"id":"b","type":"T","offset":"5"}"#),
            _ => ("5", "", ""),
        };
        ([("outflow-from", from), ("x-outflow-resume", resume)], format!("{line}\n"))
    });
    let server =
        serve(Router::new().route("/v1/projects/acme/streams/events/events", answer)).await;
    let code = run(&server, "tail --from earliest --no-follow --format line").await;
    assert_eq!(code, ExitCode::from(1));
    assert_eq!(*asked.lock(), ["earliest", "1", "5"]);
}

#[tokio::test]
async fn tail_moves_its_cursor_behind_what_it_printed() {
    let cursor = std::sync::Arc::new(parking_lot::Mutex::new(None::<String>));
    let (kept, set) = (cursor.clone(), cursor.clone());
    let answer = get(async move |uri: axum::http::Uri| {
        assert!(uri.query().unwrap().contains("cursor=c1"), "a first answer is by the cursor");
        let from: u64 = kept.lock().as_deref().unwrap_or("6").parse().unwrap();
        let line = |n| format!("{{\"id\":\"a\",\"type\":\"T\",\"offset\":\"{}\"}}\n", from + n);
        ([("outflow-from", from.to_string())], line(1) + &line(2))
    });
    let moved = put(async move |body: String| {
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        *set.lock() = Some(body["offset"].as_str().unwrap().to_owned());
        "{}"
    });
    let base = "/v1/projects/acme/streams/events";
    let routes = Router::new()
        .route(&format!("{base}/events"), answer)
        .route(&format!("{base}/cursors/c1"), moved);
    let server = serve(routes).await;
    for end in ["8", "10"] {
        let line = "tail --cursor c1 --count 2 --format line";
        assert_eq!(run(&server, line).await, ExitCode::SUCCESS);
        assert_eq!(cursor.lock().as_deref(), Some(end), "the next one goes on behind it");
    }
}

#[tokio::test]
async fn a_subscription_is_set_as_said_and_only_that() {
    let path = "/v1/projects/acme/subscriptions/{name}";
    let said = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heard = said.clone();
    let answer = patch(async move |body: String| {
        heard.lock().push(body);
        (StatusCode::OK, r#"{"name":"queue:orders"}"#)
    });
    let server = serve(Router::new().route(path, answer)).await;
    let set = "subscription set queue:orders";
    for line in [
        "--max-deliveries 5 --max-age 30d --exclusive true",
        "--max-deliveries none --dead-letter none --max-age none --idle-expiry 90d",
    ] {
        assert_eq!(run(&server, &format!("{set} {line}")).await, ExitCode::SUCCESS, "{line}");
    }
    assert_eq!(
        *said.lock(),
        [
            r#"{"exclusive":true,"max_age_ms":2592000000,"max_deliveries":5}"#,
            r#"{"dead_letter":null,"idle_expiry_ms":7776000000,"max_age_ms":null,"max_deliveries":null}"#,
        ]
    );
}

/// What there is no option for, or what was not said, is not undone by a change of something else.
#[tokio::test]
async fn a_webhook_that_is_there_keeps_the_settings_that_are_not_given() {
    let path = "/v1/projects/acme/integrations/warehouse/webhook";
    let known = r#"{"url":"https://a.example/","stream":"events","batch":100,"lanes":4,"gzip":true,
        "filters":[{"types":["A"]}],"style":"stripe","headers":["a"],"retry_pauses_ms":[50],
        "timeout_ms":5000,"disable_after_s":60,"paused":true,"state":"paused"}"#;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a secret\n").unwrap();
    let with_secret = format!(" --secret-file {}", secret.path().display());
    let kept = r#"{"batch":100,"disable_after_s":60,"filters":[{"types":["A"]}],"gzip":true,"lanes":4,
        "retry_pauses_ms":[50],"style":"stripe","timeout_ms":5000,"url":"https://b.example/"}"#;
    let changed = r#"{"batch":100,"disable_after_s":60,"filters":null,"gzip":false,"lanes":4,
        "paused":false,"retry_pauses_ms":[50,100],"style":"stripe","timeout_ms":5000,
        "url":"https://b.example/"}"#;
    let bare = r#"{"url":"https://b.example/"}"#;
    let reset = r#"{"batch":1,"gzip":true,"headers":[],"paused":true,"secret":"a secret",
        "url":"https://b.example/"}"#;
    let all_reset = r#"{"headers":[],"paused":false,"url":"https://b.example/"}"#;
    let one_header = r#"{"headers":[["X","1"]],"paused":false,"url":"https://b.example/"}"#;
    for (is_there, options, expected) in [
        (true, "", kept),
        (true, " --gzip=false --filters null --retry-pauses-ms 50,100 --paused=false", changed),
        (false, "", bare),
        (true, &format!(" --reset --batch 1 --gzip --paused{with_secret}"), reset),
        (true, " --reset", all_reset),
        (true, " --reset --header X:1", one_header),
    ] {
        let (tell, told) = std::sync::mpsc::channel::<String>();
        let show =
            get(
                async move || {
                    if is_there { (StatusCode::OK, known) } else { (StatusCode::NOT_FOUND, "{}") }
                },
            );
        let routes = show.put(async move |body: String| {
            tell.send(body).unwrap();
            "{}"
        });
        let server = serve(Router::new().route(path, routes)).await;
        let line = format!("webhook create warehouse https://b.example/{options}");
        assert_eq!(run(&server, &line).await, ExitCode::SUCCESS, "{options}");
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(parse(&told.recv().unwrap()), parse(expected), "{options}");
    }
}

/// The words of a line as a shell takes them: what is between apostrophes is one.
fn shell_words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[tokio::test]
async fn the_filters_of_the_examples_of_tail_are_taken_by_the_server() {
    // Does with the filter what the server does, and then says that there is no such stream.
    let answer = |Query(query): Query<HashMap<String, String>>| async move {
        let read = query.get("filters").map(|text| Filter::parse_any_types(text.as_bytes()));
        match read {
            Some(Err(error)) => (StatusCode::BAD_REQUEST, error.to_string()),
            _ => (StatusCode::NOT_FOUND, String::new()),
        }
    };
    let server = serve(Router::new().fallback(answer)).await;
    let mut line = Line::command();
    let help = line.find_subcommand_mut("tail").unwrap().render_long_help().to_string();
    let examples: Vec<_> = help
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("outflow tail") && line.contains("--filter"))
        .collect();
    assert!(!examples.is_empty(), "{help}");
    for example in examples {
        let mut words = shell_words(example);
        let more = ["--server", &server, "--project", "acme", "--data-dir", "/nowhere"];
        words.extend(more.map(str::to_owned));
        let line = Line::try_parse_from(words).unwrap();
        let code = outflow_cli::run(line.command, Line::command()).await;
        assert_eq!(code, ExitCode::from(4), "{example}");
    }
}
