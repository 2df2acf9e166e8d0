//! Bodies and properties leave as they came, byte for byte, and none is built twice.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use outflow_auth::Presented;
use outflow_face_openwire::wire::primitive::{Primitive, write_map, write_values};
use outflow_face_openwire::wire::{
    Destination, DestinationKind, Message, MessageDispatch, MessageKind, body,
};
use outflow_model::{Draft, StreamName};

use crate::stand::{Client, Stand, project, queue, text_of};

/// What a message is made of that is for its receivers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    kind: MessageKind,
    content: Option<Bytes>,
    compressed: bool,
    properties: Option<Bytes>,
}

impl Sample {
    fn new(kind: MessageKind, content: impl Into<Bytes>) -> Self {
        Self { kind, content: Some(content.into()), compressed: false, properties: None }
    }

    /// The same, deflated as Java clients do.
    fn deflated(self) -> Self {
        let content = self.content.unwrap();
        let mut prefix = Vec::new();
        if self.kind == MessageKind::Bytes {
            prefix.put_i32(content.len() as i32);
        }
        let mut encoder = ZlibEncoder::new(prefix, Compression::default());
        encoder.write_all(&content).unwrap();
        let content = Some(encoder.finish().unwrap().into());
        Self { content, compressed: true, ..self }
    }

    fn with(self, properties: impl Into<Bytes>) -> Self {
        Self { properties: Some(properties.into()), ..self }
    }

    fn of(message: &Message) -> Self {
        Self {
            kind: message.kind.clone(),
            content: message.content.as_ref().map(|content| content.to_bytes()),
            compressed: message.compressed,
            properties: message.marshalled_properties.clone(),
        }
    }

    fn to_message(&self, client: &mut Client, to: &Destination) -> Message {
        Message {
            kind: self.kind.clone(),
            content: self.content.clone().map(Into::into),
            compressed: self.compressed,
            marshalled_properties: self.properties.clone(),
            ..client.text(to, "")
        }
    }
}

/// A text as the wire has it, whatever its bytes are.
fn text(bytes: &[u8]) -> Sample {
    let mut content = BytesMut::new();
    content.put_i32(bytes.len() as i32);
    content.put_slice(bytes);
    Sample::new(MessageKind::Text, content.freeze())
}

/// Properties as the wire has them, of entries that are written already.
fn entries(count: i32, entries: &[u8]) -> Vec<u8> {
    let mut map = Vec::new();
    map.put_i32(count);
    map.put_slice(entries);
    map
}

fn properties() -> Bytes {
    let map = vec![
        ("text".into(), Primitive::Text("caf\u{e9} \u{1F600} \"quoted\"\n".into())),
        ("yes".into(), Primitive::Bool(true)),
        ("byte".into(), Primitive::Byte(-3)),
        ("char".into(), Primitive::Char(0x20AC)),
        ("short".into(), Primitive::Short(300)),
        ("int".into(), Primitive::Int(5)),
        ("long".into(), Primitive::Long(1 << 40)),
        ("float".into(), Primitive::Float(2.5)),
        ("double".into(), Primitive::Double(0.1)),
        ("type".into(), Primitive::Text("a field's name".into())),
        ("outflow-body".into(), Primitive::Text("a header's name".into())),
        ("long text".into(), Primitive::Text("x".repeat(9_000).into())),
    ];
    write_map(&map).unwrap()
}

/// What is sent: bodies of each kind, some written as no Java client does.
fn samples() -> Vec<Sample> {
    let java = |said: &str| Sample::new(MessageKind::Text, body::write_text(said).unwrap());
    let map = vec![("a".into(), Primitive::Int(1)), ("b".into(), Primitive::Null)];
    let map = Sample::new(MessageKind::Map, write_map(&map).unwrap());
    let values = [Primitive::Bool(true), Primitive::Bytes(Bytes::from_static(b"\xff\0"))];
    let stream = Sample::new(MessageKind::Stream, write_values(&values).unwrap());
    let bytes = |bytes: &'static [u8]| Sample::new(MessageKind::Bytes, Bytes::from_static(bytes));
    let object = Sample::new(MessageKind::Object, &b"\xAC\xED\0\x05t\0\x01x"[..]);
    let plain = Sample { content: None, ..Sample::new(MessageKind::Plain, Bytes::new()) };
    let none = |kind| Sample { kind, content: None, ..plain.clone() };
    let long = "na\u{ef}ve \u{1F600}\n".repeat(100);
    let nan = [&b"\0\x01n\x07"[..], &0x7FF8_0000_0000_0001_u64.to_be_bytes()].concat();
    vec![
        java(""),
        java("plain"),
        java("{\"a\": 1.50, \"a\":\"\u{e9}\"}"),
        java("{\"a\":\n 1}"),
        java("two\nlines, \"quoted\\\""),
        java("\u{e9}\u{20AC}\u{1F600}\0"),
        text(b"a surrogate alone: \xED\xA0\x80"),
        text("UTF-8 that is not modified: \u{1F600}\0".as_bytes()),
        text(b"longer than it has to be: \xC1\x81"),
        Sample::new(MessageKind::Text, &b"\0\0\0\x01abc"[..]),
        Sample::new(MessageKind::Text, &b"\xff\xff\xff\xff"[..]),
        Sample::new(MessageKind::Text, Bytes::new()),
        none(MessageKind::Text),
        bytes(b""),
        bytes(b"text"),
        bytes(b"{\"a\":[1,2]}"),
        bytes("\"\u{e9}\u{1F600}\n\0".as_bytes()),
        bytes(b"\xff\xfe\0"),
        none(MessageKind::Bytes),
        map.clone(),
        none(MessageKind::Map),
        stream.clone(),
        object.clone(),
        plain.clone(),
        Sample { content: Some(Bytes::from_static(b"unheard of")), ..plain.clone() },
        java(&long).deflated(),
        java("{\"a\":1}").deflated(),
        bytes(b"\xff\xfe\0").deflated(),
        map.deflated(),
        stream.deflated(),
        object.deflated(),
        plain.clone().with(properties()),
        java("{}").with(properties()),
        java(&long).deflated().with(properties()),
        // Nothing, twice the same name, a name that other headers have, a text with a length of four
        // bytes that needs two, one that is no text, and a number that is none.
        plain.clone().with(entries(0, b"")),
        plain.clone().with(entries(-1, b"")),
        plain.clone().with(entries(2, b"\0\x01n\0\0\x01m\x01\x01")),
        plain.clone().with(entries(2, b"\0\x01n\x09\0\x01a\0\x01n\x09\0\x01b")),
        plain.clone().with(entries(1, b"\0\x0aproperty:a\x09\0\x01b")),
        plain.clone().with(entries(1, b"\0\x01n\x0d\0\0\0\x01a")),
        plain.clone().with(entries(1, b"\0\x01n\x09\0\x03\xED\xA0\x80")),
        plain.with(entries(1, &nan)),
    ]
}

#[tokio::test]
async fn what_came_by_openwire_leaves_by_it_as_it_came() {
    let stand = Stand::new().await;
    let samples = samples();
    for version in 1..=12 {
        for tight in [false, true] {
            let mut client = stand.dial_as(&format!("ID:b{version}{tight}"), version, tight).await;
            client.login(&stand.secret, None).await.unwrap();
            let queue = queue(&format!("bodies.{version}.{tight}"));
            for sample in &samples {
                let message = sample.to_message(&mut client, &queue);
                client.publish(message).await.unwrap();
            }
            client.consume(1, &queue, 1_000).await.unwrap();
            for sample in &samples {
                let got = client.dispatch().await;
                let got = Sample::of(got.message.as_ref().unwrap());
                assert_eq!(got, *sample, "version {version}, tight: {tight}");
            }
        }
    }
}

/// What a consumer of the dead letters is given of what was refused.
#[tokio::test]
async fn a_dead_letter_has_the_body_that_came_and_says_why_it_is_one() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:dead:1").await;
    let sample = text(b"odd: \xED\xA0\x80").with(entries(2, b"\0\x01n\0\0\x01m\x01\x01"));
    let message = sample.to_message(&mut client, &queue("q"));
    client.publish(message).await.unwrap();
    client.consume(1, &queue("q"), 10).await.unwrap();
    let got = client.dispatch().await;
    client.ack(1, &got, &got).await.unwrap();
    client.consume(2, &queue("ActiveMQ.DLQ"), 10).await.unwrap();
    let dead = Sample::of(client.dispatch().await.message.as_ref().unwrap());
    assert_eq!(dead.content, sample.content);
    let names = body_properties(&dead);
    assert_eq!(names, ["dlqDeliveryFailureCause", "m", "originalExpiration"]);
}

fn body_properties(sample: &Sample) -> Vec<String> {
    let bytes = sample.properties.as_ref().unwrap();
    let map = outflow_face_openwire::wire::primitive::read_map(bytes).unwrap().unwrap();
    map.into_iter().map(|(name, _)| name.to_string()).collect()
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_twice_leaves_inflated() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:large:1").await;
    client.consume(1, &queue("q"), 100).await.unwrap();
    // Deflated it is no smaller, and an event has at most a mebibyte.
    let mut state = 1_u32;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as u8
    });
    let noise: Vec<u8> = noise.take(600_000).collect();
    for (len, is_kept) in [(100, true), (440_000, true), (460_000, false), (600_000, false)] {
        let sample = Sample::new(MessageKind::Bytes, noise[..len].to_vec());
        let message = sample.clone().deflated().to_message(&mut client, &queue("q"));
        client.publish(message).await.unwrap();
        let got = Sample::of(client.dispatch().await.message.as_ref().unwrap());
        assert_eq!(got, if is_kept { sample.deflated() } else { sample }, "{len} bytes");
    }
}

fn topic(name: &str) -> Destination {
    Destination::new(DestinationKind::Topic, name)
}

/// The next message of each client.
async fn next_of(clients: &mut [Client]) -> Vec<MessageDispatch> {
    let mut all = Vec::new();
    for client in clients {
        all.push(client.dispatch().await);
    }
    all
}

#[tokio::test]
async fn a_body_is_built_for_all_consumers_once_or_not_at_all() {
    let stand = Stand::new().await;
    let mut producer = stand.connect("ID:producer:1").await;
    let first = producer.text(&topic("feed"), "makes the stream");
    producer.publish(first).await.unwrap();
    let mut clients = Vec::new();
    for n in 0..4 {
        let mut client = stand.connect(&format!("ID:consumer:{n}")).await;
        client.consume(1, &topic("feed"), 100).await.unwrap();
        clients.push(client);
    }
    // By HTTP: one that is stored as frames have it, one that they spell otherwise, and one with
    // properties.
    let events = [
        r#"{"type":"OPEN","body":{"n":"é"}}"#,
        r#"{"type":"OPEN","body":{"n":"😀"}}"#,
        r#"{"type":"OPEN","headers":{"a":"b"},"body":"x"}"#,
    ];
    let grant = Presented::Bearer { project: None, token: &stand.secret };
    let grant = stand.auth.authenticate(&grant).unwrap();
    let stream = stand.hub.stream(&project(), &StreamName::new("feed").unwrap()).unwrap();
    for (event, built) in events.into_iter().zip([0, 1, 2]) {
        let mut draft = Draft::default();
        draft.push_json(event.as_bytes(), &stand.hub.rules(), stand.hub.rng()).unwrap();
        stand.hub.publish(&grant, &stream, draft).await.unwrap();
        let got = next_of(&mut clients).await;
        let (_, expected) = event.split_once("\"body\":").unwrap();
        let expected = &expected[..expected.len() - 1];
        assert!(got.iter().all(|one| text_of(one) == expected), "{event}");
        assert_eq!(stand.built(), built, "{event}");
    }
    // By OpenWire, deflated: what came goes out.
    let sample = text(b"packed").deflated();
    let message = sample.to_message(&mut producer, &topic("feed"));
    producer.publish(message).await.unwrap();
    for one in next_of(&mut clients).await {
        assert_eq!(Sample::of(one.message.as_ref().unwrap()), sample);
    }
    assert_eq!(stand.built(), 3);
}

#[tokio::test]
async fn what_is_stored_as_frames_have_it_is_never_built() {
    let stand = Stand::new().await;
    let mut client = stand.connect("ID:plain:1").await;
    client.consume(1, &queue("q"), 100).await.unwrap();
    for text in ["{\"md5\":\"\u{e9}\"}", "plain \u{20AC}", ""] {
        let message = client.text(&queue("q"), text);
        client.publish(message).await.unwrap();
        assert_eq!(text_of(&client.dispatch().await), text);
    }
    assert_eq!(stand.built(), 0);
}
