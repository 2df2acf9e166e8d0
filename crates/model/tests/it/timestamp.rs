//! Times as they are read and written.

use outflow_model::Timestamp;
use proptest::prelude::*;

/// The first and the last millisecond of the years that RFC 3339 writes.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

#[test]
fn reads_what_clients_write() {
    let at = |text: &str| Timestamp::parse_rfc3339(text.as_bytes()).map(Timestamp::millis);
    assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(at("2016-12-08T21:27:01.125Z"), Some(1_481_232_421_125));
    assert_eq!(at("2016-12-08T22:27:01.1259+01:00"), Some(1_481_232_421_125));
    assert_eq!(at("2016-12-08 21:27:01.1z"), Some(1_481_232_421_100));
    assert_eq!(at("2024-02-29T00:00:00Z"), Some(1_709_164_800_000));
    for bad in [
        "",
        "2016-12-08",
        "2023-02-29T00:00:00Z",
        "2016-12-08T21:27:01",
        "2016-12-08T24:00:00Z",
        "2016-12-08T21:27:01.Z",
        "2016-12-08T21:27:01Zx",
        "2016-13-08T21:27:01Z",
    ] {
        assert_eq!(at(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn written_form_reads_back(millis in FIRST..=LAST) {
        let at = Timestamp::from_millis(millis);
        prop_assert_eq!(Timestamp::parse_rfc3339(at.to_string().as_bytes()), Some(at));
    }
}
