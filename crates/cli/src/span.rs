//! Spans of time and amounts of bytes as people write them: `90s`, `1h30m`, `7d`; `64k`, `100G`.
//!
//! Used as clap value parsers by the commands.

/// Milliseconds of `1h30m`, `500ms`, `7d`; at most 100 years.
pub(crate) fn parse_span(text: &str) -> Result<u64, String> {
    const LIMIT: u64 = 100 * 365 * 86_400_000;
    let wrong = || format!("`{text}` is not a span such as 90s, 1h30m or 7d");
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, after) = rest.split_at_checked(digits).ok_or_else(wrong)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(wrong)?;
        let unit = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        total =
            number.checked_mul(unit).and_then(|more| total.checked_add(more)).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() || total > LIMIT {
        return Err(wrong());
    }
    Ok(total)
}

/// Bytes of `512`, `64k`, `10M`, `100G`; units are powers of 1000.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not an amount of bytes such as 64k, 10M or 100G");
    let (number, unit) = match text.char_indices().last().ok_or_else(wrong)? {
        (at, 'k' | 'K') => (text.get(..at), 1_000),
        (at, 'M') => (text.get(..at), 1_000_000),
        (at, 'G') => (text.get(..at), 1_000_000_000),
        (at, 'T') => (text.get(..at), 1_000_000_000_000),
        _ => (Some(text), 1),
    };
    let number: u64 = number.and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_amounts_as_people_write_them() {
        assert_eq!(parse_span("1h30m"), Ok(5_400_000));
        assert_eq!(parse_span("250ms"), Ok(250));
        assert_eq!(parse_span("7d"), Ok(604_800_000));
        for wrong in ["", "5", "h", "1x", "-1s", "99999999999999999999s", "9999999w", "1h 2m"] {
            assert!(parse_span(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_bytes("100G"), Ok(100_000_000_000));
        assert_eq!(parse_bytes("512"), Ok(512));
        for wrong in ["", "G", "1.5G", "99999999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
