//! What no peer sends: it is an error, costs no more than its frame, and never a panic.

use bytes::{BufMut as _, Bytes, BytesMut};
use outflow_face_openwire::wire::{
    BrokerInfo, Command, ConnectionError, ConnectionId, DataArrayResponse, DataResponse, Decoder,
    EncodeError, Encoder, MessageAck, ProducerId, ProducerInfo, RemoveInfo, SessionInfo, Throwable,
    WireError, WireFormat,
};

use crate::frames;

fn loose(version: u8) -> WireFormat {
    WireFormat { version, ..WireFormat::initial(1 << 20) }
}

#[test]
fn every_cut_of_every_kind_of_frame_is_an_error() {
    for (format, frame) in frames::golden() {
        for len in 0..frame.len() {
            let cut = frame.slice(..len);
            assert!(Decoder::new(format.clone()).decode(&cut).is_err(), "{format:?} {len}");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_a_command_that_can_be_written() {
    for (format, frame) in frames::golden() {
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(command) = Decoder::new(format.clone()).decode(&flipped.into()) {
                let mut out = BytesMut::new();
                Encoder::new(format.clone()).encode(&command, &mut out).expect("what was read");
            }
        }
    }
}

#[test]
fn a_frame_is_whole_however_it_is_cut() {
    for size_prefix in [true, false] {
        let format =
            WireFormat { tight: true, cache: true, stack_traces: true, size_prefix, ..loose(12) };
        let mut encoder = Encoder::new(format.clone());
        let mut bytes = BytesMut::new();
        for command in frames::commands() {
            encoder.encode(&command, &mut bytes).unwrap();
        }
        let mut decoder = Decoder::new(format);
        let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
        for byte in bytes {
            buffer.put_u8(byte);
            while let Some(command) = decoder.read(&mut buffer).unwrap() {
                found.push(command);
            }
        }
        assert_eq!(found, frames::commands());
    }
}

#[test]
fn a_value_that_a_part_of_a_frame_kept_is_not_found_by_the_whole() {
    let format = WireFormat { cache: true, cache_size: 200, size_prefix: false, ..loose(2) };
    // An ack, whose destination is kept at the first place; in the second one the destination is
    // what is there, and that there is no transaction is kept there instead.
    let head = [22, 0, 0, 0, 7, 0];
    let (absent, rest) = ([1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 0]);
    let queue = [&[1, 0, 0, 1, 100, 1, 0, 1][..], b"q"].concat();
    let first = [&head, &queue[..], &absent, &absent, &rest].concat();
    let second = [&head[..], &[0, 0, 0], &[1, 0, 0, 0], &absent, &rest].concat();
    let bytes = [first, second].concat();
    let read = |piece: usize| {
        let mut decoder = Decoder::new(format.clone());
        let (mut buffer, mut commands) = (BytesMut::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(command) = decoder.read(&mut buffer).unwrap() {
                commands.push(command);
            }
        }
        assert!(buffer.is_empty());
        commands
    };
    let whole = read(bytes.len());
    let Some(Command::MessageAck(ack)) = whole.get(1) else { panic!("{whole:?}") };
    let name = |ack: &MessageAck| ack.destination.as_ref()?.physical_name.clone();
    assert_eq!(name(ack).as_deref(), Some("q"));
    for piece in 1..bytes.len() {
        assert_eq!(read(piece), whole, "in pieces of {piece}");
    }
}

#[test]
fn a_size_is_refused_before_its_bytes_come() {
    let mut decoder = Decoder::new(WireFormat::initial(1000));
    let mut buffer = BytesMut::from(&1001_i32.to_be_bytes()[..]);
    assert_eq!(decoder.read(&mut buffer), Err(WireError::TooLarge { len: 1001, max: 1000 }));
    let mut buffer = BytesMut::from(&(-1_i32).to_be_bytes()[..]);
    assert_eq!(decoder.read(&mut buffer), Err(WireError::NegativeLength { at: 0 }));
}

#[test]
fn unknown_types_and_types_of_later_versions_are_refused() {
    for code in [13, 44, 99, 125, 200, 255] {
        let frame = Bytes::from(vec![code, 0, 0, 0, 0, 0]);
        let error = Decoder::new(loose(12)).decode(&frame).unwrap_err();
        assert!(
            matches!(
                error,
                WireError::UnknownType { code: found, .. }
                | WireError::UnexpectedType { code: found, .. } if found == code
            ),
            "{error}"
        );
    }
    // ProducerAck came with version 3.
    let ack = Bytes::from_static(&[19, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        Decoder::new(loose(2)).decode(&ack),
        Err(WireError::UnknownType { code: 19, at: 1 })
    );
    assert!(Decoder::new(loose(3)).decode(&ack).is_ok());
    let command = Decoder::new(loose(3)).decode(&ack).unwrap();
    assert_eq!(
        Encoder::new(loose(2)).encode(&command, &mut BytesMut::new()),
        Err(EncodeError::NewerType { code: 19, version: 2 })
    );
}

#[test]
fn a_value_of_another_type_is_refused_where_one_is_due() {
    // SessionInfo whose session is a connection.
    let frame = Bytes::from_static(&[4, 0, 0, 0, 1, 0, 1, 120, 0]);
    assert_eq!(
        Decoder::new(loose(12)).decode(&frame),
        Err(WireError::UnexpectedType { code: 120, at: 8 })
    );
}

#[test]
fn a_list_longer_than_its_frame_is_refused_at_once() {
    // 32,767 missing brokers of a tight frame take one bit each.
    let mut frame = BytesMut::from(&[2, 0x80, 0x10, 0x00][..]);
    frame.put_bytes(0b0000_1000, 1);
    frame.put_bytes(0, 0x0FFF);
    frame.put_slice(&[0, 0, 0, 1, 0x7F, 0xFF]);
    let format = WireFormat { tight: true, ..loose(12) };
    let error = Decoder::new(format).decode(&frame.freeze()).unwrap_err();
    assert!(matches!(error, WireError::TooMany { .. }), "{error}");
}

#[test]
fn values_nested_too_deep_are_refused() {
    let nest = |depth: usize| {
        (0..depth).fold(Command::from(SessionInfo::default()), |inner, _| {
            DataResponse { data: Some(Box::new(inner)), ..DataResponse::default() }.into()
        })
    };
    let mut frame = BytesMut::new();
    let format = WireFormat { size_prefix: false, ..loose(12) };
    Encoder::new(format.clone()).encode(&nest(16), &mut frame).unwrap();
    assert!(Decoder::new(format.clone()).decode(&frame.split().freeze()).is_ok());
    Encoder::new(format.clone()).encode(&nest(17), &mut frame).unwrap();
    let error = Decoder::new(format.clone()).decode(&frame.split().freeze()).unwrap_err();
    assert!(matches!(error, WireError::TooDeep { max: 16, .. }), "{error}");

    let causes = (0..1000).fold(None, |cause, _| {
        Some(Box::new(Throwable { cause, ..Throwable::new("java.lang.Error", "again") }))
    });
    let error = ConnectionError { exception: causes.map(|one| *one), ..ConnectionError::default() };
    let format = WireFormat { stack_traces: true, ..format };
    Encoder::new(format.clone()).encode(&error.into(), &mut frame).unwrap();
    let error = Decoder::new(format).decode(&frame.freeze()).unwrap_err();
    assert!(matches!(error, WireError::TooDeep { max: 16, .. }), "{error}");
}

#[test]
fn an_index_that_is_not_cached_is_refused() {
    let format = WireFormat { cache: true, cache_size: 200, ..loose(12) };
    let session = |new: u8, index: i16| {
        let mut frame = BytesMut::from(&[4, 0, 0, 0, 1, 0, new][..]);
        frame.put_i16(index);
        if new == 1 {
            frame.put_slice(&[1, 121, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        }
        frame.freeze()
    };
    let mut decoder = Decoder::new(format);
    for index in [5, 200, i16::MAX, -1, i16::MIN] {
        let error = decoder.decode(&session(0, index)).unwrap_err();
        assert_eq!(error, WireError::NotCached { index, at: 7 });
    }
    for index in [200, i16::MAX, -2] {
        let error = decoder.decode(&session(1, index)).unwrap_err();
        assert_eq!(error, WireError::NotCached { index, at: 7 });
    }
    // -1 is "not kept", and the value stands there.
    let first = decoder.decode(&session(1, -1)).unwrap();
    assert_eq!(decoder.decode(&session(1, 5)), Ok(first.clone()));
    assert_eq!(decoder.decode(&session(0, 5)), Ok(first));
    // A session is no connection.
    let transaction = Bytes::from_static(&[7, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 5, 0]);
    assert_eq!(decoder.decode(&transaction), Err(WireError::UnexpectedType { code: 121, at: 7 }));
}

#[test]
fn a_peer_cannot_have_any_amount_kept() {
    let format = WireFormat { cache: true, cache_size: 16_383, ..loose(12) };
    let mut decoder = Decoder::new(format);
    let mut session = |index: i16| {
        let mut frame = BytesMut::from(&[4, 0, 0, 0, 1, 0, 1][..]);
        frame.put_i16(index);
        frame.put_slice(&[1, 121, 1, 0x80, 0]);
        frame.put_bytes(b'x', 0x8000);
        frame.put_i64(7);
        decoder.decode(&frame.freeze())
    };
    // The same place again and again costs what one value costs.
    for index in (0..128).chain([5; 1000]) {
        assert!(session(index).is_ok(), "{index}");
    }
    assert_eq!(session(128), Err(WireError::CacheFull { max: 1 << 22, at: 7 }));
}

#[test]
fn a_command_that_cannot_be_written_leaves_nothing_behind() {
    let format = WireFormat { tight: true, cache: true, ..loose(12) };
    let (mut encoder, mut decoder) = (Encoder::new(format.clone()), Decoder::new(format));
    let mut out = BytesMut::new();
    let connection = ConnectionId { value: Some("ID:a".into()) };
    let producer = ProducerId { connection_id: Some("ID:a".into()), value: 1, session_id: 1 };
    let bad = BrokerInfo { broker_name: Some("x".repeat(40_000).into()), ..BrokerInfo::default() };
    let list: Command = DataArrayResponse {
        data: Some(vec![
            Some(Box::new(
                ProducerInfo { producer_id: Some(producer.clone()), ..ProducerInfo::default() }
                    .into(),
            )),
            Some(Box::new(bad.into())),
        ]),
        ..DataArrayResponse::default()
    }
    .into();
    assert_eq!(
        encoder.encode(&list, &mut out),
        Err(EncodeError::TextTooLong { len: 40_000, max: 32_766 })
    );
    assert!(out.is_empty());
    // The peer has not been given the producer: it must not be named by an index.
    for object in [producer.into(), connection.into()] {
        let remove: Command =
            RemoveInfo { object_id: Some(object), ..RemoveInfo::default() }.into();
        encoder.encode(&remove, &mut out).unwrap();
        assert_eq!(decoder.read(&mut out), Ok(Some(remove)));
    }
}

#[test]
fn a_peer_is_sent_no_frame_larger_than_it_takes() {
    let format = WireFormat { max_frame_size: 40, ..loose(12) };
    let info = ConnectionId { value: Some("x".repeat(33).into()) };
    let mut out = BytesMut::from(&b"before"[..]);
    Encoder::new(format.clone()).encode(&info.into(), &mut out).unwrap();
    let info = ConnectionId { value: Some("x".repeat(37).into()) };
    let len = out.len();
    assert_eq!(
        Encoder::new(format).encode(&info.into(), &mut out),
        Err(EncodeError::TooLarge { len: 41, max: 40 })
    );
    assert_eq!(out.len(), len);
}

#[test]
fn a_password_is_not_printed() {
    let frame = frames::connection_info("hush");
    assert!(!format!("{frame:?}").contains("hush"), "{frame:?}");
}
