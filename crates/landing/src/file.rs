//! What a landed file is called.
//!
//! Called by [`crate::lander`]. A name follows from the file's first event alone, so that a file that
//! is written again after a crash has the same; the hour stands first, so that `08*` picks what came
//! between 08:00 and 09:00 (reference `aria_itas_amperity.md` 3.3).

use outflow_hub::IngestFormat;
use outflow_model::{Offset, ProjectId, StreamId, StreamName, Timestamp};

/// Under what all files are.
pub const ROOT: &str = "ingest/stream";
/// The folder of a day for what could not be landed.
pub const FAILED: &str = "_failed";
/// Under what those of streams that are no more are.
const DELETED: &str = "ingest/deleted";
/// An hour, in milliseconds: no file goes across one.
const HOUR_MS: i64 = 3_600_000;

/// Whether two moments are in the same hour, UTC.
#[must_use]
pub const fn same_hour(one: Timestamp, other: Timestamp) -> bool {
    one.millis().div_euclid(HOUR_MS) == other.millis().div_euclid(HOUR_MS)
}

/// The path of the file whose first event has this offset and was taken in at this time.
#[must_use]
pub fn path(
    project: &ProjectId,
    stream: &StreamName,
    format: IngestFormat,
    first: Offset,
    at: Timestamp,
) -> String {
    let (day, name) = day_and_name(first, at);
    let ending = match format {
        IngestFormat::Json => "ndjson",
        IngestFormat::Xml => "cbor",
    };
    format!("{}/{day}/{name}.{ending}", folder(project, stream))
}

/// The path of the file with those of the same events that did not fit.
#[must_use]
pub fn failed_path(
    project: &ProjectId,
    stream: &StreamName,
    first: Offset,
    at: Timestamp,
) -> String {
    let (day, name) = day_and_name(first, at);
    format!("{}/{day}/{FAILED}/{name}.ndjson", folder(project, stream))
}

/// Where the files of a deleted stream go. A later stream of its name has another number.
#[must_use]
pub fn deleted_folder(project: &ProjectId, stream: &StreamName, id: StreamId) -> String {
    let folder = folder(project, stream);
    format!("{DELETED}{}-{id}", folder.strip_prefix(ROOT).unwrap_or(&folder))
}

/// Where files go that a former stream of this one's name has left in the way.
#[must_use]
pub fn former_folder(project: &ProjectId, stream: &StreamName, id: StreamId) -> String {
    let folder = folder(project, stream);
    format!("{DELETED}{}-before-{id}", folder.strip_prefix(ROOT).unwrap_or(&folder))
}

/// The folder of a stream's files. Projects' names hold no slash; slashes of a stream's become part
/// of one folder's name.
#[must_use]
pub fn folder(project: &ProjectId, stream: &StreamName) -> String {
    format!("{ROOT}/{project}/{}", stream.as_str().replace('/', "$2F"))
}

/// The first offset of the file that a path below a stream's folder names; `None` when no landed
/// file is called so.
#[must_use]
pub fn first_of(path: &str) -> Option<Offset> {
    let mut parts = path.split('/');
    let (day, name) = (parts.next()?, parts.next_back()?);
    let between = parts.next();
    let stem = match (name.strip_suffix(".ndjson"), name.strip_suffix(".cbor")) {
        (Some(stem), _) => stem,
        (None, Some(stem)) if between.is_none() => stem,
        _ => return None,
    };
    let is_numbers = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let is_known = between.is_none_or(|folder| folder == FAILED) && parts.next().is_none();
    if !is_known || day.len() != 10 || !is_numbers(day) || !is_numbers(stem) {
        return None;
    }
    stem.rsplit_once('-')?.1.parse().ok().map(Offset::new)
}

fn day_and_name(first: Offset, at: Timestamp) -> (String, String) {
    // `yyyy-MM-ddTHH:mm:ss.SSSZ`
    let text = at.to_string();
    let (day, time) = text.split_once('T').unwrap_or((&text, ""));
    let time = time.get(..8).unwrap_or(time).replace(':', "-");
    (day.to_owned(), format!("{time}-{first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_couriers_look_for() {
        let (project, stream) =
            (ProjectId::new("acme").unwrap(), StreamName::new("is-AbC").unwrap());
        let at = Timestamp::parse_rfc3339(b"2026-03-01T08:05:09.999Z").unwrap();
        let first = Offset::new(1_000_000_000_000_007);
        assert_eq!(
            path(&project, &stream, IngestFormat::Json, first, at),
            "ingest/stream/acme/is-AbC/2026-03-01/08-05-09-1000000000000007.ndjson"
        );
        assert_eq!(
            failed_path(&project, &stream, first, at),
            "ingest/stream/acme/is-AbC/2026-03-01/_failed/08-05-09-1000000000000007.ndjson"
        );
        for (path, expected) in [
            ("2026-03-01/08-05-09-1000000000000007.ndjson", Some(first)),
            ("2026-03-01/08-05-09-1000000000000007.cbor", Some(first)),
            ("2026-03-01/_failed/08-05-09-1000000000000007.ndjson", Some(first)),
            ("2026-03-01/_failed/08-05-09-1000000000000007.cbor", None),
            ("2026-03-01/x/08-05-09-1000000000000007.ndjson", None),
            ("2026-03-01/../08-05-09-1000000000000007.ndjson", None),
            ("../08-05-09-1000000000000007.ndjson", None),
            ("2026-03-01/.08-05-09-1000000000000007.ndjson.part", None),
            ("08-05-09-1000000000000007.ndjson", None),
            ("", None),
        ] {
            assert_eq!(first_of(path), expected, "{path}");
        }
        assert!(
            same_hour(at, at.plus_millis(3_290_000)) && !same_hour(at, at.plus_millis(3_291_000))
        );
    }
}
