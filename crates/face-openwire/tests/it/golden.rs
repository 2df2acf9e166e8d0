//! What the reference library has written, read and written back byte for byte.

use crate::check::check;

#[test]
fn every_golden_frame_is_read_and_written_back_byte_for_byte() {
    let files = [
        include_str!("../vectors/v01.jsonl"),
        include_str!("../vectors/v09.jsonl"),
        include_str!("../vectors/v12.jsonl"),
    ];
    for (file, rows) in files.into_iter().zip([264, 288, 296]) {
        let outcome = check(file);
        assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
        assert_eq!(outcome.passed, rows);
    }
}

/// Every type, with random values, in versions and with options that the others do not have.
#[test]
fn every_random_frame_is_read_and_written_back_byte_for_byte() {
    let outcome = check(include_str!("../vectors/random.jsonl"));
    assert!(outcome.failures.is_empty(), "{}", outcome.failures.join("\n"));
    assert_eq!(outcome.passed, 1050);
}

#[test]
fn a_frame_that_is_not_written_back_alike_is_reported_with_its_place() {
    // The flag of the client id is 2: read as yes, written as 1.
    let row = r#"{"type":"ConnectionInfo","code":3,"version":12,"tight":false,"cache":false,
        "variant":"bad","hex":"000000140300000000000002000161000000000000000000","fields":{}}"#;
    let outcome = check(&row.replace('\n', ""));
    assert_eq!(outcome.passed, 0);
    assert_eq!(outcome.failures.len(), 1);
    assert!(outcome.failures[0].contains("byte 11 differs"), "{:?}", outcome.failures);
}
