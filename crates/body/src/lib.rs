//! Reading request bodies: whole, decoded, and never larger than they may be.
//!
//! Called by handlers of `admin` and of the faces that speak HTTP; calls `model` only. Those that do
//! not are built without it, and without what decodes. The limit counts decoded bytes while they
//! stream, so a compressed bomb costs no more memory than the limit and is refused as soon as it
//! passes it. [`Door`] bounds what many bodies hold together.

mod decoder;
mod door;

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, EXPECT};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use outflow_model::ErrorCode;

use decoder::Decoder;
pub use door::{Door, Held};

/// The content codings that request bodies may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// None.
    #[default]
    Identity,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames with windows up to 8 MiB (RFC 8878's advice).
    Zstd,
}

impl Encoding {
    /// What `Content-Encoding` says.
    ///
    /// # Errors
    /// [`BodyError::Unsupported`] for any other coding, and for several at once.
    pub fn of(headers: &HeaderMap) -> Result<Self, BodyError> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let (first, more) = (values.next(), values.next());
        let name = match (first.map(HeaderValue::to_str), more) {
            (None, _) => return Ok(Self::Identity),
            (Some(Ok(name)), None) => name.trim().to_ascii_lowercase(),
            _ => return Err(BodyError::Unsupported("several or unreadable codings".to_owned())),
        };
        match name.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(BodyError::Unsupported(name.chars().take(64).collect())),
        }
    }
}

/// Why a body could not be read. All but [`BodyError::NoRoom`] are the client's doing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Decoded, it is larger than `limit` bytes. The same body will never be taken.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not what its coding says: damaged or cut short.
    #[error("the body is not valid {coding}: {reason}")]
    Malformed {
        /// The coding.
        coding: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Its coding is not one of gzip, zstd, identity.
    #[error("content encoding `{0}` is not supported; use gzip, zstd or identity")]
    Unsupported(String),
    /// It did not arrive in time. Sending it faster may help.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The connection broke, or the framing of the body did.
    #[error("the body broke off")]
    Broken,
    /// Too many bodies are on their way in.
    #[error("too much is on its way in; try again")]
    NoRoom,
}

impl BodyError {
    /// What faces answer.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::TooLarge { .. } => ErrorCode::TooLarge,
            Self::Malformed { .. } | Self::Broken => ErrorCode::Malformed,
            Self::Unsupported(_) => ErrorCode::UnsupportedMedia,
            Self::Timeout => ErrorCode::Timeout,
            Self::NoRoom => ErrorCode::Unavailable,
        }
    }
}

/// How many encoded bytes are decoded between two chances for other tasks to run.
const SLICE_BYTES: usize = 4096;

/// What gives out room for bodies while they arrive.
pub trait Room {
    /// Waits for room for so many bytes more; says whether there is any.
    fn grow(&mut self, bytes: usize) -> impl Future<Output = bool> + Send;
}

/// Room for any body.
struct Unbounded;

impl Room for Unbounded {
    async fn grow(&mut self, _bytes: usize) -> bool {
        true
    }
}

/// Reads the whole of `body`, of a request with these `headers`, decoded, up to `limit` bytes. What is
/// refused is read past, as by [`discard`], so that the client sees the answer; but of what says that it
/// is too large nothing is asked for, as by [`discard_unread`].
///
/// # Errors
/// [`BodyError`]. Memory use is bounded by `limit` either way.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    encoding: Encoding,
    limit: usize,
) -> Result<Bytes, BodyError> {
    read_within(headers, body, encoding, limit, &mut Unbounded).await
}

/// As [`read`], with room taken for what has arrived and not for what was announced: a body that
/// comes slowly keeps nobody out.
///
/// # Errors
/// [`BodyError`].
pub async fn read_within(
    headers: &HeaderMap,
    mut body: Body,
    encoding: Encoding,
    limit: usize,
    room: &mut (impl Room + Send),
) -> Result<Bytes, BodyError> {
    if let Err(error) = check_announced(&body, encoding, limit) {
        discard_unread(headers, Some(body)).await;
        return Err(error);
    }
    let outcome = match encoding {
        Encoding::Identity => read_plain(&mut body, limit, room).await,
        Encoding::Gzip | Encoding::Zstd => read_encoded(&mut body, encoding, limit, room).await,
    };
    if !matches!(outcome, Ok(_) | Err(BodyError::Timeout | BodyError::Broken)) {
        discard(body).await;
    }
    outcome
}

/// How much of a refused body is read past, and for how long. Clients such as Python's send all of a
/// body before they read: one that is several times too large is still answered.
const DISCARD_BYTES: usize = 256 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads past `body` before a request is refused: closing a connection on which bytes are still
/// arriving resets it, and the client loses the answer.
///
/// Not for requests with `Expect: 100-continue`: reading would ask for the body.
pub async fn discard(mut body: Body) {
    let past = async {
        let mut left = DISCARD_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(len) else { break };
            left = rest;
        }
    };
    // Whoever takes longer may lose the answer.
    let _ = tokio::time::timeout(DISCARD_TIME, past).await;
}

/// As [`discard`], of a request with these headers; `body` is what was not read of it. One who sends
/// `Expect: 100-continue` and was not told to go on sends nothing, so nothing is read.
pub async fn discard_unread(headers: &HeaderMap, body: Option<Body>) {
    if let Some(body) = body.filter(|_| !headers.contains_key(EXPECT)) {
        discard(body).await;
    }
}

/// Refuses a body that says that it is too large, before it is asked for.
///
/// # Errors
/// [`BodyError::TooLarge`].
pub fn check_announced(body: &Body, encoding: Encoding, limit: usize) -> Result<(), BodyError> {
    let announced = http_body::Body::size_hint(body).lower();
    let is_too_large = encoding == Encoding::Identity && announced > limit as u64;
    if is_too_large { Err(BodyError::TooLarge { limit }) } else { Ok(()) }
}

async fn read_encoded(
    body: &mut Body,
    encoding: Encoding,
    limit: usize,
    room: &mut (impl Room + Send),
) -> Result<Bytes, BodyError> {
    let mut decoder = Decoder::new(encoding, limit)?;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        for slice in data.chunks(SLICE_BYTES) {
            let before = decoder.len();
            decoder.write(slice)?;
            if !room.grow(decoder.len() - before).await {
                return Err(BodyError::NoRoom);
            }
            // A bomb expands a thousandfold: let others run between its slices.
            if decoder.len() - before > 256 << 10 {
                tokio::task::yield_now().await;
            }
        }
    }
    decoder.finish()
}

/// How much room is made at once for a body, in bytes; more comes by doubling.
const RESERVED_BYTES: u64 = 512 << 10;

async fn read_plain(
    body: &mut Body,
    limit: usize,
    room: &mut (impl Room + Send),
) -> Result<Bytes, BodyError> {
    // What the client announced it may never send, so not all of it is reserved.
    let announced = http_body::Body::size_hint(body).lower().min(RESERVED_BYTES) as usize;
    let (mut only, mut all) = (None::<Bytes>, BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        if all.len() + only.as_ref().map_or(0, Bytes::len) + data.len() > limit {
            return Err(BodyError::TooLarge { limit });
        }
        if !room.grow(data.len()).await {
            return Err(BodyError::NoRoom);
        }
        // A body of one frame, the usual case, is handed on without a copy.
        if all.is_empty() && only.is_none() {
            only = Some(data);
        } else {
            if let Some(first) = only.take() {
                all.reserve(announced.max(first.len() + data.len()));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(data.chunk());
        }
    }
    Ok(only.unwrap_or_else(|| all.freeze()))
}

fn broken(error: &axum::Error) -> BodyError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(io::ErrorKind::TimedOut) {
            return BodyError::Timeout;
        }
        source = error.source();
    }
    BodyError::Broken
}
