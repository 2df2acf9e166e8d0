//! Cutting what arrives into lines, without copying those that arrive whole.

use crate::failure::Failure;

/// Far above the largest event that any server takes; what is longer is no event stream.
const MAX_LINE_BYTES: usize = 64 << 20;

/// The line that has begun but not ended.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that `chunk` completes, each with its newline; blank ones, which are heartbeats,
    /// are left out. [`Lines::keep_rest`] must follow with the same chunk.
    pub(crate) fn add<'a>(
        &'a mut self,
        chunk: &'a [u8],
    ) -> Result<impl Iterator<Item = &'a [u8]>, Failure> {
        let first_end = memchr::memchr(b'\n', chunk).map_or(chunk.len(), |at| at + 1);
        let continues = !self.begun.is_empty();
        let (head, tail) = chunk.split_at_checked(first_end).unwrap_or((chunk, &[]));
        if continues {
            if self.begun.len() + head.len() > MAX_LINE_BYTES {
                return Err(Failure::Answer(format!("a line of more than {MAX_LINE_BYTES} bytes")));
            }
            self.begun.extend_from_slice(head);
        }
        let (first, rest) =
            if continues { (self.begun.as_slice(), tail) } else { (&[][..], chunk) };
        let first = Some(first).filter(|line| line.ends_with(b"\n"));
        let whole =
            rest.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
        Ok(first.into_iter().chain(whole).filter(|line| !line.trim_ascii().is_empty()))
    }

    /// Keeps what follows the last newline of `chunk`.
    pub(crate) fn keep_rest(&mut self, chunk: &[u8]) {
        match memchr::memrchr(b'\n', chunk) {
            Some(last) => {
                self.begun.clear();
                self.begun.extend_from_slice(chunk.get(last + 1..).unwrap_or_default());
            }
            // `add` appended the chunk already if a line had begun.
            None if self.begun.is_empty() => self.begun.extend_from_slice(chunk),
            None => {}
        }
    }
}

/// The offset of a stored line. Id and type, which stand before it, hold no double quote.
pub(crate) fn offset(line: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"offset\":\"";
    let start = memchr::memmem::find(line, NAME)? + NAME.len();
    let digits = line.get(start..)?;
    let end = memchr::memchr(b'"', digits)?;
    std::str::from_utf8(digits.get(..end)?)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_the_same_however_they_arrive() {
        let text = b"{\"offset\":\"1\"}\n\n{\"offset\":\"22\"}\n\n\n{\"offset\":\"333\"}\nrest";
        for size in 1..=text.len() {
            let (mut lines, mut seen) = (Lines::default(), Vec::new());
            for chunk in text.chunks(size) {
                seen.extend(lines.add(chunk).unwrap().map(<[u8]>::to_vec));
                lines.keep_rest(chunk);
            }
            let offsets: Vec<_> = seen.iter().map(|line| offset(line).unwrap()).collect();
            assert_eq!(offsets, ["1", "22", "333"], "chunks of {size}");
            assert_eq!(lines.begun, b"rest");
        }
    }
}
