//! Buckets: the store that the client library has in memory, and one that answers over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use object_store::memory::InMemory;
use outflow_hub::IngestFormat;
use outflow_hub::landing::{LandedFile, LandedFiles};
use outflow_landing::bucket::{BucketError, Credentials};
use outflow_landing::{Bucket, Lander, Options, Place};
use outflow_model::draft::Body;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::world::World;

const SECRET: &str = "a-key-that-nobody-may-see";

#[tokio::test]
async fn a_bucket_holds_what_a_directory_would() {
    let world = World::new(IngestFormat::Xml).await;
    let bucket = Arc::new(Bucket::new(Arc::new(InMemory::new()), "some/where"));
    let lander = |bucket: &Arc<Bucket>| {
        let registry = &mut Registry::default();
        Lander::new(world.hub.clone(), bucket.clone(), Options::default(), registry).unwrap()
    };
    for _ in 0..3 {
        world.send(Body::Text("<a>1</a>")).await;
        world.send(Body::Text("<a>")).await;
        world.clock.advance(5_400_000);
        // A start of the server for each file.
        lander(&bucket).pass().await;
    }
    let all = bucket.list(&world.stream, None, 100).await.unwrap();
    let paths: Vec<&str> = all.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), 6, "{paths:?}");
    assert!(paths.is_sorted());
    let mut paged: Vec<LandedFile> = Vec::new();
    loop {
        let after = paged.last().map(|file| file.path.clone());
        let page = bucket.list(&world.stream, after.as_deref(), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        paged.extend(page);
    }
    assert_eq!(paged, all);
    for after in ["a//b", "../x", "2026-03-01/\u{7}"] {
        let refused = bucket.list(&world.stream, Some(after), 4).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput, "{after}");
    }
    for file in &all {
        let open = bucket.open(&world.stream, &file.path).await.unwrap().unwrap();
        let content: Vec<u8> = open.content.map(|piece| piece.unwrap().to_vec()).concat().await;
        assert_eq!((open.bytes, content.len() as u64), (file.bytes, file.bytes));
        assert!(!content.is_empty());
    }
    for path in ["2026-03-01/20-30-00-7.cbor", "2026-03-01/../2026-03-01/x", "", "/etc/passwd"] {
        assert!(bucket.open(&world.stream, path).await.unwrap().is_none(), "{path}");
    }
    // The next stream of the name has none of them.
    world.hub.delete_project(&world.stream.project).await.unwrap();
    let stream = World::make(&world.hub, IngestFormat::Json).await;
    lander(&bucket).pass().await;
    assert_eq!(bucket.list(&stream, None, 100).await.unwrap(), []);
    let apart = format!("ingest/deleted/acme/is-AbC-before-{}/{}", stream.id, paths[0]);
    assert!(bucket.has(apart).await.unwrap());
    assert!(!bucket.has(format!("ingest/stream/acme/is-AbC/{}", paths[0])).await.unwrap());
}

#[test]
fn only_urls_of_buckets_are_taken_and_settings_by_their_names() {
    let none = Credentials::default();
    for url in ["s3://", "s3:///prefix", "bucket", "http://bucket/x", "s3://bucket/x?y=z"] {
        assert!(matches!(Bucket::open(url, &none), Err(BucketError::Url)), "{url}");
    }
    let wrong = credentials([("aws_secret", SECRET)]);
    let refused = Bucket::open("s3://bucket/a", &wrong).unwrap_err();
    assert_eq!(refused.to_string(), "`aws_secret` is no setting of this object store");
    assert!(!format!("{wrong:?}").contains(SECRET));
    let broken = credentials([("google_service_account_key", SECRET)]);
    let refused = Bucket::open("gs://bucket", &broken).unwrap_err();
    assert!(!format!("{refused:?}").contains(SECRET), "{refused:?}");
    let key = "AZURE_STORAGE_ACCOUNT_KEY";
    let broken = credentials([("azure_storage_account_name", "a"), (key, SECRET)]);
    let refused = Bucket::open("az://container", &broken).map(drop);
    assert!(!format!("{refused:?}").contains(SECRET), "{refused:?}");
}

#[tokio::test]
async fn a_file_is_put_whole_by_one_signed_request_after_failures_that_pass() {
    let store = Store::start(["503 Slow Down", "500 Internal", "200 OK"]).await;
    let bucket = store.bucket(true);
    let bytes = vec![b'x'; 100_000];
    bucket.put("ingest/stream/p/s/2026-03-01/a.ndjson".into(), bytes.clone()).await.unwrap();
    let requests = store.requests.lock().clone();
    assert_eq!(requests.len(), 3);
    for (head, body) in &requests {
        let line = head.lines().next().unwrap();
        assert_eq!(line, "PUT /bucket/pre/fix/ingest/stream/p/s/2026-03-01/a.ndjson HTTP/1.1");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("authorization: aws4-hmac-sha256 credential=id/"), "{head}");
        assert!(head.contains("content-type: application/x-ndjson"), "{head}");
        assert!(!head.contains(SECRET));
        assert_eq!(*body, bytes);
    }
}

#[tokio::test]
async fn what_a_store_says_is_for_the_operator_only() {
    let store = Store::start(["403 Forbidden"]).await;
    let refused = store.bucket(true).put("a".into(), vec![1]).await.unwrap_err();
    assert_eq!(refused.error.to_string(), "the object store denies access");
    assert!(refused.detail().contains("words of the store"), "{}", refused.detail());
    assert!(!format!("{refused:?}").contains(SECRET));
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_unless_it_is_allowed() {
    let store = Store::start(["200 OK"]).await;
    assert!(store.bucket(false).put("a".into(), vec![1]).await.is_err());
    assert_eq!(store.requests.lock().len(), 0);
}

#[tokio::test]
async fn a_store_that_does_not_answer_keeps_nobody_waiting_for_ever() {
    let store = Store::start([SILENCE]).await;
    let bucket = store.bucket(true);
    let put = tokio::spawn(async move { bucket.put("a".into(), vec![1]).await });
    while store.requests.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let late = tokio::time::timeout(Duration::from_secs(300), put).await.unwrap().unwrap();
    assert!(late.is_err());
}

fn credentials<const N: usize>(settings: [(&str, &str); N]) -> Credentials {
    let owned = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Credentials::new(BTreeMap::from(owned))
}

/// A status that never comes.
const SILENCE: &str = "";

/// Heads and bodies of requests.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A store that answers with the statuses it was given, the last one again and again.
struct Store {
    address: String,
    requests: Requests,
}

impl Store {
    async fn start<const N: usize>(statuses: [&'static str; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Requests::default();
        let seen = requests.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(answer(BufReader::new(socket), seen.clone(), statuses.to_vec()));
            }
        });
        Self { address, requests }
    }

    fn bucket(&self, allow_http: bool) -> Bucket {
        let settings = credentials([
            ("aws_access_key_id", "id"),
            ("aws_secret_access_key", SECRET),
            ("aws_region", "eu-central-1"),
            ("aws_endpoint_url", &self.address),
            ("aws_allow_http", if allow_http { "true" } else { "false" }),
        ]);
        Bucket::open("s3://bucket/pre/fix/", &settings).unwrap()
    }
}

async fn answer(
    mut socket: BufReader<tokio::net::TcpStream>,
    requests: Requests,
    statuses: Vec<&'static str>,
) {
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if socket.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let length = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok()
        });
        let mut body = vec![0; length.unwrap_or(0)];
        socket.read_exact(&mut body).await.unwrap();
        let status = {
            let mut requests = requests.lock();
            requests.push((head, body));
            statuses[(requests.len() - 1).min(statuses.len() - 1)]
        };
        if status == SILENCE {
            std::future::pending::<()>().await;
        }
        let words = "<Error><Message>words of the store</Message></Error>";
        let answer = format!(
            "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n{words}",
            words.len()
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}
