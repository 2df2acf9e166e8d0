//! The same answers as ActiveMQ 5.17.2 gave, but for [`DIFFERENCES`].
//!
//! `probe.txt` holds what it answered, one probe after another: a line `## <name>`, then the bytes as
//! a Python literal (names that changed from run to run are cut to `*`) and whether the connection was
//! closed. [`script`] holds what was sent. Headers that say who answered and when (`server`,
//! `session`, `message-id`, `timestamp`) are not compared, nor is `content-length`, which this face
//! always sends, nor the body of an ERROR, which is a stack trace there.

use crate::stand::{Client, Frame, Stand};
use outflow_face_stomp::wire::{Decoded, Decoder, FrameLimits, Version};

const PROBES: &str = include_str!("probe.txt");

/// Where this face answers otherwise, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("duplicate client-id", "the address of the other client is nobody's business"),
    ("ACK unknown id", "the id that was sent is told, where ActiveMQ says null"),
    ("bad selector", "the message says what is wrong and where, not the selector again"),
    ("SUBSCRIBE same id twice", "STOMP 1.1 forbids it: acks could not be told apart"),
    ("content-length negative", "an ERROR before the connection is closed"),
    ("DLQ last frame", "the cause is told; the message's own persistence and expiry are kept"),
    ("composite", "each copy says its own destination; the composite is not told"),
];

const NOT_COMPARED: [&str; 5] = ["server", "session", "message-id", "timestamp", "content-length"];

/// One probe of the file.
struct Probe {
    name: String,
    answer: Vec<u8>,
    closed: bool,
}

/// Reads a Python literal of a text.
fn literal(text: &str) -> Vec<u8> {
    let inner = &text[1..text.rfind('\'').unwrap()];
    let (mut out, mut chars) = (String::new(), inner.chars());
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next().unwrap() {
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            'x' => {
                let digits: String = chars.by_ref().take(2).collect();
                out.push(char::from(u8::from_str_radix(&digits, 16).unwrap()));
            }
            other => out.push(other),
        }
    }
    out.into_bytes()
}

fn frames(bytes: &[u8], version: &str) -> Vec<Frame> {
    let mut decoder = Decoder::new(FrameLimits::default());
    decoder.speak(Version::negotiate(Some(version)).unwrap());
    let (mut frames, mut whole) = (Vec::new(), bytes.to_vec());
    // The last frame of one probe was cut before its end.
    whole.push(0);
    let mut bytes = &whole[..];
    loop {
        match decoder.decode(bytes).unwrap() {
            Decoded::Idle(count) => bytes = &bytes[count..],
            Decoded::Frame(frame, len) => {
                frames.push(Frame::of(&frame));
                bytes = &bytes[len..];
            }
            Decoded::Incomplete => return frames,
        }
    }
}

fn probes() -> Vec<Probe> {
    let mut lines = PROBES.lines();
    let mut probes = Vec::new();
    while let Some(line) = lines.next() {
        // The last three are of another form: see `beats`, and the limits in `hostile`.
        let Some(name) = line.strip_prefix("## ").filter(|name| !name.contains(" at 1000 ms"))
        else {
            continue;
        };
        let answer = lines.next().unwrap();
        if !answer.starts_with('\'') {
            continue;
        }
        let closed = answer.ends_with("closed=True");
        probes.push(Probe { name: name.to_owned(), answer: literal(answer), closed });
    }
    assert!(probes.len() > 55, "only {} probes", probes.len());
    probes
}

/// What is sent before, by whom, and what is sent then.
enum Script {
    /// On a connection that has sent nothing; `{login}` is put in.
    Fresh(&'static str),
    /// On one that speaks the version.
    Open(&'static str, &'static str),
    /// Subscribes to `/queue/q` as `s1`, then sends.
    Round(&'static str, &'static str),
}

impl Script {
    const fn version(&self) -> &'static str {
        match self {
            Self::Fresh(_) => "1.2",
            Self::Open(version, _) | Self::Round(version, _) => version,
        }
    }
}

/// What was sent for a probe. Frames end with `^@`.
fn script(name: &str) -> Option<Script> {
    use Script::{Fresh, Open, Round};
    Some(match name {
        "connect 1.0 (no accept-version)" => Fresh("CONNECT\n{login}\n^@"),
        "accept-version '1.0'" => Fresh("CONNECT\n{login}accept-version:1.0\n\n^@"),
        "accept-version '1.1'" => Fresh("CONNECT\n{login}accept-version:1.1\n\n^@"),
        "accept-version '1.2'" => Fresh("CONNECT\n{login}accept-version:1.2\n\n^@"),
        "accept-version '1.0,1.1,1.2'" => Fresh("CONNECT\n{login}accept-version:1.0,1.1,1.2\n\n^@"),
        "accept-version '1.1,2.0'" => Fresh("CONNECT\n{login}accept-version:1.1,2.0\n\n^@"),
        "accept-version '2.0'" => Fresh("CONNECT\n{login}accept-version:2.0\n\n^@"),
        "accept-version ' 1.2 '" => Fresh("CONNECT\n{login}accept-version: 1.2 \n\n^@"),
        "STOMP command" => Fresh("STOMP\n{login}accept-version:1.2\n\n^@"),
        "CONNECT CRLF 1.2" => Fresh("CONNECT\r\n{login}accept-version:1.2\r\n\r\n^@"),
        "heart-beat 5000,3000" => {
            Fresh("CONNECT\n{login}accept-version:1.2\nheart-beat:5000,3000\n\n^@")
        }
        "heart-beat bad" => Fresh("CONNECT\n{login}accept-version:1.2\nheart-beat:abc\n\n^@"),
        "client-id header" => Fresh("CONNECT\n{login}accept-version:1.2\nclient-id:cid1\n\n^@"),
        "frame before CONNECT" => Fresh("SEND\ndestination:/queue/a\n\nx^@"),
        "garbage" => Fresh("\x01\x02 garbage"),
        "second CONNECT" => Open("1.2", "CONNECT\naccept-version:1.2\n\n^@"),
        "unknown command" => Open("1.2", "FOO\n\n^@"),
        "SEND without destination, receipt" => Open("1.2", "SEND\nreceipt:r1\n\nx^@"),
        "SEND plain name destination" => Open("1.2", "SEND\ndestination:plain\nreceipt:r1\n\nx^@"),
        "SUBSCRIBE without id 1.2" => Open("1.2", "SUBSCRIBE\ndestination:/queue/a\n\n^@"),
        "SUBSCRIBE bad ack value" => {
            Open("1.2", "SUBSCRIBE\nid:1\ndestination:/queue/a\nack:foo\nreceipt:r\n\n^@")
        }
        "SUBSCRIBE same id twice" => Open(
            "1.2",
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:r\n\n^@\
             SUBSCRIBE\nid:1\ndestination:/queue/b\nreceipt:r2\n\n^@",
        ),
        "UNSUBSCRIBE unknown" => Open("1.2", "UNSUBSCRIBE\nid:nope\nreceipt:r\n\n^@"),
        "ACK unknown id" => Open("1.2", "ACK\nid:nope\nreceipt:r\n\n^@"),
        "COMMIT unknown tx" => Open("1.2", "COMMIT\ntransaction:t\nreceipt:r\n\n^@"),
        "BEGIN twice" => {
            Open("1.2", "BEGIN\ntransaction:t\n\n^@BEGIN\ntransaction:t\nreceipt:r\n\n^@")
        }
        "bad selector" => {
            Open("1.2", "SUBSCRIBE\nid:1\ndestination:/queue/a\nselector:a = = 1\nreceipt:r\n\n^@")
        }
        "durable sub on queue" => Open(
            "1.2",
            "SUBSCRIBE\nid:1\ndestination:/queue/a\nactivemq.subscriptionName:n\nreceipt:r\n\n^@",
        ),
        "roundtrip text no content-length" => Round(
            "1.2",
            "SEND\ndestination:/queue/q\ncontent-type:application/json\nx:1\n\n{\"a\":\"é😀\"}^@",
        ),
        "roundtrip with content-length + NUL" => {
            Round("1.2", "SEND\ndestination:/queue/q\ncontent-length:5\n\nab\0cd^@")
        }
        "content-length too small" => {
            Open("1.2", "SEND\ndestination:/queue/q\ncontent-length:2\n\nabcd^@")
        }
        "content-length negative" => {
            Open("1.2", "SEND\ndestination:/queue/q\ncontent-length:-1\n\nabcd^@")
        }
        "amq-msg-type text with content-length" => Round(
            "1.2",
            "SEND\ndestination:/queue/q\namq-msg-type:text\ncontent-length:4\n\nabcd^@",
        ),
        "header escapes 1.2" => {
            Round("1.2", "SEND\ndestination:/queue/q\nk:a\\cb\\\\c\\nd\\re\n\nx^@")
        }
        "header escapes 1.1" => Round("1.1", "SEND\ndestination:/queue/q\nk:a\\cb\\\\c\\nd\n\nx^@"),
        "header escapes 1.0" => Round("1.0", "SEND\ndestination:/queue/q\nk:a:b\\c\n\nx^@"),
        "undefined escape 1.2" => {
            Round("1.2", "SEND\ndestination:/queue/q\nreceipt:r\nk:a\\tb\n\nx^@")
        }
        "escaped header name" => {
            Round("1.2", "SEND\ndestination:/queue/q\nreceipt:r\nk\\cy:v\n\nx^@")
        }
        "repeated header" => {
            Round("1.2", "SEND\ndestination:/queue/q\nfoo:first\nfoo:second\n\nx^@")
        }
        "spaces kept 1.2" => Round("1.2", "SEND\ndestination:/queue/q\nfoo: padded \n\nx^@"),
        "spaces 1.0" => Round("1.0", "SEND\ndestination: /queue/q \nfoo: padded \n\nx^@"),
        "header without colon" => {
            Round("1.2", "SEND\ndestination:/queue/q\nreceipt:r\nnocolon\n\nx^@")
        }
        "empty header value" => Round("1.2", "SEND\ndestination:/queue/q\nreceipt:r\ne:\n\nx^@"),
        "CRLF 1.2" => Round("1.2", "SEND\r\ndestination:/queue/q\r\nk:v\r\n\r\nx^@"),
        "CRLF 1.1" => Round("1.1", "SEND\r\ndestination:/queue/q\r\nk:v\r\n\r\nx^@"),
        "many newlines between frames" => {
            Round("1.2", "\n\n\r\n\n\nSEND\ndestination:/queue/q\nreceipt:r\n\nx^@\n\n\n")
        }
        "persistent,priority,expires,type,correlation-id,reply-to" => Round(
            "1.2",
            "SEND\ndestination:/queue/q\npersistent:true\npriority:7\nexpires:{later}\n\
             type:T\ncorrelation-id:C\nreply-to:/queue/r\n\nx^@",
        ),
        "body on SUBSCRIBE ignored" => {
            Open("1.2", "SUBSCRIBE\nid:1\ndestination:/queue/a\nreceipt:r\n\nbody^@")
        }
        "DISCONNECT receipt" => Open("1.2", "DISCONNECT\nreceipt:bye\n\n^@"),
        _ => return None,
    })
}

/// Those that need more than a script: tested in `messages`, by the names given here.
const TOLD_ELSEWHERE: [&str; 11] = [
    "duplicate client-id",
    "NACK individual",
    "DLQ last frame",
    "redelivery after drop",
    "tx send before commit",
    "tx after commit",
    "RTO mirror",
    "wildcards",
    "composite",
    "temp queue",
    "browser",
];

/// A frame without what is not compared; names that the probes cut are cut alike.
fn essence(frame: &Frame) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut headers = frame.headers.clone();
    headers.retain(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    for (name, value) in &mut headers {
        match name.as_str() {
            "destination" => "/queue/q".clone_into(value),
            // The day of the probes is past.
            "expires" if value != "0" => "later".clone_into(value),
            _ => {}
        }
    }
    headers.sort();
    let body = if frame.command == "ERROR" { Vec::new() } else { frame.body.clone() };
    (frame.command.clone(), headers, body)
}

fn is_different(name: &str) -> bool {
    DIFFERENCES.iter().any(|(different, _)| *different == name)
}

async fn play(stand: &Stand, script: &Script, queue: &str) -> Client {
    let (mut client, text) = match *script {
        Script::Fresh(text) => (stand.dial().await, text),
        Script::Open(version, text) => (stand.connect(version).await, text),
        Script::Round(version, text) => {
            let mut client = stand.connect(version).await;
            client.subscribe("s1", queue, "").await;
            (client, text)
        }
    };
    let later = stand.hub.clock().now().plus_millis(3_600_000).millis().to_string();
    let text = text.replace("{later}", &later);
    let text = text.replace("{login}", &stand.login()).replace("/queue/q", queue);
    client.raw(text.replace("^@", "\0").as_bytes()).await;
    client
}

#[tokio::test]
async fn the_answers_are_activemqs() {
    let stand = Stand::new().await;
    for (number, probe) in probes().into_iter().enumerate() {
        let Some(script) = script(&probe.name) else {
            assert!(TOLD_ELSEWHERE.contains(&probe.name.as_str()), "no script: {}", probe.name);
            continue;
        };
        let mut client = play(&stand, &script, &format!("/queue/q.{number}")).await;
        let expected = frames(&probe.answer, script.version());
        let mut answers = Vec::new();
        while answers.len() < expected.len() {
            answers.extend(client.frame_or_end().await);
        }
        if probe.closed && expected.is_empty() {
            answers.extend(client.frame_or_end().await);
        }
        if probe.closed {
            assert_eq!(client.frame_or_end().await, None, "{}: still open", probe.name);
        }
        let (mut given, mut expected): (Vec<_>, Vec<_>) =
            (answers.iter().map(essence).collect(), expected.iter().map(essence).collect());
        // A receipt and a message may pass each other.
        given.sort();
        expected.sort();
        assert_eq!(
            given != expected,
            is_different(&probe.name),
            "{}:\n{given:#?}\n{expected:#?}",
            probe.name
        );
    }
}
