//! Blocks: pieces of one gzip stream, cuts, selections, damage.

use std::io::Read;

use outflow_model::{Offset, StreamId, Timestamp};
use outflow_store::block::{BlockHead, MAX_BLOCK_BYTES};
use outflow_store::contract::{reader::events_of, sample};
use outflow_store::{Block, BlockError, Deflated, crc};
use proptest::prelude::*;

const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const FIRST: Offset = Offset::FIRST;

/// A block of events of these sizes, one millisecond apart.
fn block(first: Offset, sizes: &[usize]) -> Block {
    let (mut lines, mut metas) = (Vec::new(), Vec::new());
    for (n, &size) in (0..).zip(sizes) {
        let at = AT.plus_millis(n);
        let one = sample::append(StreamId(1), first.plus(n as u64), &[size], at);
        lines.extend_from_slice(&one.lines);
        metas.extend_from_slice(&one.metas);
    }
    let n = sizes.len() as u64;
    let (last, last_at) = (first.plus(n - 1), AT.plus_millis(n as i64 - 1));
    let head = BlockHead { first, last, count: n as u32, first_at: AT, last_at };
    Block::plain(head, lines.into(), metas.into())
}

/// The same block as it comes from storage.
fn stored(block: &Block) -> Block {
    let (metas, metas_len) = block.deflated_metas().unwrap();
    Block::stored(block.head(), block.deflated().unwrap().clone(), metas, metas_len)
}

/// One gzip member of pieces, with the checksum joined from theirs (RFC 1952).
fn gzip_member(pieces: &[&Deflated]) -> Vec<u8> {
    let mut member = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut crc, mut len) = (0, 0u32);
    for piece in pieces {
        member.extend_from_slice(&piece.bytes);
        crc = crc::join(crc, piece.crc, piece.operator);
        len = len.wrapping_add(piece.plain_len);
    }
    member.extend_from_slice(&[3, 0]);
    member.extend_from_slice(&crc.to_le_bytes());
    member.extend_from_slice(&len.to_le_bytes());
    member
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![9 => 60..400usize, 1 => 400..70_000usize], 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_in_any_order_are_one_gzip_stream(blocks in prop::collection::vec(sizes(), 1..8)) {
        let blocks: Vec<_> = blocks.iter().map(|sizes| block(FIRST, sizes)).collect();
        let pieces: Vec<_> = blocks.iter().map(|block| block.deflated().unwrap()).collect();
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(&*gzip_member(&pieces)).read_to_end(&mut whole).unwrap();
        let plain: Vec<u8> =
            blocks.iter().flat_map(|block| block.lines().unwrap().to_vec()).collect();
        prop_assert!(whole == plain);
    }

    #[test]
    fn a_piece_can_be_read_before_the_next_comes(sizes in sizes()) {
        let block = block(FIRST, &sizes);
        let member = gzip_member(&[block.deflated().unwrap()]);
        let open = &member[..member.len() - 10];
        let mut plain = vec![0; block.plain_len()];
        flate2::read::GzDecoder::new(open).read_exact(&mut plain).unwrap();
        prop_assert!(plain == *block.lines().unwrap());
    }

    #[test]
    fn the_stored_form_opens_to_the_same(sizes in sizes()) {
        let plain = block(FIRST, &sizes);
        let stored = stored(&plain);
        prop_assert!(stored.lines().unwrap() == plain.lines().unwrap());
        prop_assert!(stored.meta_bytes().unwrap() == plain.meta_bytes().unwrap());
        prop_assert_eq!(stored.head(), plain.head());
        let frame = stored.zstd().unwrap();
        prop_assert!(zstd::bulk::decompress(frame, plain.plain_len()).unwrap() == *plain.lines().unwrap());
    }

    #[test]
    fn a_tail_is_exactly_what_is_left(sizes in sizes(), skip in 0..70u64) {
        let whole = stored(&block(FIRST, &sizes));
        let from = FIRST.plus(skip);
        let expected: Vec<_> =
            events_of(&whole).into_iter().filter(|event| event.offset >= from).collect();
        let Some(tail) = whole.tail_from(from).unwrap() else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };
        prop_assert_eq!((tail.first, tail.last), (from, whole.last));
        prop_assert_eq!((tail.first_at, tail.last_at), (expected[0].processed, whole.last_at));
        prop_assert_eq!(tail.count as usize, expected.len());
        prop_assert!(events_of(&tail) == expected);
    }

    #[test]
    fn a_selection_keeps_what_was_considered(sizes in sizes(), salt in 0..5u64) {
        let whole = stored(&block(FIRST, &sizes));
        let wanted = |offset: Offset| offset.get() % 5 == salt;
        let expected: Vec<_> =
            events_of(&whole).into_iter().filter(|event| wanted(event.offset)).collect();
        let selected = whole.select(|meta, line| {
            assert!(meta.id(line).ends_with(meta.offset.to_string().as_bytes()));
            wanted(meta.offset)
        });
        let Some(selected) = selected.unwrap() else {
            prop_assert!(expected.is_empty());
            return Ok(());
        };
        prop_assert_eq!((selected.first, selected.last), (expected[0].offset, whole.last));
        prop_assert!(events_of(&selected) == expected);
    }

    #[test]
    fn foreign_bytes_are_refused(bytes: Vec<u8>, plain_len: u32, metas_len: u32) {
        let head = block(FIRST, &[80]).head();
        let lines = Deflated { bytes: bytes.clone().into(), crc: 0, plain_len, operator: 0 };
        let foreign = Block::stored(head, lines, bytes.into(), metas_len);
        prop_assert_eq!(foreign.lines().unwrap_err(), BlockError::Corrupt);
        prop_assert_eq!(foreign.meta_bytes().unwrap_err(), BlockError::Corrupt);
        prop_assert_eq!(foreign.tail_from(FIRST).unwrap_err(), BlockError::Corrupt);
        prop_assert_eq!(foreign.zstd().unwrap_err(), BlockError::Corrupt);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_stored_form_is_noticed_or_harmless() {
    let whole = block(FIRST, &[90, 200, 300]);
    let (piece, (metas, metas_len)) = (whole.deflated().unwrap(), whole.deflated_metas().unwrap());
    let with = |bytes: Vec<u8>| {
        let lines = Deflated { bytes: bytes.into(), ..piece.clone() };
        Block::stored(whole.head(), lines, metas.clone(), metas_len)
    };
    for len in 0..piece.bytes.len() {
        assert_eq!(with(piece.bytes[..len].to_vec()).lines(), Err(BlockError::Corrupt));
    }
    for bit in 0..piece.bytes.len() * 8 {
        let mut bytes = piece.bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // Padding before the flush may change without a change of meaning.
        if let Ok(lines) = with(bytes).lines() {
            assert_eq!(lines, whole.lines().unwrap(), "bit {bit}");
        }
    }
    let more = [&piece.bytes[..], &piece.bytes[..]].concat();
    assert_eq!(with(more).lines(), Err(BlockError::Corrupt), "more than it says");
    let ended = [&piece.bytes[..], &[3, 0]].concat();
    assert_eq!(with(ended).lines(), Err(BlockError::Corrupt), "would end the client's stream");
}

#[test]
fn metas_that_overrun_the_lines_are_no_panic() {
    let whole = block(FIRST, &[90, 200, 300]);
    let short = whole.lines().unwrap().slice(..100);
    let torn = Block::plain(whole.head(), short, whole.meta_bytes().unwrap().clone());
    for from in 0..5 {
        let _ = torn.tail_from(FIRST.plus(from));
        let _ = torn.select(|_, _| true);
    }
}

#[test]
fn sizes_at_the_edges() {
    for size in [0, 1, 65_535, 65_536, 3 << 20] {
        let plain: Vec<u8> = (0..size as u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let head = block(FIRST, &[80]).head();
        let block = Block::plain(head, plain.clone().into(), bytes::Bytes::new());
        let mut whole = Vec::new();
        let member = gzip_member(&[block.deflated().unwrap(), block.deflated().unwrap()]);
        flate2::read::GzDecoder::new(&*member).read_to_end(&mut whole).unwrap();
        assert!(whole == [&plain[..], &plain[..]].concat(), "{size}");
        assert_eq!(stored(&block).lines().unwrap(), &plain, "{size}");
    }
    const { assert!(MAX_BLOCK_BYTES < u32::MAX as usize) };
}
