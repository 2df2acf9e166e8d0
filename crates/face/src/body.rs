//! Reading request bodies: whole, decoded, and never larger than they may be.
//!
//! Called by handlers. The limit counts decoded bytes while they stream, so a compressed bomb
//! costs no more memory than the limit and is refused as soon as it passes it.

use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use outflow_model::ErrorCode;
use tokio::time::Sleep;
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

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

/// Reads the whole of `body`, decoded, up to `limit` bytes. What is refused is read past, as by
/// [`discard`], so that the client sees the answer.
///
/// # Errors
/// [`BodyError`]. Memory use is bounded by `limit` either way.
pub async fn read(body: Body, encoding: Encoding, limit: usize) -> Result<Bytes, BodyError> {
    read_within(body, encoding, limit, &mut Unbounded).await
}

/// As [`read`], with room taken for what has arrived and not for what was announced: a body that
/// comes slowly keeps nobody out.
///
/// # Errors
/// [`BodyError`].
pub async fn read_within(
    mut body: Body,
    encoding: Encoding,
    limit: usize,
    room: &mut (impl Room + Send),
) -> Result<Bytes, BodyError> {
    let outcome = match encoding {
        Encoding::Identity => read_plain(&mut body, limit, room).await,
        Encoding::Gzip | Encoding::Zstd => read_encoded(&mut body, encoding, limit, room).await,
    };
    if !matches!(outcome, Ok(_) | Err(BodyError::Timeout | BodyError::Broken)) {
        discard(body).await;
    }
    outcome
}

/// How much of a refused body is read past, and for how long.
const DISCARD_BYTES: usize = 8 << 20;
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
    if http_body::Body::size_hint(body).lower() > limit as u64 {
        return Err(BodyError::TooLarge { limit });
    }
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
        if error.is::<DeadlinePassed>() {
            return BodyError::Timeout;
        }
        source = error.source();
    }
    BodyError::Broken
}

/// Decoded bytes, at most `limit` of them.
#[derive(Debug)]
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Write for Bounded {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.over |= self.bytes.len() + buf.len() > self.limit;
        if self.over {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A decoder that is given a body piece by piece.
enum Decoder {
    Gzip { inner: Box<MultiGzDecoder<Bounded>>, any: bool },
    Zstd { inner: ZstdDecoder<'static>, out: Bounded, open: bool },
}

impl Decoder {
    fn new(encoding: Encoding, limit: usize) -> Result<Self, BodyError> {
        let out = Bounded { bytes: Vec::new(), limit, over: false };
        if encoding == Encoding::Gzip {
            return Ok(Self::Gzip { inner: Box::new(MultiGzDecoder::new(out)), any: false });
        }
        let zstd = || {
            let mut inner = ZstdDecoder::new()?;
            inner.set_parameter(DParameter::WindowLogMax(23))?;
            Ok::<_, std::io::Error>(inner)
        };
        let inner = zstd().map_err(|error| malformed("zstd", &error))?;
        Ok(Self::Zstd { inner, out, open: false })
    }

    fn len(&self) -> usize {
        match self {
            Self::Gzip { inner, .. } => inner.get_ref().bytes.len(),
            Self::Zstd { out, .. } => out.bytes.len(),
        }
    }

    fn write(&mut self, slice: &[u8]) -> Result<(), BodyError> {
        match self {
            Self::Gzip { inner, any } => {
                *any = true;
                let done = inner.write_all(slice);
                let (over, limit) = (inner.get_ref().over, inner.get_ref().limit);
                done.map_err(|error| refused(over, limit, "gzip", &error))
            }
            Self::Zstd { inner, out, open } => {
                let mut input = InBuffer::around(slice);
                let mut room = [0u8; 16 << 10];
                loop {
                    let mut output = OutBuffer::around(&mut room[..]);
                    let hint = inner
                        .run(&mut input, &mut output)
                        .map_err(|error| malformed("zstd", &error))?;
                    *open = hint != 0;
                    let written = output.pos();
                    let done = out.write_all(output.as_slice());
                    done.map_err(|error| refused(out.over, out.limit, "zstd", &error))?;
                    if input.pos() == slice.len() && written < room.len() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn finish(self) -> Result<Bytes, BodyError> {
        match self {
            Self::Gzip { any: false, .. } => Ok(Bytes::new()),
            Self::Gzip { mut inner, .. } => {
                let done = inner.try_finish();
                let (over, limit) = (inner.get_ref().over, inner.get_ref().limit);
                done.map_err(|error| refused(over, limit, "gzip", &error))?;
                inner
                    .finish()
                    .map(|out| out.bytes.into())
                    .map_err(|error| malformed("gzip", &error))
            }
            Self::Zstd { open: true, .. } => {
                Err(BodyError::Malformed { coding: "zstd", reason: "it is cut short".to_owned() })
            }
            Self::Zstd { out, .. } => Ok(out.bytes.into()),
        }
    }
}

fn refused(over: bool, limit: usize, coding: &'static str, error: &std::io::Error) -> BodyError {
    if over { BodyError::TooLarge { limit } } else { malformed(coding, error) }
}

fn malformed(coding: &'static str, error: &std::io::Error) -> BodyError {
    let reason = if error.kind() == std::io::ErrorKind::UnexpectedEof {
        "it is cut short".to_owned()
    } else {
        error.to_string()
    };
    BodyError::Malformed { coding, reason }
}

/// The body took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive in time")]
struct DeadlinePassed;

/// A request body that must arrive within a time, counted from the first wait for it.
pub(crate) struct Deadline {
    inner: Incoming,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    pub(crate) fn new(inner: Incoming, limit: Duration) -> Self {
        Self { inner, limit, timer: None }
    }
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(cx).map(|()| Some(Err(DeadlinePassed.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.inner.size_hint()
    }
}
