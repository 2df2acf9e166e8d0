//! The encoder against independent decoders: whole, and nothing held back at any piece.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::read::{GzDecoder, MultiGzDecoder};
use outflow_face_ndjson::wire::{Coding, Encoder};
use outflow_model::{Meta, Offset, Timestamp};
use outflow_store::Block;
use outflow_store::block::BlockHead;
use proptest::prelude::*;

/// What a connection may send.
#[derive(Debug, Clone)]
enum Piece {
    Block(Vec<Vec<u8>>),
    Line(Vec<u8>),
    Heartbeat,
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let line = proptest::collection::vec(0x20u8..0x7f, 1..300);
    let piece = prop_oneof![
        3 => proptest::collection::vec(line.clone(), 1..20).prop_map(Piece::Block),
        1 => line.prop_map(Piece::Line),
        2 => Just(Piece::Heartbeat),
    ];
    proptest::collection::vec(piece, 0..12)
}

fn block(lines: &[Vec<u8>]) -> Block {
    let (mut plain, mut metas) = (Vec::new(), Vec::new());
    for (at, line) in lines.iter().enumerate() {
        plain.extend_from_slice(line);
        plain.push(b'\n');
        let offset = Offset::FIRST.plus(at as u64);
        Meta { offset, line_len: line.len() as u32 + 1, ..Meta::default() }.encode(&mut metas);
    }
    let head = BlockHead {
        first: Offset::FIRST,
        last: Offset::FIRST.plus(lines.len() as u64 - 1),
        count: lines.len() as u32,
        first_at: Timestamp::default(),
        last_at: Timestamp::default(),
    };
    Block::plain(head, plain.into(), metas.into())
}

/// Each piece as sent, with the plain bytes it stands for.
fn send(coding: Coding, pieces: &[Piece]) -> Vec<(Bytes, Vec<u8>)> {
    let mut encoder = Encoder::new(coding);
    let mut sent: Vec<_> = encoder.begin().into_iter().map(|bytes| (bytes, Vec::new())).collect();
    for piece in pieces {
        sent.push(match piece {
            Piece::Block(lines) => {
                let block = block(lines);
                (encoder.block(&block).unwrap(), block.lines().unwrap().to_vec())
            }
            Piece::Line(line) => {
                let line = [line, &b"\n"[..]].concat();
                (encoder.line(&line), line)
            }
            Piece::Heartbeat => (encoder.heartbeat(), b"\n".to_vec()),
        });
    }
    sent.extend(encoder.end().map(|bytes| (bytes, Vec::new())));
    sent
}

fn joined(sent: &[(Bytes, Vec<u8>)]) -> (Vec<u8>, Vec<u8>) {
    let wire = sent.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
    let plain = sent.iter().flat_map(|(_, plain)| plain.iter().copied()).collect();
    (wire, plain)
}

fn read_all(mut decoder: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    decoder.read_to_end(&mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn gzip_is_one_whole_member(pieces in pieces()) {
        let (wire, plain) = joined(&send(Coding::Gzip, &pieces));
        // Both check CRC and length; the first would stop after one member, the second goes on.
        prop_assert_eq!(&read_all(GzDecoder::new(&wire[..])), &plain);
        let mut rest = &wire[..];
        read_all(GzDecoder::new(&mut rest));
        prop_assert!(rest.is_empty(), "there is one member only");
        prop_assert_eq!(read_all(MultiGzDecoder::new(&wire[..])), plain);
    }

    #[test]
    fn zstd_is_whole(pieces in pieces()) {
        let (wire, plain) = joined(&send(Coding::Zstd, &pieces));
        prop_assert_eq!(zstd::decode_all(&wire[..]).unwrap(), plain);
    }

    #[test]
    fn identity_is_the_lines(pieces in pieces()) {
        let (wire, plain) = joined(&send(Coding::Identity, &pieces));
        prop_assert_eq!(wire, plain);
    }

    #[test]
    fn gzip_holds_nothing_back(pieces in pieces()) {
        let mut decoder = flate2::write::GzDecoder::new(Vec::new());
        let mut expected = Vec::new();
        for (bytes, plain) in send(Coding::Gzip, &pieces) {
            decoder.write_all(&bytes).unwrap();
            decoder.flush().unwrap();
            expected.extend(plain);
            prop_assert_eq!(decoder.get_ref(), &expected);
        }
        prop_assert!(decoder.finish().is_ok());
    }

    #[test]
    fn zstd_holds_nothing_back(pieces in pieces()) {
        let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).unwrap();
        let mut expected = Vec::new();
        for (bytes, plain) in send(Coding::Zstd, &pieces) {
            decoder.write_all(&bytes).unwrap();
            decoder.flush().unwrap();
            expected.extend(plain);
            prop_assert_eq!(decoder.get_ref(), &expected);
        }
    }
}

#[test]
fn a_silent_stream_is_an_empty_member() {
    let (wire, _) = joined(&send(Coding::Gzip, &[]));
    assert_eq!(read_all(GzDecoder::new(&wire[..])), b"");
}

#[test]
fn the_longest_line_is_whole() {
    let line = [vec![b'x'; outflow_face_ndjson::wire::MAX_LINE_BYTES - 1], vec![b'\n']].concat();
    for coding in [Coding::Gzip, Coding::Zstd] {
        let mut encoder = Encoder::new(coding);
        let begin = encoder.begin().unwrap_or_default();
        let sent = [begin, encoder.line(&line), encoder.end().unwrap_or_default()].concat();
        let plain = match coding {
            Coding::Gzip => read_all(GzDecoder::new(&sent[..])),
            Coding::Zstd | Coding::Identity => zstd::decode_all(&sent[..]).unwrap(),
        };
        assert_eq!(plain, line);
        assert_eq!(
            encoder.line(&[line.clone(), line.clone()].concat()),
            "",
            "longer ones are not sent"
        );
    }
}
