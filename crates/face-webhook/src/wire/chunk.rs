//! Chunked bodies (RFC 9112 7.1), without keeping them.
//!
//! Called by [`answer`](super::answer), which takes from them what it shows.
//!
//! Invariant: what is not data (sizes, extensions, trailers) is bounded over the whole body.

/// The most bytes that are not data.
const MAX_EXTRA_BYTES: usize = 16 << 10;
/// The most digits of a size: more would not be a size that anyone reads to its end.
const MAX_DIGITS: u8 = 15;

/// The body is not what RFC 9112 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a malformed chunk")]
pub struct ChunkError;

/// A chunked body, as far as it has come.
#[derive(Debug, Clone)]
pub struct Chunks {
    phase: Phase,
    extra: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// In the line before a chunk: its size so far.
    Size { size: u64, digits: u8 },
    /// After the size, before the end of its line.
    Extension { size: u64 },
    /// So much data to come.
    Data { left: u64 },
    /// At the end of the line after the data; whether its CR was there.
    AfterData { has_cr: bool },
    /// In the lines after the last chunk; how many bytes the present one has, without its CR.
    Trailer { length: usize },
    /// Past the end.
    Over,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { phase: FIRST, extra: 0 }
    }
}

const FIRST: Phase = Phase::Size { size: 0, digits: 0 };

impl Chunks {
    /// Takes bytes of the body and gives what is data of them to `data`; says how many of them
    /// belong to the body: less than all once it is over.
    ///
    /// # Errors
    /// [`ChunkError`]; the rest of what comes means nothing then.
    pub fn take(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, ChunkError> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first()
            && self.phase != Phase::Over
        {
            if let Phase::Data { left } = self.phase {
                let count = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let (now, later) = rest.split_at_checked(count).ok_or(ChunkError)?;
                data(now);
                rest = later;
                let left = left - count as u64;
                self.phase = if left == 0 {
                    Phase::AfterData { has_cr: false }
                } else {
                    Phase::Data { left }
                };
                continue;
            }
            self.extra += 1;
            if self.extra > MAX_EXTRA_BYTES {
                return Err(ChunkError);
            }
            self.phase = self.step(byte)?;
            rest = after;
        }
        Ok(bytes.len() - rest.len())
    }

    /// Whether its end was seen.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What comes after `byte`, which is not data.
    fn step(&self, byte: u8) -> Result<Phase, ChunkError> {
        let begin = |size| {
            if size == 0 { Phase::Trailer { length: 0 } } else { Phase::Data { left: size } }
        };
        Ok(match (self.phase, byte) {
            (Phase::Size { size, digits }, _)
                if byte.is_ascii_hexdigit() && digits < MAX_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError)?;
                Phase::Size { size: (size << 4) | u64::from(digit), digits: digits + 1 }
            }
            (Phase::Size { digits: 0, .. }, _) => return Err(ChunkError),
            (Phase::Size { size, .. } | Phase::Extension { size }, b'\n') => begin(size),
            (Phase::Size { size, .. }, b'\r' | b';' | b' ' | b'\t') => Phase::Extension { size },
            (Phase::Extension { size }, _) => Phase::Extension { size },
            (Phase::AfterData { has_cr: false }, b'\r') => Phase::AfterData { has_cr: true },
            (Phase::AfterData { .. }, b'\n') => FIRST,
            (Phase::Trailer { length: 0 }, b'\n') => Phase::Over,
            (Phase::Trailer { .. }, b'\n') => Phase::Trailer { length: 0 },
            (Phase::Trailer { length }, b'\r') => Phase::Trailer { length },
            (Phase::Trailer { length }, _) => Phase::Trailer { length: length + 1 },
            (Phase::Over, _) => Phase::Over,
            (Phase::Size { .. } | Phase::AfterData { .. } | Phase::Data { .. }, _) => {
                return Err(ChunkError);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The data, how many bytes belonged to the body, and whether it was over.
    fn read(bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize, bool), ChunkError> {
        let (mut chunks, mut data, mut used) = (Chunks::default(), Vec::new(), 0);
        for part in bytes.chunks(step.max(1)) {
            used += chunks.take(part, |some| data.extend_from_slice(some))?;
        }
        Ok((data, used, chunks.is_over()))
    }

    #[test]
    fn bodies_are_read_whatever_the_pieces() {
        let whole =
            b"4\r\nWiki\r\n6;a=\"b\"\r\npedia \r\nA\r\nin chunks.\r\n0\r\nX: y\r\n\r\nHTTP/1.1";
        for step in 1..whole.len() {
            let (data, used, over) = read(whole, step).unwrap();
            assert_eq!(data, b"Wikipedia in chunks.");
            assert_eq!((used, over), (whole.len() - 8, true), "{step}");
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in ["\r\n", "g\r\n", "-1\r\n", "1\r\nab", "1\r\na\rb", "+5\r\n", " 5\r\n", "5z\r\n"]
        {
            assert_eq!(read(bad.as_bytes(), 3), Err(ChunkError), "{bad:?}");
        }
        assert_eq!(read(b"fffffffffffffffff\r\n", 5), Err(ChunkError));
        assert!(!read(b"fffffffffffffff\r\nabc", 5).unwrap().2, "a size allocates nothing");
    }

    #[test]
    fn extensions_and_trailers_have_an_end() {
        assert_eq!(read(&[b"1;".as_slice(), &[b'a'; 20_000]].concat(), 999), Err(ChunkError));
        assert_eq!(
            read(&[b"0\r\n".as_slice(), &b"A: b\r\n".repeat(4_000)].concat(), 999),
            Err(ChunkError)
        );
        assert_eq!(read(&b"1\r\na\r\n".repeat(20_000), 999), Err(ChunkError));
    }

    proptest! {
        #[test]
        fn nothing_panics_and_pieces_make_no_difference(
            bytes in prop::collection::vec(prop::sample::select(b"01af\r\n; x".to_vec()), 0..60),
            step in 1_usize..9,
        ) {
            prop_assert_eq!(read(&bytes, step), read(&bytes, 1_000));
        }
    }
}
