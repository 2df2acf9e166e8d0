//! Whatever a peer sends, it is a command or an error, the same however it is cut; a command that was
//! read is written, and what was written is read back as it was. Its properties and body are values or
//! errors.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use outflow_face_openwire::wire::{
    Command, Decoder, Encoder, Offer, WireError, WireFormat, body, primitive,
};

const INFLATED_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let Some(([version, options], bytes)) = data.split_first_chunk::<2>() else { return };
    let format = WireFormat {
        version: version % 12 + 1,
        tight: options & 1 != 0,
        cache: options & 2 != 0,
        cache_size: 1 + u16::from(options >> 4) * 16,
        stack_traces: options & 4 != 0,
        size_prefix: options & 8 != 0,
        max_frame_size: 1 << 12,
    };
    let (whole, error) = decode(&format, [bytes]);
    assert_eq!((&whole, error), pair(&decode(&format, bytes.chunks(1))));
    let (mut encoder, mut decoder) = (Encoder::new(format.clone()), Decoder::new(format.clone()));
    let mut buffer = BytesMut::new();
    for command in &whole {
        look_into(command);
        // A value may take more bytes than it came in: a text that was no modified UTF-8.
        if encoder.encode(command, &mut buffer).is_ok() {
            let again = decoder.read(&mut buffer).expect("what was written");
            assert_eq!(again.as_ref(), Some(command));
        }
    }
});

fn pair(
    (commands, error): &(Vec<Command>, Option<WireError>),
) -> (&Vec<Command>, Option<WireError>) {
    (commands, *error)
}

fn decode<'a>(
    format: &WireFormat,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Command>, Option<WireError>) {
    let mut decoder = Decoder::new(format.clone());
    let (mut buffer, mut commands) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.read(&mut buffer) {
                Ok(Some(command)) => commands.push(command),
                Ok(None) => break,
                // Without sizes, how much there is decides whether it is too much.
                Err(WireError::TooLarge { .. }) if !format.size_prefix => return (commands, None),
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn look_into(command: &Command) {
    match command {
        Command::Message(message) => {
            if let Some(properties) = &message.marshalled_properties {
                if let Ok(Some(map)) = primitive::read_map(properties) {
                    let written = primitive::write_map(&map).expect("what was read");
                    assert!(primitive::read_map(&written).is_ok());
                }
            }
            let _ = body::read(message, INFLATED_MAX);
        }
        Command::WireFormatInfo(info) => {
            let _ = Offer::from_info(info);
        }
        _ => {}
    }
}
