//! Properties, bodies and offers: values with their types.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::{Compression, write::ZlibEncoder};
use outflow_face_openwire::wire::body::{self, Body, BodyError};
use outflow_face_openwire::wire::primitive::{
    Map, Primitive, PrimitiveError, VALUES_MAX, read_map, read_values, write_map, write_values,
};
use outflow_face_openwire::wire::{
    MAGIC, Message, MessageKind, Offer, OfferError, WireFormatInfo, utf8,
};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\x00\u{7f}-\u{800}\u{fffd}-\u{10010}]{0,20}",
        Just("\u{1F600}".repeat(5000)),
        Just("x".repeat(8190)),
        Just("x".repeat(8191)),
    ]
}

fn value() -> impl Strategy<Value = Primitive> {
    let leaf = prop_oneof![
        Just(Primitive::Null),
        any::<bool>().prop_map(Primitive::Bool),
        any::<i8>().prop_map(Primitive::Byte),
        any::<u16>().prop_map(Primitive::Char),
        any::<i16>().prop_map(Primitive::Short),
        any::<i32>().prop_map(Primitive::Int),
        any::<i64>().prop_map(Primitive::Long),
        any::<f64>().prop_map(Primitive::Double),
        any::<f32>().prop_map(Primitive::Float),
        text().prop_map(|text| Primitive::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Primitive::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let names = (any::<String>().prop_map(Into::into), inner.clone());
        prop_oneof![
            proptest::collection::vec(names, 0..4).prop_map(Primitive::Map),
            proptest::collection::vec(inner, 0..4).prop_map(Primitive::List),
        ]
    })
}

proptest! {
    #[test]
    fn values_are_read_as_they_were_written(values in proptest::collection::vec(value(), 0..6)) {
        let bytes = write_values(&values).unwrap();
        prop_assert_eq!(read_values(&bytes), Ok(values.clone()));
        let map: Map = values.into_iter().enumerate()
            .map(|(at, value)| (at.to_string().into(), value))
            .collect();
        let bytes = write_map(&map).unwrap();
        prop_assert_eq!(read_map(&bytes), Ok(Some(map)));
        for len in 1..bytes.len().min(500) {
            let _ = read_map(&bytes.slice(..len));
        }
    }

    #[test]
    fn text_is_read_as_it_was_written(text in text()) {
        let mut bytes = Vec::new();
        utf8::encode(&text, &mut bytes);
        prop_assert_eq!(bytes.len(), utf8::encoded_len(&text));
        prop_assert_eq!(utf8::decode(&bytes).unwrap(), text.as_str());
        let content = body::write_text(&text).unwrap();
        prop_assert_eq!(body::read_text(&content), Ok(Some(text)));
    }

    #[test]
    fn any_bytes_are_text_or_an_error(bytes: Vec<u8>) {
        if let Ok(text) = utf8::decode(&bytes) {
            let mut again = Vec::new();
            utf8::encode(&text, &mut again);
            prop_assert_eq!(utf8::decode(&again).unwrap(), text);
        }
    }
}

#[test]
fn what_java_writes_is_read_as_it_means() {
    assert_eq!(
        utf8::decode(b"\xC0\x80\xED\xA0\xBD\xED\xB8\x80\xC3\xA9").unwrap(),
        "\0\u{1F600}\u{e9}"
    );
    // A Java string may end within a pair.
    assert_eq!(utf8::decode(b"a\xED\xA0\xBDb").unwrap(), "a\u{FFFD}b");
    assert_eq!(utf8::decode(b"a\xED\xB8\x80").unwrap(), "a\u{FFFD}");
    assert_eq!(utf8::decode(b"ab\xC3").unwrap_err().at, 2);
    assert_eq!(utf8::decode(b"ab\xC3a").unwrap_err().at, 2);
}

#[test]
fn a_map_with_more_values_than_it_has_bytes_for_is_refused() {
    let claims = Bytes::from_static(&[0x7F, 0xFF, 0xFF, 0xFF]);
    assert_eq!(read_map(&claims), Err(PrimitiveError::Truncated));
    assert_eq!(read_map(&Bytes::from_static(&[0xFF; 4])), Ok(None));
    assert_eq!(read_map(&Bytes::new()), Ok(None));
    let mut nulls = BytesMut::from(&[12, 0, 1, 0, 0][..]);
    nulls.put_bytes(0, 0x1_0000);
    assert_eq!(read_values(&nulls.split().freeze()), Err(PrimitiveError::TooMany));
    assert_eq!(read_values(&vec![0; VALUES_MAX].into()).map(|values| values.len()), Ok(VALUES_MAX));
    let deep: Vec<u8> = [12, 0, 0, 0, 1].repeat(1000);
    assert_eq!(read_values(&deep.into()), Err(PrimitiveError::TooDeep));
    assert_eq!(
        read_values(&Bytes::from_static(&[14])),
        Err(PrimitiveError::UnknownTag { tag: 14 })
    );
}

fn deflated(prefix: &[u8], bytes: &[u8]) -> Bytes {
    let mut encoder = ZlibEncoder::new(prefix.to_vec(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap().into()
}

fn message(kind: MessageKind, content: Bytes, compressed: bool) -> Message {
    Message { kind, content: Some(content.into()), compressed, ..Message::default() }
}

#[test]
fn a_compressed_body_is_inflated_as_far_as_allowed() {
    let text = "na\u{ef}ve ".repeat(100);
    let content = body::write_text(&text).unwrap();
    let packed = message(MessageKind::Text, deflated(&[], &content), true);
    assert_eq!(body::read(&packed, content.len()), Ok(Body::Text(text)));
    let max = content.len() - 1;
    assert_eq!(body::read(&packed, max), Err(BodyError::TooLarge { max }));

    // The length of bytes stands before them: what a client's buffer had behind them is no part.
    let packed = message(MessageKind::Bytes, deflated(&[0, 0, 0, 3], b"raw\0\0\0"), true);
    assert_eq!(body::read(&packed, 100), Ok(Body::Bytes(Bytes::from_static(b"raw"))));

    let bomb = message(MessageKind::Object, deflated(&[], &vec![0; 10 << 20]), true);
    assert_eq!(body::read(&bomb, 1 << 20), Err(BodyError::TooLarge { max: 1 << 20 }));
    let bad = message(MessageKind::Map, Bytes::from_static(b"no zlib"), true);
    assert_eq!(body::read(&bad, 100), Err(BodyError::Damaged));
}

#[test]
fn each_kind_of_body_is_what_it_holds() {
    let map: Map = vec![("a".into(), Primitive::Int(1)), ("b".into(), Primitive::Null)];
    let content = write_map(&map).unwrap();
    assert_eq!(body::read(&message(MessageKind::Map, content, false), 0), Ok(Body::Map(map)));
    let values = vec![Primitive::Bool(true), Primitive::Text("x".into())];
    let content = write_values(&values).unwrap();
    assert_eq!(
        body::read(&message(MessageKind::Stream, content, false), 0),
        Ok(Body::Stream(values))
    );
    let object = Bytes::from_static(b"\xAC\xED\0\x05");
    assert_eq!(
        body::read(&message(MessageKind::Object, object.clone(), false), 0),
        Ok(Body::Object(object))
    );
    assert_eq!(body::read(&Message::default(), 0), Ok(Body::Nothing));
    let short = message(MessageKind::Text, Bytes::from_static(&[0, 0, 0, 9, b'x']), false);
    assert_eq!(body::read(&short, 100), Err(BodyError::Truncated));
}

fn ours() -> Offer {
    Offer {
        version: 12,
        tight: true,
        cache: true,
        cache_size: 1024,
        max_frame_size: 1 << 20,
        max_inactivity_ms: 30_000,
        initial_delay_ms: 10_000,
        host: Some("h".into()),
        ..Offer::default()
    }
}

#[test]
fn an_offer_is_read_as_it_was_made() {
    let info = ours().to_info().unwrap();
    assert_eq!(Offer::from_info(&info), Ok(ours()));
    let none = WireFormatInfo { magic: *MAGIC, version: 3, marshalled_properties: None };
    assert_eq!(Offer::from_info(&none), Ok(Offer { version: 3, ..Offer::default() }));
    let stomp = WireFormatInfo { magic: *b"CONNECT\n", ..none.clone() };
    assert_eq!(Offer::from_info(&stomp), Err(OfferError::NotOpenWire));
    let version = WireFormatInfo { version: 0, ..none.clone() };
    assert_eq!(Offer::from_info(&version), Err(OfferError::NoVersion { version: 0 }));
    let many: Map = (0..65).map(|at| (at.to_string().into(), Primitive::Null)).collect();
    let many = WireFormatInfo { marshalled_properties: Some(write_map(&many).unwrap()), ..none };
    assert_eq!(Offer::from_info(&many), Err(OfferError::TooManyOptions));
}

#[test]
fn two_sides_speak_what_both_can() {
    let old = Offer { version: 3, tight: true, max_inactivity_ms: 10_000, ..Offer::default() };
    let agreed = ours().agree(&old);
    assert_eq!((agreed.version, agreed.tight, agreed.cache), (3, true, false));
    assert_eq!((agreed.size_prefix, agreed.stack_traces), (true, false));
    assert_eq!(agreed.max_frame_size, 1 << 20);
    assert_eq!(ours().agree_inactivity_ms(&old), Some(10_000));
    assert_eq!(ours().agree_inactivity_ms(&Offer::default()), None);
    // A later release still speaks what is known here; no cache size is any.
    let new = Offer { version: 200, cache: true, cache_size: 0, ..ours() };
    let agreed = new.agree(&Offer { max_frame_size: 0, ..new.clone() });
    assert_eq!((agreed.version, agreed.cache_size, agreed.max_frame_size), (12, 16_383, 1 << 20));
    assert_eq!(ours().agree(&new).cache_size, 16_383);
}
