//! Whatever a client sends, it is the same frames or the same error however it is cut, and a frame
//! that is written back is read back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outflow_face_stomp::wire::{Decoded, Decoder, FrameLimits, FrameWriter, Version, WireError};

type Frames = Vec<(String, Vec<(String, String)>, Vec<u8>)>;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let version = match choice % 4 {
        0 => None,
        1 => Some(Version::V1_0),
        2 => Some(Version::V1_1),
        _ => Some(Version::V1_2),
    };
    let size = usize::from(choice / 4).max(1);
    let whole = decode(version, [bytes]);
    assert_eq!(whole, decode(version, bytes.chunks(size)));
    assert_eq!(whole, decode(version, bytes.chunks(1)));
    for (_, headers, body) in whole.into_iter().flatten() {
        read_back(&headers, &body);
    }
});

fn decode<'a>(
    version: Option<Version>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Frames, WireError> {
    let limits = FrameLimits {
        command_bytes: 64,
        line_bytes: 128,
        headers: 8,
        head_bytes: 512,
        body_bytes: 1024,
    };
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
                    assert!(frame.body().len() <= limits.body_bytes);
                    let headers: Vec<_> = frame
                        .headers()
                        .map(|(name, value)| (name.into_owned(), value.into_owned()))
                        .collect();
                    assert!(headers.len() <= limits.headers);
                    frames.push((frame.command().to_owned(), headers, frame.body().to_vec()));
                    buffer.drain(..len);
                }
            }
        }
    }
    Ok(frames)
}

fn read_back(headers: &[(String, String)], body: &[u8]) {
    let mut bytes = Vec::new();
    let mut writer = FrameWriter::begin(&mut bytes, Version::V1_2, "MESSAGE");
    let mut kept = Vec::new();
    for (name, value) in headers {
        if name != "content-length" {
            writer.header(name, value);
            kept.push((name.clone(), value.clone()));
        }
    }
    writer.body(body);
    let mut decoder = Decoder::new(FrameLimits::default());
    decoder.speak(Version::V1_2);
    let Ok(Decoded::Frame(frame, len)) = decoder.decode(&bytes) else {
        panic!("what was written is no frame");
    };
    // The line end behind the NUL is a heart-beat.
    assert_eq!(len + 1, bytes.len());
    assert_eq!(frame.body(), body);
    let read: Vec<_> = frame
        .headers()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .take(kept.len())
        .collect();
    assert_eq!(read, kept);
}
