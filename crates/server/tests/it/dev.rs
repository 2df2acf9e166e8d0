//! `outflow dev`: one command, and a client sees events.

use outflow_testkit::{Options, Server, directory};

use crate::reader::{NAME, Reader, client};

#[tokio::test]
async fn events_stream_to_the_seeds_curl_line_compressed_and_not() {
    let server = Server::start(&Options { rate: 500, ..Options::default() }).await.unwrap();
    for (encoding, gzip) in
        [(None, true), (Some("deflate, gzip, br, zstd"), true), (Some("identity"), false)]
    {
        let mut reader = Reader::open(&server, encoding, r#"{"start":"EARLIEST"}"#).await;
        assert_eq!(reader.is_gzip(), gzip, "{encoding:?}");
        let mut last = 0;
        for _ in 0..200 {
            let event = reader.next().await.unwrap();
            let offset: u64 = event["offset"].as_str().unwrap().parse().unwrap();
            assert!(offset > last);
            last = offset;
            for name in ["id", "type", "occurred", "processed"] {
                assert!(event[name].is_string(), "{event}");
            }
        }
    }
    // Without Content-Type and body, as httpie sends it: from now on.
    let mut reader = Reader::open(&server, None, "{}").await;
    assert!(reader.next().await.is_some());
}

#[tokio::test]
async fn compliance_is_read_with_the_master_secret() {
    let server = Server::start(&Options { rate: 2000, ..Options::default() }).await.unwrap();
    let request = client().post(server.url("/api/events/general")).basic_auth(NAME, Some(NAME));
    let request = request.header("X-UA-Appkey", NAME).body(r#"{"start":"EARLIEST"}"#);
    let mut reader = Reader::of(request.send().await.unwrap());
    for _ in 0..5 {
        assert_eq!(reader.next().await.unwrap()["type"], "COMPLIANCE");
    }
}

#[tokio::test]
async fn what_came_of_webhooks_can_be_read_before_there_is_one() {
    let server = Server::start(&Options::default()).await.unwrap();
    let path = "/v1/projects/sample_connection/streams/webhook.attempts:sample_connection/events";
    let url = format!("{}?start=earliest&follow=false", server.url(path));
    let answer = client().get(url).bearer_auth(NAME).send().await.unwrap();
    assert!(Reader::of(answer).rest().await.is_empty());
}

#[tokio::test]
async fn a_second_start_finds_everything_and_makes_nothing_twice() {
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let published = {
        let server = Server::start(&options).await.unwrap();
        let url = server.url("/v1/projects/sample_connection/streams/events/events");
        let body = r#"{"id":"kept","type":"CUSTOM","body":{"name":"x","value":1.10}}"#;
        let answer = client().post(url).bearer_auth(NAME).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let token = std::fs::metadata(dir.path().join("operator-token")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&token.permissions()) & 0o777, 0o600);
        let status = server.terminate(std::time::Duration::from_secs(20)).await.unwrap();
        assert!(status.success());
        answer.json::<serde_json::Value>().await.unwrap()
    };
    let token = std::fs::read_to_string(dir.path().join("operator-token")).unwrap();
    let server = Server::start(&options).await.unwrap();
    let mut reader = Reader::open(&server, None, r#"{"start":"EARLIEST"}"#).await;
    let event = reader.next().await.unwrap();
    assert_eq!(event["id"], "kept");
    assert_eq!(event["offset"], published["events"][0]["offset"]);
    assert_eq!(std::fs::read_to_string(dir.path().join("operator-token")).unwrap(), token);
    let projects =
        client().get(server.url("/v1/projects")).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(projects.status(), 200);
    assert_eq!(projects.text().await.unwrap().matches("\"sample_connection\"").count(), 1);
}

#[tokio::test]
async fn the_data_directory_belongs_to_one_server_at_a_time() {
    let dir = directory().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let _first = Server::start(&options).await.unwrap();
    let refused = Server::start(&options).await.unwrap_err().to_string();
    assert!(refused.contains("exit status: 1"), "{refused}");
    assert!(refused.contains("cannot open the data directory"), "{refused}");
}
