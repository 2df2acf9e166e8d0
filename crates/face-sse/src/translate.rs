//! Where spelling meets meaning: ids, times and durations of requests to places.

use std::num::NonZeroU64;

use outflow_model::{Offset, StreamId, Timestamp};

use crate::error::Refusal;

/// Where a client wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It does not say.
    Unsaid,
    /// After the event with this id, which nobody has looked at yet.
    AfterId(String),
    /// At the first event taken at or after this time.
    At(Timestamp),
    /// At the first event still kept.
    Earliest,
    /// After the newest event.
    Latest,
}

/// What the query of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where to begin, if the header does not say.
    pub place: Place,
    /// The token in the URL.
    pub token: Option<String>,
    /// Which keyed stream's changes are meant.
    pub stream: Option<String>,
    /// Whether events are named by their types.
    pub named: bool,
    /// After how many events the stream ends.
    pub limit: Option<NonZeroU64>,
}

impl Wanted {
    /// Reads the query, decoded; `now` is what durations count back from. An id wins over `from`,
    /// and `lastEventId` over `last_id`, its other spelling (reference 1.3).
    ///
    /// # Errors
    /// 400 that names the parameter.
    pub fn read(pairs: &[(String, String)], now: Timestamp) -> Result<Self, Refusal> {
        let get = |wanted: &str| {
            let found = pairs.iter().find(|(name, value)| name == wanted && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        // Unknown parameters pass: browsers' tools add their own against caches.
        let from = get("from").map(|text| from(text, now)).transpose()?;
        let id = get("lastEventId").or_else(|| get("last_id"));
        let named = match get("named") {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(Refusal::malformed("`named` must be true or false")),
        };
        let limit = get("limit").map(str::parse).transpose();
        let limit = limit.map_err(|_| Refusal::malformed("`limit` must be an integer above 0"))?;
        Ok(Self {
            limit,
            place: id.map(|id| Place::AfterId(id.into())).or(from).unwrap_or(Place::Unsaid),
            token: get("access_token").map(Into::into),
            stream: get("stream").map(Into::into),
            named,
        })
    }
}

/// Reads `from`: `earliest`, `now`, an ISO 8601 time, or a duration back from now such as `5hours`
/// or `PT5H`.
fn from(text: &str, now: Timestamp) -> Result<Place, Refusal> {
    match text {
        "earliest" => return Ok(Place::Earliest),
        "now" | "latest" => return Ok(Place::Latest),
        _ => {}
    }
    let time = time(text).or_else(|| duration_ms(text).map(|back| now.plus_millis(-back)));
    time.map(Place::At).ok_or_else(|| {
        Refusal::malformed(
            "`from` must be a time such as 2019-01-15T14:30:45.4321-05:00, a duration such as \
             5hours or PT5H, earliest or now",
        )
    })
}

/// An ISO 8601 time with its offset. A `+` that was not escaped in the URL has become a space.
fn time(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text.as_bytes()).or_else(|| {
        let (time, offset) = text.rsplit_once(' ')?;
        Timestamp::parse_rfc3339(format!("{time}+{offset}").as_bytes())
    })
}

/// Milliseconds of `<integer><unit>` or of an ISO 8601 duration of hours, minutes and seconds.
fn duration_ms(text: &str) -> Option<i64> {
    let unit_ms = |unit: &str| match unit {
        "s" | "sec" | "second" | "seconds" => Some(1_000),
        "m" | "min" | "minute" | "minutes" => Some(60_000),
        "h" | "hr" | "hour" | "hours" => Some(3_600_000),
        "d" | "day" | "days" => Some(86_400_000),
        _ => None,
    };
    let text = text.trim().to_ascii_lowercase();
    let (parts, is_iso) = match text.strip_prefix('p') {
        Some(iso) => (iso, true),
        None => (text.as_str(), false),
    };
    let (mut rest, mut total, mut in_time) = (parts, 0_i64, false);
    while !rest.is_empty() {
        if is_iso
            && !in_time
            && let Some(time) = rest.strip_prefix('t')
        {
            (rest, in_time) = (time, true);
        }
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let end = if is_iso { letters.min(1) } else { letters };
        let (unit, after) = after.split_at_checked(end)?;
        // Before the `T` of an ISO duration stand days only: months have no fixed length.
        let ms = unit_ms(unit).filter(|_| !is_iso || in_time || unit == "d")?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(ms)?)?;
        if !is_iso && !after.is_empty() {
            return None;
        }
        rest = after;
    }
    (total > 0).then_some(total)
}

/// The id of the event at `offset`: opaque to clients.
#[must_use]
pub fn id(stream: StreamId, offset: Offset) -> String {
    format!("{:x}-{offset}", stream.0)
}

/// The offset of the event with this id; `None` when it is none of this stream's.
#[must_use]
pub fn after_id(id: &str, stream: StreamId) -> Option<Offset> {
    let (of, offset) = id.split_once('-')?;
    let offset = offset.parse().ok().map(Offset::new)?;
    let is_ours = u32::from_str_radix(of, 16).ok()? == stream.0;
    (is_ours && (Offset::FIRST..=Offset::LAST).contains(&offset)).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn wanted(pairs: &[(&str, &str)]) -> Result<Wanted, Refusal> {
        let pairs: Vec<_> =
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Wanted::read(&pairs, NOW)
    }

    #[test]
    fn an_id_wins_over_a_time() {
        let place = |pairs| wanted(pairs).unwrap().place;
        assert_eq!(place(&[]), Place::Unsaid);
        let both = [("from", "5hours"), ("last_id", "b"), ("lastEventId", "a")];
        assert_eq!(place(&both), Place::AfterId("a".into()));
        assert_eq!(place(&both[..2]), Place::AfterId("b".into()));
        assert_eq!(place(&[("from", "earliest"), ("lastEventId", "")]), Place::Earliest);
    }

    #[test]
    fn times_and_durations() {
        let at = |from: &str| match wanted(&[("from", from)]).unwrap().place {
            Place::At(time) => NOW.millis() - time.millis(),
            other => panic!("{from}: {other:?}"),
        };
        assert_eq!(at("2025-12-31T19:00:00.4321-05:00"), -432);
        assert_eq!(at("2026-01-01T01:00:00 01:00"), 0, "a plus that was not escaped");
        assert_eq!(at("5hours"), 5 * 3_600_000);
        assert_eq!(at("1hr"), 3_600_000);
        assert_eq!(at("90 SEC".replace(' ', "").as_str()), 90_000);
        assert_eq!(at("2d"), 2 * 86_400_000);
        assert_eq!(at("PT5H"), 5 * 3_600_000);
        assert_eq!(at("P1DT1H30M5S"), 86_400_000 + 5_405_000);
        for bad in
            ["yesterday", "5", "hours", "0s", "-5h", "5h3", "P1M", "PT", "99999999999999999d"]
        {
            assert!(wanted(&[("from", bad)]).is_err(), "{bad}");
        }
        assert!(wanted(&[("named", "no")]).is_err());
    }

    #[test]
    fn ids_are_the_streams_own() {
        let (stream, offset) = (StreamId(26), Offset::FIRST.plus(7));
        assert_eq!(id(stream, offset), "1a-1000000000000007");
        assert_eq!(after_id(&id(stream, offset), stream), Some(offset));
        assert_eq!(after_id(&id(StreamId(27), offset), stream), None);
        for bad in ["", "x", "1a-", "1a-7", "1a-x", "-1000000000000007", "1a-99999999999999999999"]
        {
            assert_eq!(after_id(bad, stream), None, "{bad}");
        }
    }
}
