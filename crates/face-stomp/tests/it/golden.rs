//! The same answers as ActiveMQ 5.17.2 gave, but for [`DIFFERENCES`].
//!
//! `probe.txt` holds what it answered, one probe after another: a line `## <name>`, then the bytes as
//! a Python literal (names that changed from run to run are cut to `*`) and whether the connection was
//! closed. `script` holds what was sent in one go, `scene` what took more. Headers that say who
//! answered and when (`server`, `session`, `message-id`, `timestamp`) are not compared, nor is
//! `content-length`, which this face always sends, nor the body of an ERROR, which is a stack trace
//! there. Whether the connection is open after the answers is compared for each. Two lines are
//! measurements of heart-beats, which `messages` holds this face to.

mod scene;
mod script;

use std::time::Duration;

use crate::stand::{Client, Frame, Stand};
use outflow_face_stomp::Options;
use outflow_face_stomp::wire::{Decoded, Decoder, FrameLimits, Version};

const PROBES: &str = include_str!("probe.txt");

/// What stands for the `*` in names of probes.
const TAG: &str = "77";

/// A probe that this face answers otherwise.
struct Difference {
    name: &'static str,
    why: &'static str,
    /// What it answers; frames end with `^@`.
    answer: &'static str,
    closed: bool,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "duplicate client-id",
        why: "the address of the other client is nobody's business",
        answer: "ERROR\ncontent-type:text/plain\n\
                 message:Client\\c dup* already connected\\c a connection with this client id is open\n\n^@",
        closed: true,
    },
    Difference {
        name: "ACK unknown id",
        why: "the id that was sent is told, where ActiveMQ says null",
        answer: "ERROR\ncontent-type:text/plain\nreceipt-id:r\n\
                 message:Unexpected ACK received for message-id [nope]\n\n^@",
        closed: false,
    },
    Difference {
        name: "over-long header 20 kB",
        why: "the limit is told, which an operator may have set otherwise",
        answer: "ERROR\ncontent-type:text/plain\n\
                 message:The maximum header length was exceeded\\c 10240 bytes in a line\n\n^@",
        closed: true,
    },
    Difference {
        name: "bad selector",
        why: "the message says what is wrong and where, not the selector again",
        answer: "ERROR\ncontent-type:text/plain\nreceipt-id:r\nmessage:The selector is not valid\\c expected a property, a literal or `(` (at character 5)\n\n^@",
        closed: false,
    },
    Difference {
        name: "SUBSCRIBE same id twice",
        why: "STOMP 1.1 forbids it: acks could not be told apart",
        answer: "RECEIPT\nreceipt-id:r\n\n^@ERROR\ncontent-type:text/plain\nreceipt-id:r2\n\
                 message:There is a subscription with the id `1` already\n\n^@",
        closed: false,
    },
    Difference {
        name: "content-length negative",
        why: "an ERROR before the connection is closed",
        answer: "ERROR\ncontent-type:text/plain\nmessage:Specified content-length is not a valid integer\n\n^@",
        closed: true,
    },
    Difference {
        name: "DLQ last frame",
        why: "the cause is told, and what was sent was not persistent",
        answer: "MESSAGE\nexpires:0\ndestination:/queue/ActiveMQ.DLQ\nsubscription:2\n\
                 priority:4\noriginal-destination:/queue/probe.nack.*\n\
                 originalExpiration:0\noriginalDeliveryMode:NON_PERSISTENT\npersistent:true\n\
                 dlqDeliveryFailureCause:refused by its consumer (NACK)\n\
                 outflow-dead-deliveries:1\n\nn^@",
        closed: false,
    },
    Difference {
        name: "composite",
        why: "each copy says its own destination; the composite is not told",
        answer: "MESSAGE\nexpires:0\ndestination:/queue/probe.c1.*\nsubscription:1\npriority:4\n\nx^@\
                 MESSAGE\nexpires:0\ndestination:/queue/probe.c2.*\nsubscription:1\npriority:4\n\nx^@",
        closed: false,
    },
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
        let Some(name) = line.strip_prefix("## ").filter(|name| !name.contains(" at 1000 ms"))
        else {
            continue;
        };
        let answer = lines.next().unwrap();
        let closed = answer.ends_with("True");
        let answer = literal(answer.trim_start_matches('b'));
        probes.push(Probe { name: name.to_owned(), answer, closed });
    }
    assert_eq!(probes.len(), 61, "probes");
    probes
}

/// A frame without what is not compared; the day of the probes is past.
fn essence(frame: &Frame) -> (String, Vec<(String, String)>, Vec<u8>) {
    let mut headers = frame.headers.clone();
    headers.retain(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    for (name, value) in &mut headers {
        if name == "expires" && value != "0" {
            "later".clone_into(value);
        }
    }
    headers.sort();
    let body = if frame.command == "ERROR" { Vec::new() } else { frame.body.clone() };
    (frame.command.clone(), headers, body)
}

/// The frames of an answer, with names made whole.
fn told(answer: &[u8], version: &str) -> Vec<Frame> {
    let mut frames = frames(answer, version);
    for (_, value) in frames.iter_mut().flat_map(|frame| &mut frame.headers) {
        *value = value.replace('*', TAG);
    }
    frames
}

/// What else came before the answer to a question that is asked now, on a connection that must be
/// open.
async fn rest(stand: &Stand, client: &mut Client, probe: &str) -> Vec<Frame> {
    match probe {
        // The end of a first frame, which is none.
        "garbage" => client.raw(b"\n\n\0").await,
        "frame before CONNECT" => client.send(&format!("CONNECT\n{}\n", stand.login())).await,
        _ => return client.until_quiet().await,
    }
    let expected = if probe == "garbage" { "ERROR" } else { "CONNECTED" };
    assert_eq!(client.frame().await.command, expected, "{probe}");
    Vec::new()
}

/// Plays a probe; gives the frames that are compared, once it is seen whether the connection is open.
async fn answers(probe: &Probe, expected: &[Frame], closed: bool) -> Vec<Frame> {
    let mut options = Options::default();
    options.limits.client_id_wait = Duration::from_millis(200);
    let stand = Stand::with(options).await;
    let mut clients = match script::script(&probe.name) {
        Some(script) => {
            let queue = expected.iter().find(|frame| frame.command == "MESSAGE");
            let queue = queue.map_or("/queue/q", |message| message.the("destination"));
            vec![script::play(&stand, &script, queue).await]
        }
        None => scene::scene(&stand, &probe.name).await.unwrap_or_else(|| panic!("{}", probe.name)),
    };
    let client = clients.last_mut().unwrap();
    let mut answers = Vec::new();
    while answers.len() < expected.len() {
        answers.push(client.frame_or_end().await.unwrap_or_else(|| {
            panic!("{}: closed after {answers:#?}, where {expected:#?} was due", probe.name)
        }));
    }
    if closed {
        answers.extend(client.frame_or_end().await);
    } else {
        answers.extend(rest(&stand, client, &probe.name).await);
    }
    answers
}

#[tokio::test]
async fn the_answers_are_activemqs_but_for_the_differences_that_are_listed() {
    let probes = probes();
    for Difference { name, why, .. } in DIFFERENCES {
        assert!(probes.iter().any(|probe| probe.name == *name), "{name}: {why}");
    }
    let mut wrong = Vec::new();
    for probe in probes {
        let version = script::script(&probe.name).map_or("1.2", |script| script.version());
        let theirs = told(&probe.answer, version);
        let different = DIFFERENCES.iter().find(|difference| difference.name == probe.name);
        let (expected, closed) = match different {
            Some(other) => {
                (told(other.answer.replace("^@", "\0").as_bytes(), version), other.closed)
            }
            None => (theirs.clone(), probe.closed),
        };
        let given = answers(&probe, &expected, closed).await;
        // A receipt and a message may pass each other.
        let sorted = |frames: &[Frame]| {
            let mut all: Vec<_> = frames.iter().map(essence).collect();
            all.sort();
            all
        };
        let (given, expected, theirs) = (sorted(&given), sorted(&expected), sorted(&theirs));
        if given != expected {
            wrong.push(format!("{}:\n{given:#?}\n{expected:#?}", probe.name));
        }
        let is_other = (&given, closed) != (&theirs, probe.closed);
        if is_other != different.is_some() {
            wrong.push(format!("{}: is it listed as different?", probe.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
