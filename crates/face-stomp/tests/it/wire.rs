//! The codec: what is written is read back, however the bytes are cut, and nothing costs more than
//! its limit.

use outflow_face_stomp::wire::{Decoded, Decoder, FrameLimits, FrameWriter, Version, WireError};
use proptest::prelude::*;

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// A frame, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// All frames of `pieces`, which come one after the other.
fn frames_of<'a>(
    version: Option<Version>,
    limits: FrameLimits,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Owned>, WireError> {
    let mut decoder = Decoder::new(limits);
    if let Some(version) = version {
        decoder.speak(version);
    }
    let (mut buffer, mut frames) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&buffer)? {
                Decoded::Incomplete => break,
                Decoded::Idle(count) => drop(buffer.drain(..count)),
                Decoded::Frame(frame, len) => {
                    let own = |(name, value): (std::borrow::Cow<'_, str>, _)| {
                        (name.into_owned(), std::borrow::Cow::into_owned(value))
                    };
                    frames.push(Owned {
                        command: frame.command().to_owned(),
                        headers: frame.headers().map(own).collect(),
                        body: frame.body().to_vec(),
                    });
                    buffer.drain(..len);
                }
            }
        }
    }
    Ok(frames)
}

fn frames(version: Version, bytes: &[u8]) -> Result<Vec<Owned>, WireError> {
    frames_of(Some(version), FrameLimits::default(), [bytes])
}

fn one(version: Version, bytes: &[u8]) -> Owned {
    let mut all = frames(version, bytes).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn header<'a>(frame: &'a Owned, name: &str) -> Option<&'a str> {
    frame.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A header's part: anything but NUL, with the interesting characters often.
fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just(':'),
            Just('\\'),
            Just('\n'),
            Just('\r'),
            Just('c'),
            Just('n'),
            Just('r'),
            Just(' '),
            Just('é'),
            Just('😀'),
            prop::char::range('!', '~')
        ],
        0..12,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

fn frame() -> impl Strategy<Value = (Vec<(String, String)>, Vec<u8>)> {
    let name = text().prop_filter("a name", |name| !name.is_empty() && name != "content-length");
    (prop::collection::vec((name, text()), 0..6), prop::collection::vec(any::<u8>(), 0..40))
}

fn write(version: Version, headers: &[(String, String)], body: &[u8], out: &mut Vec<u8>) {
    let mut writer = FrameWriter::begin(out, version, "MESSAGE");
    for (name, value) in headers {
        writer.header(name, value);
    }
    writer.body(body);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_written_is_read_back(all in prop::collection::vec(frame(), 1..4)) {
        let mut bytes = Vec::new();
        for (headers, body) in &all {
            write(Version::V1_2, headers, body, &mut bytes);
        }
        let read = frames(Version::V1_2, &bytes).unwrap();
        prop_assert_eq!(read.len(), all.len());
        for (read, (headers, body)) in read.iter().zip(&all) {
            prop_assert_eq!(&read.headers[..headers.len()], &headers[..]);
            prop_assert_eq!(&read.body, body);
        }
    }

    /// Whatever a value holds, it stays on its line: nobody forges a header or ends a frame.
    #[test]
    fn one_frame_is_one_frame_in_every_version(
        (headers, body) in frame(), extra in any::<char>()
    ) {
        for version in VERSIONS {
            let mut headers = headers.clone();
            headers.push(("x".to_owned(), format!("a\0b{extra}\nack:forged\n\nbody\0")));
            let mut bytes = Vec::new();
            write(version, &headers, &body, &mut bytes);
            let read = frames(version, &bytes).unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(&read[0].body, &body);
            // Every header and the length; 1.0 cannot say names with colons, so only counts there.
            prop_assert_eq!(read[0].headers.len(), headers.len() + 1);
        }
    }

    #[test]
    fn bytes_may_be_cut_anywhere(all in prop::collection::vec(frame(), 1..3), cut in any::<prop::sample::Index>()) {
        let mut bytes = b"\n\r\n\0\n".to_vec();
        for (headers, body) in &all {
            write(Version::V1_2, headers, body, &mut bytes);
        }
        let whole = frames(Version::V1_2, &bytes).unwrap();
        let limits = FrameLimits::default();
        let (left, right) = bytes.split_at(cut.index(bytes.len()));
        prop_assert_eq!(&frames_of(Some(Version::V1_2), limits, [left, right]).unwrap(), &whole);
        let single = bytes.chunks(1);
        prop_assert_eq!(&frames_of(Some(Version::V1_2), limits, single).unwrap(), &whole);
    }

    /// Any bytes at all: frames or an error, the same however they are cut.
    #[test]
    fn anything_ends_the_same_way(bytes in prop::collection::vec(
        prop_oneof![Just(b'\n'), Just(b'\r'), Just(0), Just(b':'), Just(b'\\'), Just(b'1'), any::<u8>()], 0..200
    )) {
        let limits = FrameLimits {
            command_bytes: 20, line_bytes: 30, headers: 4, head_bytes: 60, body_bytes: 50,
        };
        for version in [None, Some(Version::V1_0), Some(Version::V1_1), Some(Version::V1_2)] {
            let whole = frames_of(version, limits, [&bytes[..]]);
            let single = frames_of(version, limits, bytes.chunks(1));
            prop_assert_eq!(whole, single);
        }
    }
}

proptest! {
    /// However the bytes are cut, of a frame that is refused for its head nothing is shown or kept, and
    /// the next one is whole.
    #[test]
    fn a_body_that_nobody_wants_is_read_past(
        body in prop::collection::vec(any::<u8>(), 0..60), counted in any::<bool>(), size in 1..40_usize
    ) {
        let mut bytes = b"SEND\nto:nobody\n".to_vec();
        let body: Vec<u8> = body.into_iter().filter(|byte| counted || *byte != 0).collect();
        if counted {
            bytes.extend(format!("content-length:{}\n", body.len()).bytes());
        }
        bytes.push(b'\n');
        bytes.extend(&body);
        bytes.extend(b"\0\nSEND\nto:one\n\nb\0");
        let mut decoder = Decoder::new(FrameLimits::default());
        decoder.speak(Version::V1_2);
        let (mut buffer, mut refused, mut taken) = (Vec::new(), 0, Vec::new());
        for piece in bytes.chunks(size) {
            buffer.extend_from_slice(piece);
            loop {
                match decoder.decode(&buffer).unwrap() {
                    Decoded::Idle(count) => drop(buffer.drain(..count)),
                    Decoded::Frame(frame, len) => {
                        taken.push(frame.header("to").unwrap().into_owned());
                        buffer.drain(..len);
                    }
                    Decoded::Incomplete => {
                        let Some((frame, len)) = decoder.begun(&buffer).unwrap() else { break };
                        prop_assert!(frame.body().is_empty());
                        if frame.header("to").as_deref() == Some("one") {
                            decoder.want();
                            break;
                        }
                        refused += 1;
                        decoder.pass();
                        buffer.drain(..len);
                    }
                }
            }
            prop_assert!(refused == 0 || buffer.len() <= size + 20, "{}", buffer.len());
        }
        // One that came whole was never shown.
        prop_assert_eq!(refused, usize::from(taken[0] == "one"));
        prop_assert_eq!(taken.last().map(String::as_str), Some("one"));
        prop_assert!(buffer.is_empty());
    }
}

#[test]
fn what_is_read_past_is_held_to_its_end_too() {
    let past = |mut rest: &[u8], head: &[u8]| {
        let mut decoder = Decoder::new(FrameLimits { body_bytes: 10, ..FrameLimits::default() });
        let Ok(Decoded::Incomplete) = decoder.decode(head) else { panic!("it is whole") };
        let (_, len) = decoder.begun(head).unwrap().unwrap();
        assert_eq!(len, head.len());
        decoder.pass();
        loop {
            match decoder.decode(rest) {
                Ok(Decoded::Idle(count)) if count < rest.len() => rest = &rest[count..],
                other => break other.map(|_| ()),
            }
        }
    };
    let counted = &b"SEND\ncontent-length:3\n\n"[..];
    assert_eq!(past(b"abcd\0", counted), Err(WireError::NoNul));
    assert_eq!(past(b"abc\0", counted), Ok(()));
    assert_eq!(past(b"0123456789a", b"SEND\n\n"), Err(WireError::BodyTooLarge { max: 10 }));
    assert_eq!(past(b"0123456789\0", b"SEND\n\n"), Ok(()));
}

#[test]
fn escapes_are_those_of_the_version() {
    let value = |version, text: &str| {
        let frame = one(version, format!("SEND\nk:{text}\n\n\0").as_bytes());
        header(&frame, "k").unwrap().to_owned()
    };
    assert_eq!(value(Version::V1_0, r" a\cb\\ "), r"a\cb\\");
    assert_eq!(value(Version::V1_1, r" a\cb\\c\nd\re "), " a:b\\c\nd\\re ");
    assert_eq!(value(Version::V1_2, r"a\cb\\c\nd\re"), "a:b\\c\nd\re");
    // Undefined ones stay, and so does a backslash at the end.
    assert_eq!(value(Version::V1_2, r"a\tb\"), r"a\tb\");
    // Nothing is escaped in CONNECT, nor before it.
    let connect = one(Version::V1_2, b"CONNECT\npasscode:a\\cb\n\n\0");
    assert_eq!(header(&connect, "passcode"), Some(r"a\cb"));
}

#[test]
fn line_ends_are_those_of_the_version() {
    let frame = b"SEND\r\nk:v\r\n\r\nbody\0";
    assert_eq!(header(&one(Version::V1_2, frame), "k"), Some("v"));
    assert_eq!(header(&one(Version::V1_0, frame), "k"), Some("v"));
    assert_eq!(header(&one(Version::V1_1, frame), "k"), Some("v\r"));
    let connect = frames_of(None, FrameLimits::default(), [&b"CONNECT\r\nhost:x\r\n\r\n\0"[..]]);
    assert_eq!(header(&connect.unwrap()[0], "host"), Some("x"));
}

#[test]
fn headers_are_taken_as_they_come() {
    let frame = one(Version::V1_2, b"SEND\nnocolon\ne:\na:b:c\na:second\n\n\0");
    assert_eq!(header(&frame, "nocolon"), Some(""));
    assert_eq!(header(&frame, "e"), Some(""));
    assert_eq!(header(&frame, "a"), Some("b:c"));
}

#[test]
fn bodies_end_where_they_say() {
    assert_eq!(one(Version::V1_2, b"SEND\ncontent-length:5\n\nab\0cd\0").body, b"ab\0cd");
    assert_eq!(one(Version::V1_2, b"SEND\n\nabc\0").body, b"abc");
    assert_eq!(one(Version::V1_2, b"SEND\ncontent-length:0\n\n\0").body, b"");
    // The first of repeated lengths counts.
    let twice = b"SEND\ncontent-length:1\ncontent-length:9\n\na\0";
    assert_eq!(one(Version::V1_2, twice).body, b"a");
    for (bytes, error) in [
        (&b"SEND\ncontent-length:2\n\nabc\0"[..], WireError::NoNul),
        (b"SEND\ncontent-length:-1\n\nabc\0", WireError::BadContentLength),
        (b"SEND\ncontent-length:\n\nabc\0", WireError::BadContentLength),
        (b"SEND\ncontent-length:1e3\n\nabc\0", WireError::BadContentLength),
        (
            b"SEND\ncontent-length:99999999999999999999\n\n",
            WireError::BodyTooLarge { max: 1 << 20 },
        ),
        (b"SEND\ncontent-length:1048577\n\n", WireError::BodyTooLarge { max: 1 << 20 }),
        (b"SEND\nk:a\0b\n\n\0", WireError::NulInHead),
        (b"SEND\nk:\xff\n\n\0", WireError::NotUtf8),
        (b"S\xc3END\nk:v\n\n\0", WireError::NotUtf8),
        (b"SEND\n:v\n\n\0", WireError::NoName),
    ] {
        assert_eq!(frames(Version::V1_2, bytes), Err(error), "{bytes:?}");
    }
}

/// Every limit is met before what it forbids is complete, and costs no more memory than itself.
#[test]
fn what_is_too_large_is_refused_while_it_comes() {
    let limits = FrameLimits {
        command_bytes: 8,
        line_bytes: 16,
        headers: 3,
        head_bytes: 48,
        body_bytes: 10,
    };
    let fails = |endless: &str, head: &str| {
        let pieces = std::iter::once(head).chain(std::iter::repeat_n(endless, 100));
        frames_of(Some(Version::V1_2), limits, pieces.map(str::as_bytes)).unwrap_err()
    };
    assert_eq!(fails("A", ""), WireError::CommandTooLong { max: 8 });
    assert_eq!(fails("a", "SEND\n"), WireError::LineTooLong { max: 16 });
    assert_eq!(fails("a:\n", "SEND\n"), WireError::TooManyHeaders { max: 3 });
    assert_eq!(fails("aaaaaaaa:bbbbbb\n", "SEND\n"), WireError::HeadTooLarge { max: 48 });
    assert_eq!(fails("a", "SEND\n\n"), WireError::BodyTooLarge { max: 10 });
    // The limits themselves are fine.
    let most = b"12345678\n1234567:12345678\na:\nb:\n\n0123456789\0";
    assert_eq!(frames_of(Some(Version::V1_2), limits, [&most[..]]).unwrap().len(), 1);
}

/// Which of two broken limits is named does not depend on how the bytes were split.
#[test]
fn the_limit_that_is_broken_first_is_named() {
    let limits = FrameLimits { line_bytes: 16, head_bytes: 48, ..FrameLimits::default() };
    let line = "a:3456789012345\n";
    let late = format!("SEND\n{line}{line}{}", "b".repeat(40));
    let early = format!("SEND\n{line}{}", "b".repeat(40));
    for (bytes, error) in
        [(late, WireError::HeadTooLarge { max: 48 }), (early, WireError::LineTooLong { max: 16 })]
    {
        for size in [1, 7, bytes.len()] {
            let pieces = bytes.as_bytes().chunks(size);
            assert_eq!(frames_of(Some(Version::V1_2), limits, pieces), Err(error), "{size}");
        }
    }
}

#[test]
fn versions_are_negotiated() {
    for (offered, agreed) in [
        (None, Some(Version::V1_0)),
        (Some("1.0,1.1,1.2"), Some(Version::V1_2)),
        (Some(" 1.2 "), Some(Version::V1_2)),
        (Some("1.1,2.0"), Some(Version::V1_1)),
        (Some("2.0"), None),
        (Some(""), None),
    ] {
        assert_eq!(Version::negotiate(offered), agreed, "{offered:?}");
    }
}
