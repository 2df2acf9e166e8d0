//! The binary sidecar of a stored line: what filters and faces ask for most, made once at publish.
//!
//! Layout, little-endian, [`META_BYTES`] bytes per event:
//!
//! ```text
//!  0 offset u64 | 8 occurred i64 | 16 processed i64 | 24 id_hash u128 | 40 key_hash u64
//! 48 line_len u32 | 52 body_start u32 | 56 body_len u32 | 60 type_hash u32
//! 64 id_len u16 | 66 type_len u8 | 67 device u8 | 68 flags u32
//! ```

use crate::{Offset, Timestamp};

/// The size of one event's sidecar in bytes.
pub const META_BYTES: usize = 72;

/// `,"body":` was a JSON string made of text that was not JSON.
pub const FLAG_BODY_TEXT: u32 = 1;
/// `,"body":` is base64 of bytes that were not text.
pub const FLAG_BODY_BASE64: u32 = 2;
/// The line has a tick behind the members that the server writes first.
pub const FLAG_TICK: u32 = 4;
/// The event's id is the name of its sender, a colon and a number that grows with each of its events. Whose
/// credential the sender has is in the upper half of the flags, by a hash.
pub const FLAG_NUMBERED: u32 = 8;
pub(crate) const SENDER_SHIFT: u32 = 16;
/// What a tick takes in a line: `,"tick":` and its digits.
pub const TICK_BYTES: usize = 8 + crate::tick::TICK_DIGITS;

/// The kind of device an event is about; Airship's `device_types` (reference `airship.md` 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum DeviceType {
    /// The event has no device, or its device has no type.
    #[default]
    None = 0,
    /// Android.
    Android = 1,
    /// iOS.
    Ios = 2,
    /// Amazon.
    Amazon = 3,
    /// Web.
    Web = 4,
    /// Email.
    Email = 5,
    /// SMS.
    Sms = 6,
    /// An open channel.
    Open = 7,
    /// Any other.
    Other = 255,
}

impl DeviceType {
    /// The known types with their names; each stands at its code less one.
    const NAMES: [(&[u8], Self); 7] = [
        (b"android", Self::Android),
        (b"ios", Self::Ios),
        (b"amazon", Self::Amazon),
        (b"web", Self::Web),
        (b"email", Self::Email),
        (b"sms", Self::Sms),
        (b"open", Self::Open),
    ];

    /// Reads a device type in any case; an unknown one is [`DeviceType::Other`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let known = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map_or(Self::Other, |&(_, device)| device)
    }

    /// The type with code `code`; unknown codes are [`DeviceType::Other`].
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match usize::from(code).checked_sub(1) {
            None => Self::None,
            Some(at) => Self::NAMES.get(at).map_or(Self::Other, |&(_, device)| device),
        }
    }
}

/// One event's sidecar, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// Where the event stands in its stream.
    pub offset: Offset,
    /// When it happened, as the publisher says.
    pub occurred: Timestamp,
    /// When the server took it.
    pub processed: Timestamp,
    /// Stable hash of the id ([`crate::subset::id_hash`]): dedup and subsets.
    pub id_hash: u128,
    /// Stable hash of the key; 0 when there is none.
    pub key_hash: u64,
    /// Length of the stored line in bytes, its `\n` included.
    pub line_len: u32,
    /// Where the body's JSON value starts in the line; 0 when there is none.
    pub body_start: u32,
    /// Length of the body's JSON value in bytes.
    pub body_len: u32,
    /// Low 32 bits of the stable hash of the upper-cased type ([`crate::subset::type_hash`]).
    pub type_hash: u32,
    /// Length of the id, which starts at byte 7 of the line.
    pub id_len: u16,
    /// Length of the type, which starts at byte `7 + id_len + 10` of the line.
    pub type_len: u8,
    /// The kind of device.
    pub device: DeviceType,
    /// `FLAG_*`.
    pub flags: u32,
}

impl Meta {
    /// What copies are recognised by. Where ids are numbers of their sender, who sent it counts too: what
    /// somebody else sends under such an id is no copy.
    #[must_use]
    pub fn identity(&self) -> u128 {
        match self.sender() {
            Some(sender) => self.id_hash ^ (u128::from(sender) << SENDER_SHIFT),
            None => self.id_hash,
        }
    }

    /// Whose event a numbered one is; `None`: it is not numbered.
    #[must_use]
    pub const fn sender(&self) -> Option<u16> {
        if self.flags & FLAG_NUMBERED == 0 {
            return None;
        }
        Some((self.flags >> SENDER_SHIFT) as u16)
    }

    /// The id inside `line`.
    #[must_use]
    pub fn id<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.get(7..7 + usize::from(self.id_len)).unwrap_or_default()
    }

    /// The type inside `line`.
    #[must_use]
    pub fn event_type<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let start = 7 + usize::from(self.id_len) + 10;
        line.get(start..start + usize::from(self.type_len)).unwrap_or_default()
    }

    /// Where, in the line, the five members that the server writes first end.
    #[must_use]
    pub const fn others_start(&self) -> usize {
        const FIXED: usize =
            r#"{"id":"","type":"","offset":"0000000000000000","occurred":"2016-12-08T21:27:01.125Z","#.len()
                + r#""processed":"2016-12-08T21:27:01.125Z""#.len();
        FIXED + self.id_len as usize + self.type_len as usize
    }

    /// The body's JSON value inside `line`; empty when there is none.
    #[must_use]
    pub fn body<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        let start = self.body_start as usize;
        line.get(start..start + self.body_len as usize).unwrap_or_default()
    }

    /// Puts where the event stands, and when it was taken, into its binary form.
    #[inline]
    pub(crate) fn stamp(bytes: &mut [u8; META_BYTES], offset: Offset, processed: Timestamp) {
        let (places, _) = bytes.as_chunks_mut::<8>();
        if let [at, _, taken, ..] = places {
            (*at, *taken) = (offset.get().to_le_bytes(), processed.millis().to_le_bytes());
        }
    }

    /// Appends the binary form to `out`.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// The binary form.
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> [u8; META_BYTES] {
        let mut out = [0; META_BYTES];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            if let Some(to) = out.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        put(&self.offset.get().to_le_bytes());
        put(&self.occurred.millis().to_le_bytes());
        put(&self.processed.millis().to_le_bytes());
        put(&self.id_hash.to_le_bytes());
        put(&self.key_hash.to_le_bytes());
        put(&self.line_len.to_le_bytes());
        put(&self.body_start.to_le_bytes());
        put(&self.body_len.to_le_bytes());
        put(&self.type_hash.to_le_bytes());
        put(&self.id_len.to_le_bytes());
        put(&[self.type_len, self.device as u8]);
        put(&self.flags.to_le_bytes());
        out
    }

    /// Reads the binary form. Inlined, because most callers ask for one or two of its parts.
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: &[u8; META_BYTES]) -> Self {
        fn part<const N: usize>(bytes: &[u8; META_BYTES], at: usize) -> [u8; N] {
            let slice = bytes.get(at..at + N).and_then(|slice| slice.try_into().ok());
            slice.unwrap_or([0; N])
        }
        let [type_len, device] = part::<2>(bytes, 66);
        Self {
            offset: Offset::new(u64::from_le_bytes(part(bytes, 0))),
            occurred: Timestamp::from_millis(i64::from_le_bytes(part(bytes, 8))),
            processed: Timestamp::from_millis(i64::from_le_bytes(part(bytes, 16))),
            id_hash: u128::from_le_bytes(part(bytes, 24)),
            key_hash: u64::from_le_bytes(part(bytes, 40)),
            line_len: u32::from_le_bytes(part(bytes, 48)),
            body_start: u32::from_le_bytes(part(bytes, 52)),
            body_len: u32::from_le_bytes(part(bytes, 56)),
            type_hash: u32::from_le_bytes(part(bytes, 60)),
            id_len: u16::from_le_bytes(part(bytes, 64)),
            type_len,
            device: DeviceType::from_code(device),
            flags: u32::from_le_bytes(part(bytes, 68)),
        }
    }
}

/// The sidecars of consecutive events, undecoded.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetaSlice<'a>(&'a [u8]);

impl<'a> MetaSlice<'a> {
    /// Takes `bytes` as sidecars; a partial one at the end is ignored.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.len() / META_BYTES
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The `index`-th.
    #[must_use]
    pub fn get(self, index: usize) -> Option<Meta> {
        let start = index.checked_mul(META_BYTES)?;
        let bytes = self.0.get(start..start.checked_add(META_BYTES)?)?;
        Some(Meta::from_bytes(bytes.try_into().ok()?))
    }

    /// All of them in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Meta> + 'a {
        let (chunks, _) = self.0.as_chunks::<META_BYTES>();
        chunks.iter().map(Meta::from_bytes)
    }

    /// Each event with its line. Stops early when `lines` is shorter than the sidecars say.
    pub fn with_lines(self, lines: &'a [u8]) -> impl Iterator<Item = (Meta, &'a [u8])> + 'a {
        let mut rest = lines;
        self.iter().map_while(move |meta| {
            let (line, after) = rest.split_at_checked(meta.line_len as usize)?;
            rest = after;
            Some((meta, line))
        })
    }
}
