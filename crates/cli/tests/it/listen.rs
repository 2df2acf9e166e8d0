//! `outflow listen` between a stub of the server and a program that verifies what it is sent.

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use clap::{CommandFactory, Parser};
use outflow_model::Timestamp;
use outflow_webhook_wire::signature::{Message, MessageId, Secret, Signer, Style};
use tokio::sync::mpsc;

use crate::arguments::Line;
use crate::server::serve;

const EVENTS: [&str; 2] =
    [r#"{"id":"a","type":"T","offset":"1","n":1.10}"#, r#"{"id":"b","type":"U","offset":"2"}"#];

/// A stream of two events, to which nothing comes.
async fn stub() -> String {
    let answer = get(async |uri: Uri| {
        if !uri.query().unwrap_or_default().contains("start=earliest") {
            std::future::pending::<()>().await;
        }
        ([("outflow-from", "0")], EVENTS.map(|event| format!("{event}\n\n")).concat())
    });
    serve(Router::new().route("/v1/projects/acme/streams/events/events", answer)).await
}

#[tokio::test]
async fn events_are_forwarded_in_order_and_signed_whatever_is_answered() {
    let server = stub().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let receive = post(async move |headers: HeaderMap, body: String| {
        tell.send((headers, body)).unwrap();
        (StatusCode::INTERNAL_SERVER_ERROR, "no\u{1b}[31m")
    });
    let program = serve(Router::new().route("/hook", receive)).await;
    let text = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("{text}\n")).unwrap();
    let line = format!(
        "outflow listen --from earliest --forward-to {program}/hook --secret-file {} \
         --server {server} --project acme --data-dir /nowhere",
        secret.path().display()
    );
    let words = line.split_whitespace();
    let running = outflow_cli::run(Line::try_parse_from(words).unwrap().command, Line::command());
    let signer = Signer::new(Style::Standard, &Secret::new(text.to_owned())).unwrap();
    let verifying = async {
        for (event, id) in EVENTS.into_iter().zip(["msg_1", "msg_2"]) {
            let (headers, body) = told.recv().await.unwrap();
            let said = |name: &str| headers[name].to_str().unwrap().to_owned();
            assert_eq!((body.as_str(), said("webhook-id").as_str()), (event, id));
            assert_eq!(said("content-type"), "application/json; charset=UTF-8");
            let seconds: i64 = said("webhook-timestamp").parse().unwrap();
            let id = MessageId::parse(id).unwrap();
            let at = Timestamp::from_millis(seconds * 1_000);
            let message = Message { id: &id, at, event: None, endpoint: "", body: body.as_bytes() };
            let expected = signer.sign(&message);
            let signature = expected.iter().find(|field| field.name == "webhook-signature");
            assert_eq!(said("webhook-signature"), signature.unwrap().value());
        }
    };
    tokio::select! {
        code = running => panic!("it ended with {code:?}"),
        () = verifying => {}
    }
}

#[tokio::test]
async fn a_secret_that_is_none_and_a_url_that_is_none_are_wrong_usage() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "canary").unwrap();
    let of_file =
        format!("--forward-to http://127.0.0.1:1/ --secret-file {}", secret.path().display());
    for arguments in [of_file.as_str(), "--forward-to ftp://127.0.0.1/", "--forward-to /hook"] {
        let line = format!("outflow listen {arguments} --project acme --data-dir /nowhere");
        let line = Line::try_parse_from(line.split(' ')).unwrap();
        let code = outflow_cli::run(line.command, Line::command()).await;
        assert_eq!(code, std::process::ExitCode::from(2), "{arguments}");
    }
}
