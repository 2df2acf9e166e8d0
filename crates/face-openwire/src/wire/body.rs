//! Bodies of messages, for those who do not pass them on as they are. Reference `activemq.md`, (c3)
//! "Body encodings" and (a5) "Compression".
//!
//! Called by the translation: events hold what a body says, not how a wire wrote it. What leaves as it
//! came is not read here, but for the faces that read it, too ([`super::Content`] is what it leaves as).
//!
//! Invariants: a compressed body is inflated to at most the length the caller names; a serialised
//! object is never looked into.

use std::io::Read as _;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use flate2::read::ZlibDecoder;
use outflow_model::ErrorCode;

use super::primitive::{self, Map, Primitive, PrimitiveError};
use super::structure::{Message, MessageKind};
use super::utf8;

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// Text.
    Text(String),
    /// Text that is not written as it has to be: what can be read of it.
    Odd(String),
    /// Bytes as they are.
    Bytes(Bytes),
    /// Names and typed values.
    Map(Map),
    /// Typed values.
    Stream(Vec<Primitive>),
    /// A serialised Java object, as it came.
    Object(Bytes),
}

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The text's length and its bytes do not agree.
    #[error("the text is not as long as it says")]
    Truncated,
    /// The text is not modified UTF-8.
    #[error("the text is not modified UTF-8")]
    NotUtf8,
    /// The compressed bytes are damaged.
    #[error("the compressed body is damaged")]
    Damaged,
    /// The body is too large once inflated.
    #[error("the inflated body has more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The typed values cannot be read.
    #[error(transparent)]
    Values(#[from] PrimitiveError),
}

impl BodyError {
    /// What the error is to a caller who knows no frames.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Values(error) => error.code(),
            Self::Truncated | Self::NotUtf8 | Self::Damaged => ErrorCode::Malformed,
        }
    }
}

/// The body of `message`, inflated to at most `max` bytes when it is compressed.
///
/// # Errors
/// When it is not what its kind of message holds, or too large.
pub fn read(message: &Message, max: usize) -> Result<Body, BodyError> {
    let Some(content) = &message.content else { return Ok(Body::Nothing) };
    if matches!(message.kind, MessageKind::Plain | MessageKind::Blob(_)) {
        return Ok(Body::Nothing);
    }
    let content = content.to_bytes();
    let content = if message.compressed { inflate(&message.kind, content, max)? } else { content };
    Ok(match message.kind {
        MessageKind::Plain | MessageKind::Blob(_) => Body::Nothing,
        MessageKind::Bytes => Body::Bytes(content),
        MessageKind::Object => Body::Object(content),
        MessageKind::Text => read_any_text(&content)?,
        MessageKind::Map => Body::Map(primitive::read_map(&content)?.unwrap_or_default()),
        MessageKind::Stream => Body::Stream(primitive::read_values(&content)?),
    })
}

/// The text of a text message's content; none when it says that there is none.
///
/// # Errors
/// When its length does not agree with its bytes, or it is not modified UTF-8.
pub fn read_text(content: &[u8]) -> Result<Option<String>, BodyError> {
    let Some(bytes) = text_bytes(content)? else { return Ok(None) };
    Ok(Some(utf8::decode(bytes).map_err(|_| BodyError::NotUtf8)?.into_owned()))
}

/// How the text of a text message's content is written; none when it says that there is none.
fn text_bytes(content: &[u8]) -> Result<Option<&[u8]>, BodyError> {
    if content.is_empty() {
        return Ok(None);
    }
    let (prefix, rest) = content.split_first_chunk::<4>().ok_or(BodyError::Truncated)?;
    let Ok(len) = usize::try_from(i32::from_be_bytes(*prefix)) else { return Ok(None) };
    rest.get(..len).map(Some).ok_or(BodyError::Truncated)
}

/// The text of a text message's content, however it is written: brokers do not look into it.
fn read_any_text(content: &[u8]) -> Result<Body, BodyError> {
    let Some(bytes) = text_bytes(content)? else { return Ok(Body::Nothing) };
    Ok(match utf8::decode(bytes) {
        Ok(text) => Body::Text(text.into_owned()),
        Err(_) => Body::Odd(utf8::decode_lossy(bytes)),
    })
}

/// The content of a text message.
///
/// # Errors
/// When the text is longer than the wire can say.
pub fn write_text(text: &str) -> Result<Bytes, BodyError> {
    let max = i32::MAX.unsigned_abs() as usize;
    let len = utf8::encoded_len(text);
    let prefix = i32::try_from(len).map_err(|_| BodyError::TooLarge { max })?;
    let mut out = BytesMut::with_capacity(4 + len);
    out.put_i32(prefix);
    utf8::encode(text, &mut out);
    Ok(out.freeze())
}

fn inflate(kind: &MessageKind, mut deflated: Bytes, max: usize) -> Result<Bytes, BodyError> {
    // The length of bytes stands before them, for clients may deflate all of a buffer of which they
    // have filled a part.
    let own = match kind {
        MessageKind::Bytes => {
            let len = deflated.try_get_i32().map_err(|_| BodyError::Damaged)?;
            usize::try_from(len).map_err(|_| BodyError::Damaged)?
        }
        _ => usize::MAX,
    };
    let mut inflated = Vec::new();
    ZlibDecoder::new(&*deflated)
        .take(max as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| BodyError::Damaged)?;
    if inflated.len() > max {
        return Err(BodyError::TooLarge { max });
    }
    inflated.truncate(own);
    Ok(inflated.into())
}
