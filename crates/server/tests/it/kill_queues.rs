//! kill -9 under STOMP publishers, an acknowledging consumer and a mailbox at once, with ledgers of
//! what was answered outside the process.
//!
//! `OUTFLOW_KILL_ROUNDS` sets the number of rounds; 5 by default.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use outflow_model::Rng;
use outflow_model::rng::SeededRng;
use outflow_testkit::{Options, Server, directory};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::reader::{NAME, client};
use crate::stomp::Stomp;

const PUBLISHERS: u64 = 3;
/// SENDs that may wait for their receipt.
const WINDOW: usize = 16;
const QUEUE: &str = "/queue/kill";
/// One that `dev` makes.
const TOPIC: &str = "companyCode=AA&topic=INVOICES";
const TOPIC_EVENTS: &str = "/v1/projects/sample_connection/streams/AA%2FINVOICES/events";

/// What outlives every round.
#[derive(Debug, Default)]
struct Ledger {
    /// Bodies whose receipt came.
    published: HashSet<String>,
    /// Bodies whose ACK was answered.
    acked: HashSet<String>,
    /// The same of the mailbox: ids that were published and those that were confirmed.
    mailed: HashSet<String>,
    confirmed: HashSet<String>,
    /// What was acknowledged or confirmed without an answer: it may be gone, or come again.
    open: HashSet<String>,
    subscriber: String,
}

/// What a reader did: answered, and not.
#[derive(Debug, Default)]
struct Taken {
    answered: HashSet<String>,
    open: HashSet<String>,
}

impl Taken {
    fn try_one(&mut self, what: &str) {
        self.open.insert(what.to_owned());
    }

    fn answer(&mut self, what: &str) {
        self.open.remove(what);
        self.answered.insert(what.to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_queues_answered_holds() {
    let rounds =
        std::env::var("OUTFLOW_KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let seed = std::process::id().into();
    let rng = SeededRng::new(seed);
    let dir = directory().unwrap();
    let options = Options {
        data_dir: Some(dir.path().to_owned()),
        arguments: ["--set", "data.journal_bytes=262144"].map(Into::into).to_vec(),
        ..Options::default()
    };
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        let server = Server::start(&options).await.unwrap();
        ensure_mailbox(&server, &mut ledger).await;
        let when = format!("seed {seed} round {round}");
        let publishers: Vec<JoinHandle<HashSet<String>>> = (0..PUBLISHERS)
            .map(|who| tokio::spawn(publish(server.stomp(), format!("{round:04}-{who}"))))
            .collect();
        let consumer =
            tokio::spawn(consume(server.stomp(), ledger.acked.clone(), when.clone(), None));
        let mailer = tokio::spawn(mail(server.url(TOPIC_EVENTS), format!("{round:04}")));
        let base = server.url("");
        let subscriber = ledger.subscriber.clone();
        let reader = tokio::spawn(read_mail(base, subscriber, ledger.confirmed.clone(), when, 1));
        tokio::time::sleep(Duration::from_millis(150 + rng.below(500))).await;
        server.kill().await.unwrap();
        for publisher in publishers {
            ledger.published.extend(publisher.await.unwrap());
        }
        ledger.mailed.extend(mailer.await.unwrap());
        let (acked, confirmed) = (consumer.await.unwrap(), reader.await.unwrap());
        ledger.acked.extend(acked.answered);
        ledger.confirmed.extend(confirmed.answered);
        ledger.open.extend(acked.open.into_iter().chain(confirmed.open));
    }
    let (published, mailed) = (ledger.published.len(), ledger.mailed.len());
    assert!(published as u64 > rounds * 10 && mailed > 0, "{published} sends, {mailed} mails");
    let (acked, confirmed) = (ledger.acked.len(), ledger.confirmed.len());
    assert!(
        acked > 0 && confirmed > 0,
        "{acked} messages acknowledged, {confirmed} mails confirmed"
    );
    finish(&options, ledger, &format!("seed {seed} at the end")).await;
}

/// Everything that was answered as published and not as acknowledged is still there.
async fn finish(options: &Options, ledger: Ledger, when: &str) {
    let server = Server::start(options).await.unwrap();
    let left = |all: &HashSet<String>, done: &HashSet<String>| -> HashSet<String> {
        all.iter().filter(|id| !done.contains(*id) && !ledger.open.contains(*id)).cloned().collect()
    };
    // Ends when all that is left has come, and fails when it does not.
    let until = left(&ledger.published, &ledger.acked);
    let read =
        consume(server.stomp(), ledger.acked.clone(), when.to_owned(), Some(until.clone())).await;
    let lost = until.difference(&read.answered).count();
    assert_eq!(lost, 0, "{when}: of {} messages some did not come before the end", until.len());
    let left = left(&ledger.mailed, &ledger.confirmed);
    let (base, subscriber) = (server.url(""), ledger.subscriber.clone());
    let read = read_mail(base, subscriber, ledger.confirmed.clone(), when.to_owned(), 0).await;
    let lost = left.difference(&read.answered).count();
    assert_eq!(lost, 0, "{when}: mails are lost");
    assert!(server.terminate(Duration::from_secs(20)).await.unwrap().success());
}

/// Sends until the server is gone; gives the bodies whose receipts came.
async fn publish(address: SocketAddr, who: String) -> HashSet<String> {
    let mut receipts = HashSet::new();
    let Some(mut stomp) = Stomp::connect(address).await else { return receipts };
    let (mut next, mut open) = (0, 0);
    loop {
        while open < WINDOW {
            let body = format!("{who}-{next:08}");
            let frame =
                format!("SEND\ndestination:{QUEUE}\npersistent:true\nreceipt:{body}\n\n{body}\0");
            if stomp.send(&frame).await.is_none() {
                return receipts;
            }
            (next, open) = (next + 1, open + 1);
        }
        let Some(frame) = stomp.frame().await else { return receipts };
        assert_eq!(frame.command(), "RECEIPT", "{frame:?}");
        receipts.insert(frame.header("receipt-id").unwrap().to_owned());
        open -= 1;
    }
}

/// Takes messages one by one until the server is gone, or until all of `until` came; gives what
/// was acknowledged and answered. Nothing in `acked` may come again, and order holds.
async fn consume(
    address: SocketAddr,
    acked: HashSet<String>,
    when: String,
    until: Option<HashSet<String>>,
) -> Taken {
    let mut done = Taken::default();
    let Some(mut stomp) = Stomp::connect(address).await else { return done };
    let subscribe = format!("SUBSCRIBE\nid:0\ndestination:{QUEUE}\nack:client-individual\n\n\0");
    if stomp.send(&subscribe).await.is_none() {
        return done;
    }
    let mut last: HashMap<String, String> = HashMap::new();
    while !until.as_ref().is_some_and(|until| until.is_subset(&done.answered)) {
        let frame = tokio::time::timeout(Duration::from_secs(20), stomp.frame()).await;
        let Some(frame) = frame.unwrap_or_else(|_| panic!("{when}: messages are missing")) else {
            return done;
        };
        if frame.command() == "RECEIPT" {
            done.answer(frame.header("receipt-id").unwrap());
            continue;
        }
        assert_eq!(frame.command(), "MESSAGE", "{when}: {frame:?}");
        let body = frame.body().to_owned();
        assert!(!acked.contains(&body), "{when}: {body} was acknowledged and came again");
        let (publisher, number) = body.rsplit_once('-').unwrap();
        let before = last.insert(publisher.to_owned(), number.to_owned());
        assert!(before.is_none_or(|before| *before < *number), "{when}: {body} out of order");
        done.try_one(&body);
        let ack = format!("ACK\nid:{}\nreceipt:{body}\n\n\0", frame.header("ack").unwrap());
        if stomp.send(&ack).await.is_none() {
            return done;
        }
    }
    done
}

/// Registers and subscribes the mailbox, once.
async fn ensure_mailbox(server: &Server, ledger: &mut Ledger) {
    if !ledger.subscriber.is_empty() {
        return;
    }
    let post = |path: String| client().post(server.url(&path)).basic_auth(NAME, Some(NAME)).send();
    let answer = post("/Events/Register?subscriberName=kill".to_owned()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let registered: Value = answer.json().await.unwrap();
    ledger.subscriber = registered["SubscriberId"].as_str().unwrap().to_owned();
    let path = format!("/Events/Subscribe?subscriberId={}&{TOPIC}", ledger.subscriber);
    let answer = post(path).await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

/// Publishes to the mailbox's topic until the server is gone.
async fn mail(url: String, round: String) -> HashSet<String> {
    let (client, mut mailed) = (client(), HashSet::new());
    for number in 0.. {
        let id = format!("{round}-{number:06}");
        let body =
            format!(r#"{{"id":"{id}","type":"MAIL","body":{{"TID":"TID-002","N":"{id}"}}}}"#);
        let Ok(answer) = client.post(&url).bearer_auth(NAME).body(body).send().await else { break };
        if answer.status() != 200 || answer.bytes().await.is_err() {
            break;
        }
        mailed.insert(id);
    }
    mailed
}

/// Peeks, receives and confirms until the server is gone or, with no `timeout`, until the mailbox
/// is empty; gives what was confirmed. Nothing in `confirmed` may come again.
async fn read_mail(
    base: String,
    subscriber: String,
    confirmed: HashSet<String>,
    when: String,
    timeout: u32,
) -> Taken {
    let (client, mut done, mut last) = (client(), Taken::default(), String::new());
    loop {
        let peek = format!("{base}/Events/Peek?subscriberId={subscriber}&timeout={timeout}");
        let Some(peeked) = answered(client.get(peek)).await else { return done };
        let Some(message) = peeked["NextMessageId"].as_str() else {
            if timeout == 0 {
                return done;
            }
            continue;
        };
        let named = format!("subscriberId={subscriber}&messageId={message}");
        let receive = format!("{base}/Events/Receive?{named}&lockTimeout=30");
        let Some(received) = answered(client.post(receive)).await else { return done };
        let id = received["MessageBody"]["N"].as_str().unwrap().to_owned();
        assert!(!confirmed.contains(&id), "{when}: {id} was confirmed and came again");
        assert!(id > last, "{when}: {id} out of order after {last}");
        last.clone_from(&id);
        let lock = received["LockId"].as_str().unwrap();
        done.try_one(&id);
        let confirm = format!("{base}/Events/Confirm?{named}&lockId={lock}");
        if answered(client.delete(confirm)).await.is_none() {
            return done;
        }
        done.answer(&id);
    }
}

/// The body of a 200; `None` when the server is gone.
async fn answered(request: reqwest::RequestBuilder) -> Option<Value> {
    let answer = request.basic_auth(NAME, Some(NAME)).send().await.ok()?;
    let status = answer.status();
    let body: Value = answer.json().await.ok()?;
    assert_eq!(status, 200, "{body}");
    Some(body)
}
