//! Offsets as they are read and written.

use outflow_model::Offset;
use outflow_model::offset::OFFSET_DIGITS;

#[test]
fn reads_decimal_and_base64url() {
    assert_eq!(Offset::parse("1235"), Some(Offset::new(1235)));
    assert_eq!(Offset::parse("MTIzNQ"), Some(Offset::new(1235)));
    for bad in ["", "-1", "1.5", "abc", " 1", "99999999999999999999999", "18446744073709551616"] {
        assert_eq!(Offset::parse(bad), None, "{bad}");
    }
}

#[test]
fn writes_sixteen_digits() {
    let mut out = [0; OFFSET_DIGITS];
    Offset::FIRST.plus(42).write_digits(&mut out);
    assert_eq!(&out, b"1000000000000042");
    Offset::LAST.write_digits(&mut out);
    assert_eq!(std::str::from_utf8(&out).unwrap().parse(), Ok(Offset::LAST.get()));
}
