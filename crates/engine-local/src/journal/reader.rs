//! Reading a journal file back: whole records in order, the torn tail cut, damage told apart.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::record::{self, FileHead, FileHeadRead, Record};
use crate::fs::{ALIGN, Fs, OpenMode, read_exact_at};

/// A journal file read back.
#[derive(Debug)]
pub(crate) struct JournalFile {
    pub(crate) head: FileHead,
    /// The whole records, in order of sequence.
    pub(crate) records: Vec<Record>,
    /// What is damaged, in words; empty when nothing is.
    pub(crate) damage: Vec<String>,
    /// Where the torn end begins and how long it is, if there is one that can be seen.
    pub(crate) cut: Option<(usize, usize)>,
}

/// What a journal file turned out to be.
#[derive(Debug)]
pub(crate) enum JournalRead {
    /// It holds a generation above the one asked for.
    Live(JournalFile),
    /// Nothing in it is needed.
    Free,
    /// It has not even a head, though it was whole when it got its name.
    Cut,
    /// A later version wrote it.
    Newer(u32),
}

/// Reads the file at `path`. Generations up to `sealed` are not needed any more.
pub(crate) fn read(fs: &dyn Fs, path: &Path, sealed: u64) -> io::Result<JournalRead> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.len()? as usize;
    let head = match FileHead::decode(&read_exact_at(file.as_ref(), 0, len.min(ALIGN))?) {
        FileHeadRead::Newer(version) => return Ok(JournalRead::Newer(version)),
        FileHeadRead::Good(head) if head.generation <= sealed => return Ok(JournalRead::Free),
        FileHeadRead::Good(head) => Some(head),
        FileHeadRead::Bad if len < ALIGN => return Ok(JournalRead::Cut),
        FileHeadRead::Bad => None,
    };
    let bytes = Bytes::from(read_exact_at(file.as_ref(), 0, len)?);
    let Some(head) = head else { return Ok(without_head(&bytes, sealed)) };
    let is_short = (len as u64) < head.size;
    let damage = is_short.then(|| format!("{} of its bytes are gone", head.size - len as u64));
    Ok(JournalRead::Live(scan(&bytes, head, damage.into_iter().collect())))
}

/// A file whose head is bad: torn while it was being taken into use, or damaged since. If it
/// holds a commit of a generation that is still needed, it was damaged.
fn without_head(bytes: &Bytes, sealed: u64) -> JournalRead {
    let live = (ALIGN..bytes.len())
        .step_by(ALIGN)
        .filter_map(|at| record::decode(bytes, at))
        .find(|record| record.generation > sealed);
    let Some(first) = live else { return JournalRead::Free };
    let (generation, first_sequence) = (first.generation, first.sequence);
    let head = FileHead { generation, first_sequence, size: 0, has_jumped: false };
    JournalRead::Live(scan(bytes, head, vec!["its head is damaged".into()]))
}

fn scan(bytes: &Bytes, head: FileHead, mut damage: Vec<String>) -> JournalFile {
    let (mut records, mut at, mut next) = (Vec::<Record>::new(), ALIGN, head.first_sequence);
    // Checksums are made of what can be of this generation only: most of a file may be older.
    let own = |at: usize| {
        record::claimed(bytes, at).filter(|&(generation, _)| generation == head.generation)
    };
    let good = |at: usize, next: u64| {
        own(at).and_then(|_| record::decode(bytes, at)).filter(|record| record.sequence >= next)
    };
    loop {
        let record = good(at, next).or_else(|| {
            // A bad record is the torn tail unless a good one follows it.
            let found =
                (at..bytes.len()).step_by(ALIGN).find(|&later| good(later, next).is_some())?;
            damage.push(format!("bytes {at} to {found} are damaged"));
            at = found;
            good(at, next)
        });
        let Some(record) = record else { break };
        if record.sequence > next {
            damage.push(format!("commits {next} to {} are missing", record.sequence - 1));
        }
        next = record.sequence + 1;
        at += record.size;
        records.push(record);
    }
    let cut = own(at).map(|(_, size)| (at, size));
    JournalFile { head, records, damage, cut }
}

#[cfg(test)]
mod tests {
    use super::super::buffer::AlignedBuffer;
    use super::*;

    const HEAD: FileHead =
        FileHead { generation: 7, first_sequence: 100, size: 0, has_jumped: false };

    /// A file of `sizes.len()` records with these payload sizes, and then old bytes.
    fn file(sizes: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut places) = (Vec::new(), Vec::new());
        let mut out = AlignedBuffer::default();
        HEAD.encode(&mut out);
        bytes.extend_from_slice(out.contents());
        for (sequence, &size) in (100..).zip(sizes) {
            places.push(bytes.len());
            record::begin(&mut out);
            out.extend(&vec![b'x'; size]);
            record::finish(&mut out, 1, 7, sequence);
            bytes.extend_from_slice(out.contents());
        }
        // A whole record of an earlier life.
        record::begin(&mut out);
        record::finish(&mut out, 0, 6, 103);
        bytes.extend_from_slice(out.contents());
        (bytes, places)
    }

    fn sequences(bytes: Vec<u8>) -> (Vec<u64>, usize) {
        let file = scan(&bytes.into(), HEAD, Vec::new());
        (file.records.iter().map(|record| record.sequence).collect(), file.damage.len())
    }

    #[test]
    fn old_bytes_are_not_alive() {
        assert_eq!(sequences(file(&[10, 5000, 0]).0), (vec![100, 101, 102], 0));
    }

    #[test]
    fn a_torn_tail_is_cut_and_measured() {
        let (mut bytes, places) = file(&[10, 5000, 9000]);
        bytes[places[2] + 8000] ^= 1;
        let file = scan(&bytes.clone().into(), HEAD, Vec::new());
        assert_eq!(file.cut, Some((places[2], 3 * ALIGN)));
        assert_eq!(sequences(bytes), (vec![100, 101], 0));
    }

    #[test]
    fn heads_read_back() {
        let size = 1 << 30;
        for has_jumped in [false, true] {
            let head = FileHead { generation: 7, first_sequence: 1 << 40, size, has_jumped };
            let mut out = AlignedBuffer::default();
            head.encode(&mut out);
            assert_eq!(FileHead::decode(out.contents()), FileHeadRead::Good(head));
        }
    }

    #[test]
    fn damage_before_a_good_commit_is_told() {
        for record in 0..2 {
            for byte in [0, 4, 8, 12, 16, 24, 40] {
                let (mut bytes, places) = file(&[10, 5000, 9000]);
                bytes[places[record] + byte] ^= 4;
                let (read, damage) = sequences(bytes);
                let left: Vec<u64> = (100..103).filter(|&s| s != 100 + record as u64).collect();
                assert_eq!(read, left, "record {record} byte {byte}");
                assert!(damage > 0);
            }
        }
    }
}
