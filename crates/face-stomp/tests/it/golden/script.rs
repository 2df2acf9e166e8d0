//! What was sent for the probes that one connection sends in one go.

use crate::stand::{Client, Stand};

/// What is sent before, by whom, and what is sent then.
pub(super) enum Script {
    /// On a connection that has sent nothing; `{login}` is put in.
    Fresh(&'static str),
    /// On one that speaks the version.
    Open(&'static str, &'static str),
    /// Subscribes to `/queue/q` as `s1`, then sends.
    Round(&'static str, &'static str),
}

impl Script {
    pub(super) const fn version(&self) -> &'static str {
        match self {
            Self::Fresh(_) => "1.2",
            Self::Open(version, _) | Self::Round(version, _) => version,
        }
    }
}

/// What was sent for a probe. Frames end with `^@`.
pub(super) fn script(name: &str) -> Option<Script> {
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
        "over-long header 20 kB" => {
            Open("1.2", "SEND\ndestination:/queue/q\nreceipt:r\nlong:{long}\n\nx^@")
        }
        "DISCONNECT receipt" => Open("1.2", "DISCONNECT\nreceipt:bye\n\n^@"),
        _ => return None,
    })
}

pub(super) async fn play(stand: &Stand, script: &Script, queue: &str) -> Client {
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
    let text = text.replace("{later}", &later).replace("{long}", &"x".repeat(20_000));
    let text = text.replace("{login}", &stand.login()).replace("/queue/q", queue);
    client.raw(text.replace("^@", "\0").as_bytes()).await;
    client
}
