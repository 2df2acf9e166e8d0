//! Request bodies: codings, limits, and what is wrong with them.

use std::io::Write;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use outflow_body::{BodyError, Encoding, read};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

async fn read_all(bytes: Vec<u8>, encoding: Encoding, limit: usize) -> Result<Bytes, BodyError> {
    read(&HeaderMap::new(), Body::from(bytes), encoding, limit).await
}

#[tokio::test]
async fn every_coding_reads_back() {
    let plain: Vec<u8> = (0..100_000u32).flat_map(|n| (n % 251).to_le_bytes()).collect();
    let zstd = zstd::bulk::compress(&plain, 1).unwrap();
    for (body, encoding) in [
        (plain.clone(), Encoding::Identity),
        (gzip(&plain), Encoding::Gzip),
        ([gzip(&plain[..1000]), gzip(&plain[1000..])].concat(), Encoding::Gzip),
        (zstd, Encoding::Zstd),
    ] {
        assert_eq!(read_all(body.clone(), encoding, plain.len()).await.unwrap(), plain);
        let over = read_all(body, encoding, plain.len() - 1).await.unwrap_err();
        assert_eq!(over, BodyError::TooLarge { limit: plain.len() - 1 });
    }
    for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
        assert_eq!(read_all(Vec::new(), encoding, 10).await.unwrap(), "");
    }
}

#[tokio::test]
async fn a_cut_or_damaged_body_is_refused() {
    let plain = b"{\"start\":\"EARLIEST\"}".repeat(500);
    for (body, encoding) in
        [(gzip(&plain), Encoding::Gzip), (zstd::bulk::compress(&plain, 1).unwrap(), Encoding::Zstd)]
    {
        for len in 1..body.len() {
            let cut = read_all(body[..len].to_vec(), encoding, 1 << 20).await;
            let Err(BodyError::Malformed { reason, .. }) = cut else {
                panic!("{encoding:?} cut at {len}: {cut:?}")
            };
            assert_eq!(reason, "it is cut short", "{encoding:?} cut at {len}");
        }
    }
    let mut flipped = gzip(&plain);
    let last = flipped.len() - 5;
    flipped[last] ^= 1;
    for damaged in [flipped.clone(), [flipped, gzip(&plain)].concat()] {
        let outcome = read_all(damaged, Encoding::Gzip, 1 << 20).await;
        let Err(BodyError::Malformed { reason, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("checksum"), "{reason}");
    }
}

#[tokio::test]
async fn what_is_no_gzip_is_not_called_cut_short() {
    let member = gzip(b"{}");
    for garbage in [b"{}".to_vec(), b"\x1f".repeat(9), [&member[..], b"x"].concat()] {
        let outcome = read_all(garbage.clone(), Encoding::Gzip, 1 << 10).await;
        let Err(BodyError::Malformed { reason, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(reason.contains("no gzip"), "{garbage:?}: {reason}");
    }
    let twice = member.repeat(2);
    assert_eq!(read_all(twice, Encoding::Gzip, 1 << 10).await.unwrap(), "{}{}");
}

#[tokio::test]
async fn a_bomb_is_refused_at_the_limit() {
    let zeros = vec![0u8; 64 << 20];
    let limit = 64 << 10;
    for (bomb, encoding) in
        [(gzip(&zeros), Encoding::Gzip), (zstd::bulk::compress(&zeros, 1).unwrap(), Encoding::Zstd)]
    {
        let outcome = read_all(bomb, encoding, limit).await;
        assert_eq!(outcome.unwrap_err(), BodyError::TooLarge { limit });
    }
}

#[test]
fn other_codings_are_not_supported() {
    let of = |value: &str| {
        let headers = [(http::header::CONTENT_ENCODING, value.parse().unwrap())];
        Encoding::of(&headers.into_iter().collect())
    };
    assert_eq!(of("GZIP"), Ok(Encoding::Gzip));
    assert_eq!(of("zstd"), Ok(Encoding::Zstd));
    assert_eq!(of("identity"), Ok(Encoding::Identity));
    for other in ["br", "gzip, gzip", "deflate"] {
        assert!(matches!(of(other), Err(BodyError::Unsupported(_))), "{other}");
    }
}
