//! kill -9 while webhooks are sent to a receiver that fails now and then and remembers what came: endpoints in order and
//! by key, some packed, some replayed in the middle of it.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

mod ledger;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
use ledger::{Came, Setup};

static ENDPOINTS: [Setup; 4] = [
    Setup { name: "one", batch: 1, lanes: None, gzip: false, replays: false },
    Setup { name: "ten", batch: 10, lanes: None, gzip: true, replays: false },
    Setup { name: "again", batch: 1, lanes: None, gzip: false, replays: true },
    Setup { name: "keys", batch: 10, lanes: Some(4), gzip: true, replays: true },
];
const STREAM: &str = "hooked";
/// How many keys the events have.
const KEYS: u64 = 12;
/// A replay begins with one of so many of the last events.
const RECENT: usize = 150;
/// How long nothing may arrive in the end while something is missing: what has piled up grows with the
/// rounds.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// What came to each endpoint.
type Ledger = Arc<Mutex<HashMap<&'static str, Came>>>;

/// Takes connections until the test ends. A request is noted before it is answered; `open`: how many connections
/// there are.
async fn receive(
    listener: TcpListener,
    ledger: Ledger,
    rng: Arc<SeededRng>,
    open: Arc<AtomicUsize>,
) {
    let mut all = tokio::task::JoinSet::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            Some(ended) = all.join_next() => {
                open.fetch_sub(1, Ordering::SeqCst);
                // What a connection has found is told by the test.
                ended.unwrap();
                continue;
            }
        };
        open.fetch_add(1, Ordering::SeqCst);
        let (ledger, rng) = (ledger.clone(), rng.clone());
        all.spawn(async move {
            let mut socket = BufReader::new(socket);
            while let Some((path, message, body)) = request(&mut socket).await {
                let fate = rng.below(20);
                let taken = fate >= 4;
                let mut all = ledger.lock().await;
                all.get_mut(path.trim_start_matches('/')).unwrap().note(&message, &body, taken);
                drop(all);
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
    let setups = ENDPOINTS.iter().map(|setup| (setup.name, Came::new(setup)));
    let ledger: Ledger = Arc::new(Mutex::new(setups.collect()));
    let open = Arc::new(AtomicUsize::new(0));
    let receiving = tokio::spawn(receive(listener, ledger.clone(), rng.clone(), open.clone()));
    let mut published = HashSet::new();
    for round in 0..rounds {
        let server = Server::start(&options).await.unwrap();
        if round == 0 {
            configure(&server, dir.path(), &format!("http://{receiver}")).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn(publish(server.url(""), round, stop.clone(), rng.clone()));
        let lives = Duration::from_millis(300 + rng.below(2_000));
        if round % 3 == 1 {
            let until_then = lives.mul_f64(rng.below(100) as f64 / 100.0);
            tokio::time::sleep(until_then).await;
            replay(&server, dir.path(), &ledger, &rng).await;
            tokio::time::sleep(lives.saturating_sub(until_then)).await;
        } else {
            tokio::time::sleep(lives).await;
        }
        server.kill().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        published.extend(publisher.await.unwrap());
        // What the dead server has said is noted before the next one says anything.
        let mut silent = 0;
        while silent < 5 && !receiving.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            silent = if open.load(Ordering::SeqCst) == 0 { silent + 1 } else { 0 };
        }
        assert!(!receiving.is_finished(), "the receiver found a fault");
    }
    let server = Server::start(&options).await.unwrap();
    for Setup { name, .. } in &ENDPOINTS {
        let (mut least, mut end) = (usize::MAX, Instant::now() + SILENT_FOR);
        loop {
            let ledger = ledger.lock().await;
            let came = &ledger[name];
            let missing = published.iter().filter(|n| !came.taken.contains(*n)).count();
            let owed = came.not_replayed();
            drop(ledger);
            assert!(!receiving.is_finished(), "the receiver found a fault");
            if missing + owed == 0 {
                break;
            }
            if missing + owed < least {
                (least, end) = (missing + owed, Instant::now() + SILENT_FOR);
            }
            let all = published.len();
            assert!(
                Instant::now() < end,
                "{name}: {missing} of {all} never came, nor {owed} of a replay"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let ledger = ledger.lock().await;
        println!("{}", ledger[name].summary());
        assert!(ledger[name].is_tried());
    }
    assert!(published.len() > rounds as usize * 20, "only {} were published", published.len());
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

/// Asks for all from some event on once more, of the endpoints that are replayed.
async fn replay(server: &Server, dir: &Path, ledger: &Ledger, rng: &SeededRng) {
    for Setup { name, .. } in ENDPOINTS.iter().filter(|setup| setup.replays) {
        let begun = Instant::now();
        let (from, after) = loop {
            let ledger = ledger.lock().await;
            let came = &ledger[name];
            let from = came.recent(RECENT, |count| rng.below(count as u64) as usize);
            if let Some(from) = from {
                break (from, came.requests());
            }
            drop(ledger);
            assert!(begun.elapsed() < SILENT_FOR, "nothing comes to {name}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let path = format!("/v1/projects/{NAME}/integrations/{name}/webhook/replay");
        let request = client().post(server.url(&path)).bearer_auth(token(dir));
        let answer = request.json(&json!({ "from": from.to_string() })).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{path}: {text}");
        ledger.lock().await.get_mut(name).unwrap().replayed(from, after);
    }
}

/// The operator's token.
fn token(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("operator-token")).unwrap().trim().to_owned()
}

/// Makes the stream and the integrations with their webhooks.
async fn configure(server: &Server, dir: &Path, receiver: &str) {
    let token = token(dir);
    let project = format!("/v1/projects/{NAME}");
    let send = async |method: reqwest::Method, path: String, body: Value| {
        let request = client().request(method, server.url(&path)).bearer_auth(&token);
        let answer = request.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 201, "{path}: {text}");
    };
    send(reqwest::Method::POST, format!("{project}/streams"), json!({ "name": STREAM })).await;
    for Setup { name, batch, lanes, gzip, .. } in &ENDPOINTS {
        let integrations = format!("{project}/integrations");
        send(reqwest::Method::POST, integrations.clone(), json!({ "id": name })).await;
        let webhook = json!({
            "url": format!("{receiver}/{name}"), "stream": STREAM, "start": "earliest",
            "batch": batch, "lanes": lanes, "gzip": gzip, "retry_pauses_ms": [50],
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
        let event = |n: &String| {
            let key = format!("key {}", rng.below(KEYS));
            json!({ "type": "CUSTOM", "key": key, "body": { "n": n } })
        };
        let events: Vec<Value> = names.iter().map(event).collect();
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
