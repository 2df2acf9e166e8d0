//! What is taken in is kept byte for byte, and what is not JSON is refused with its place.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::stand::{JSON, Stand, XML};

/// The body of a stored line, which is its last member.
fn body(line: &str) -> &str {
    let (_, rest) = line.split_once(",\"body\":").unwrap();
    rest.strip_suffix('}').unwrap()
}

#[tokio::test]
async fn the_curl_lines_of_the_seed_are_taken_and_their_bytes_kept() {
    let stand = Stand::new().await;
    let json = " {\"field1\": \"value1\",\n    \"field2\": \"value2\"}";
    assert_eq!(stand.json(json).await.status, 202);
    let xml = "<records>\n<record>\n<field1>value1</field1>\n</record>\n</records>\n";
    let taken = stand.xml(xml).await;
    assert_eq!((taken.status.as_u16(), taken.text.as_str()), (202, ""));
    let lines = stand.lines(JSON).await;
    assert_eq!(body(&lines[0]), "{\"field1\": \"value1\",    \"field2\": \"value2\"}");
    let line: Value = serde_json::from_str(&stand.lines(XML).await[0]).unwrap();
    assert_eq!((&line["body"], &line["type"]), (&xml.into(), &"INGEST".into()));
    assert_eq!(line["headers"]["content-type"], "application/xml");
}

#[tokio::test]
async fn numbers_keys_and_their_order_survive() {
    let stand = Stand::new().await;
    let odd = r#"{"z":1.10,"a":1E2,"a":18446744073709551616,"n":-0,"u":"\u00e9é","deep":[[{}]]}"#;
    assert_eq!(stand.json(odd).await.status, 202);
    assert_eq!(body(&stand.lines(JSON).await[0]), odd);
}

#[tokio::test]
async fn what_is_not_one_object_is_refused_with_its_place() {
    let stand = Stand::new().await;
    for (payload, line, byte) in [
        ("{\"a\":1}\n{\"b\":2}\n", 2, 8),
        ("{\"a\":1} {\"b\":2}", 1, 8),
        ("{\"a\":\n1,}", 2, 8),
        ("{\"a\":1e}", 1, 7),
        ("{\"a\":\"\u{1}\"}", 1, 6),
    ] {
        let answer = stand.json(payload).await;
        assert_eq!(answer.status, 400, "{payload}");
        let problem: Value = serde_json::from_str(&answer.text).unwrap();
        assert_eq!((&problem["line"], &problem["byte"]), (&line.into(), &byte.into()), "{payload}");
        assert_eq!(problem["code"], "malformed");
    }
    let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
    for payload in ["", " \n", "[1]", "1", "\"a\"", "nul", "\u{feff}{}", &deep] {
        assert_eq!(stand.json(payload.to_owned()).await.status, 400, "{payload}");
    }
    assert_eq!(stand.json(vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']).await.status, 400);
    assert!(stand.lines(JSON).await.is_empty());
}

#[tokio::test]
async fn xml_is_not_looked_at_and_loses_no_byte() {
    let stand = Stand::new().await;
    let latin = b"<?xml version='1.0' encoding='iso-8859-1'?><a>\xe9</a>".to_vec();
    for payload in [b"<not really".to_vec(), b"\x00\x01".to_vec(), latin.clone()] {
        assert_eq!(stand.xml(payload).await.status, 202);
    }
    assert_eq!(stand.xml("").await.status, 400);
    let lines = stand.lines(XML).await;
    let line = |at: usize| serde_json::from_str::<Value>(&lines[at]).unwrap();
    assert_eq!(line(0)["body"], "<not really");
    assert_eq!(line(1)["body"], "\u{0}\u{1}");
    assert_eq!(line(2)["content_encoding"], "base64");
}

#[tokio::test]
async fn gzip_is_decoded_and_limited_by_what_comes_out() {
    let stand = Stand::new().await;
    let zip = |text: &[u8]| {
        let mut zip = GzEncoder::new(Vec::new(), Compression::best());
        zip.write_all(text).unwrap();
        zip.finish().unwrap()
    };
    let send = async |payload: Vec<u8>| {
        let request = stand.request(JSON, "application/json").header("content-encoding", "gzip");
        stand.send(request.body(payload.into()).unwrap()).await.status.as_u16()
    };
    assert_eq!(send(zip(b"{\"a\": 1}")).await, 202);
    assert_eq!(body(&stand.lines(JSON).await[0]), "{\"a\": 1}");
    let bomb = zip(&vec![b' '; 100 << 20]);
    assert_eq!(send(bomb).await, 413);
    let whole = zip(b"{\"a\": 1}");
    assert_eq!(send(whole[..whole.len() - 3].to_vec()).await, 400);
    assert_eq!(send(b"{}".to_vec()).await, 400);
}
