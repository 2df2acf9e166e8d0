//! kill -9 while webhooks are sent to a receiver that fails now and then and remembers what came.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::reader::{NAME, client};

/// The endpoints: one takes single events, one arrays.
const ENDPOINTS: [(&str, u32); 2] = [("one", 1), ("ten", 10)];
const STREAM: &str = "hooked";
/// How long nothing may arrive in the end while something is missing: what has piled up grows with the
/// rounds.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// What came to one endpoint.
#[derive(Debug, Default)]
struct Came {
    /// The body of each message, by its id.
    bodies: HashMap<String, Vec<u8>>,
    /// In which message each event is, by its offset.
    messages: HashMap<u64, String>,
    /// The highest offset that has come.
    highest: u64,
    /// The ids of events in messages that were answered with success.
    taken: HashSet<String>,
    requests: u64,
    failed: u64,
}

impl Came {
    /// Takes note of a request; `taken`: it will be answered with success.
    fn note(&mut self, message: &str, body: &[u8], taken: bool) {
        self.requests += 1;
        self.failed += u64::from(!taken);
        let before = self.bodies.entry(message.to_owned()).or_insert_with(|| body.to_vec());
        assert_eq!(before, body, "{message} came with another body");
        let document: Value = serde_json::from_slice(body).unwrap();
        let events = document.as_array().cloned().unwrap_or_else(|| vec![document.clone()]);
        for event in events {
            let offset: u64 = event["offset"].as_str().unwrap().parse().unwrap();
            let known = self.messages.entry(offset).or_insert_with(|| {
                assert!(offset > self.highest, "{offset} comes after {}", self.highest);
                message.to_owned()
            });
            assert_eq!(known, message, "event {offset} came in two messages");
            self.highest = self.highest.max(offset);
            if taken {
                self.taken.insert(event["body"]["n"].as_str().unwrap().to_owned());
            }
        }
    }
}

type Ledger = Arc<Mutex<HashMap<String, Came>>>;

/// Takes connections until the test ends. A request is noted before it is answered.
async fn receive(listener: TcpListener, ledger: Ledger, rng: Arc<SeededRng>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (ledger, rng) = (ledger.clone(), rng.clone());
        tokio::spawn(async move {
            let mut socket = BufReader::new(socket);
            while let Some((path, message, body)) = request(&mut socket).await {
                let fate = rng.below(20);
                let taken = fate >= 4;
                let endpoint = path.trim_start_matches('/').to_owned();
                ledger.lock().await.entry(endpoint).or_default().note(&message, &body, taken);
                if fate == 0 {
                    return;
                }
                let status = if taken { "200 OK" } else { "500 Oops" };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The next request of a connection: its path, its message's id and its body.
async fn request(socket: &mut BufReader<TcpStream>) -> Option<(String, String, Vec<u8>)> {
    let (mut path, mut message, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("POST ") {
            path = rest.split(' ').next()?.to_owned();
        } else if let Some((name, value)) = line.split_once(": ") {
            match name {
                "webhook-id" => message = value.to_owned(),
                "Content-Length" => length = value.parse().ok()?,
                _ => {}
            }
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some((path, message, body))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_get_everything_in_order_and_each_event_in_one_message() {
    let rounds =
        std::env::var("OUTFLOW_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed = std::process::id().into();
    println!("seed {seed}");
    let rng = Arc::new(SeededRng::new(seed));
    let dir = directory().unwrap();
    let settings = [
        "data.journal_bytes=262144",
        "webhook.allow_http=true",
        "webhook.allow_subnets=127.0.0.1/32",
    ];
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        arguments: settings.iter().flat_map(|one| ["--set", *one]).map(Into::into).collect(),
        ..Options::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = listener.local_addr().unwrap();
    let ledger = Ledger::default();
    let receiving = tokio::spawn(receive(listener, ledger.clone(), rng.clone()));
    let mut published = HashSet::new();
    for round in 0..rounds {
        let server = Server::start(&options).await.unwrap();
        if round == 0 {
            configure(&server, dir.path(), &format!("http://{receiver}")).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn(publish(server.url(""), round, stop.clone(), rng.clone()));
        tokio::time::sleep(Duration::from_millis(300 + rng.below(2_000))).await;
        server.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        published.extend(publisher.await.unwrap());
        assert!(!receiving.is_finished(), "the receiver found a fault");
    }
    let server = Server::start(&options).await.unwrap();
    for (name, _) in ENDPOINTS {
        let (mut least, mut end) = (usize::MAX, Instant::now() + SILENT_FOR);
        loop {
            let missing = {
                let ledger = ledger.lock().await;
                let taken = ledger.get(name).map(|came| &came.taken);
                published.iter().filter(|n| !taken.is_some_and(|all| all.contains(*n))).count()
            };
            if missing == 0 {
                break;
            }
            if missing < least {
                (least, end) = (missing, Instant::now() + SILENT_FOR);
            }
            let all = published.len();
            assert!(Instant::now() < end, "{name}: {missing} of {all} never came");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ledger = ledger.lock().await;
        let came = &ledger[name];
        println!(
            "{name}: {} events in {} messages, {} requests, {} failed",
            came.messages.len(),
            came.bodies.len(),
            came.requests,
            came.failed
        );
        assert!(came.failed > 0);
    }
    assert!(published.len() > rounds as usize * 20, "only {} were published", published.len());
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

/// Makes the stream and the integrations with their webhooks.
async fn configure(server: &Server, dir: &std::path::Path, receiver: &str) {
    let token = std::fs::read_to_string(dir.join("operator-token")).unwrap();
    let project = format!("/v1/projects/{NAME}");
    let send = async |method: reqwest::Method, path: String, body: Value| {
        let request = client().request(method, server.url(&path)).bearer_auth(token.trim());
        let answer = request.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 201, "{path}: {text}");
    };
    send(reqwest::Method::POST, format!("{project}/streams"), json!({ "name": STREAM })).await;
    for (name, batch) in ENDPOINTS {
        let integrations = format!("{project}/integrations");
        send(reqwest::Method::POST, integrations.clone(), json!({ "id": name })).await;
        let webhook = json!({
            "url": format!("{receiver}/{name}"), "stream": STREAM, "start": "earliest",
            "batch": batch, "retry_pauses_ms": [50],
        });
        send(reqwest::Method::PUT, format!("{integrations}/{name}/webhook"), webhook).await;
    }
}

/// Publishes until the server is gone; gives what was answered.
async fn publish(
    base: String,
    round: u64,
    stop: Arc<AtomicBool>,
    rng: Arc<SeededRng>,
) -> Vec<String> {
    let url = format!("{base}/v1/projects/{NAME}/streams/{STREAM}/events");
    let client = client();
    let mut published = Vec::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        let count = 1 + rng.below(15);
        let names: Vec<String> =
            (0..count).map(|at| format!("{round}-{:08}", number + at)).collect();
        number += count;
        let events: Vec<Value> =
            names.iter().map(|n| json!({ "type": "CUSTOM", "body": { "n": n } })).collect();
        let request = client.post(&url).bearer_auth(NAME).json(&events);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => published.extend(names),
            _ => break,
        }
        // Now and then long enough for a batch that is not full.
        let pause = if rng.below(20) == 0 { 1_200 } else { rng.below(20) };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    published
}
