//! Whatever a command holds, it is read back as it was, in every version and every way of writing.
//!
//! Random commands of every type come of golden frames with bytes of theirs changed: what can still be
//! read is a command that somebody could send.

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use outflow_face_openwire::wire::{Command, Decoder, Encoder, VERSION_MAX, WireFormat};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use proptest::test_runner::Config;

use crate::check::rows;

/// One frame of each row, as the version 12 has it, loose and with nothing cached.
static FRAMES: LazyLock<Vec<Bytes>> = LazyLock::new(|| {
    let files = [include_str!("../vectors/v12.jsonl"), include_str!("../vectors/random.jsonl")];
    files.into_iter().flat_map(rows).map(|command| write(&plain(), &command)).collect()
});

fn plain() -> WireFormat {
    WireFormat { version: VERSION_MAX, stack_traces: true, ..WireFormat::initial(1 << 20) }
}

fn write(format: &WireFormat, command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    Encoder::new(format.clone()).encode(command, &mut out).unwrap();
    out.freeze()
}

fn read(format: &WireFormat, frame: &[u8]) -> Option<Command> {
    Decoder::new(format.clone()).read(&mut frame.into()).ok()?
}

fn command() -> impl Strategy<Value = Command> {
    let changes = proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6);
    (0..FRAMES.len(), changes).prop_map(|(index, changes)| {
        let frame = &FRAMES[index];
        let mut found = read(&plain(), frame).unwrap();
        let mut changed = frame.to_vec();
        for (at, byte) in changes {
            // The size stays as it is.
            let at = 4 + at.index(frame.len() - 4);
            let before = std::mem::replace(&mut changed[at], byte);
            match read(&plain(), &changed) {
                Some(command) => found = command,
                None => changed[at] = before,
            }
        }
        found
    })
}

fn format() -> impl Strategy<Value = WireFormat> {
    (1..=VERSION_MAX, any::<[bool; 4]>(), 1..1024_u16).prop_map(
        |(version, [tight, cache, stack_traces, size_prefix], cache_size)| WireFormat {
            version,
            tight,
            cache,
            cache_size,
            stack_traces,
            size_prefix,
            max_frame_size: 1 << 20,
        },
    )
}

proptest! {
    #![proptest_config(Config { cases: 600, ..Config::default() })]

    #[test]
    fn commands_are_read_as_they_were_written(
        commands in proptest::collection::vec(command(), 1..20),
        format in format(),
    ) {
        // What the version and the lack of stack traces leave of each, written in the plainest way.
        let plainest = WireFormat { tight: false, cache: false, size_prefix: true, ..format };
        let (mut encoder, mut decoder) =
            (Encoder::new(format.clone()), Decoder::new(format.clone()));
        let mut buffer = BytesMut::new();
        for command in commands {
            let mut out = BytesMut::new();
            let known = Encoder::new(plainest.clone()).encode(&command, &mut out);
            let written = encoder.encode(&command, &mut buffer);
            prop_assert_eq!(known, written);
            if written.is_ok() {
                let left = read(&plainest, &out).unwrap();
                if format.version == VERSION_MAX && format.stack_traces {
                    prop_assert_eq!(&left, &command);
                }
                prop_assert_eq!(decoder.read(&mut buffer), Ok(Some(left)));
                prop_assert_eq!(buffer.len(), 0);
            }
        }
    }
}
