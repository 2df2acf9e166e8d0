//! How frames of a connection are written, and how two sides agree on that.
//!
//! Called by the session, which opens with an [`Offer`] and goes on in the [`WireFormat`] that comes
//! of both sides' offers; by `codec`. Reference `activemq.md`, (c1).

use outflow_model::ErrorCode;

use super::WireStr;
use super::primitive::{self, Map, Primitive, PrimitiveError};
use super::table::WireFormatInfo;

/// The newest version spoken.
pub const VERSION_MAX: u8 = 12;
/// The cache's size when neither side names one.
const CACHE_SIZE: u16 = 16_383;

/// What every [`WireFormatInfo`] begins with.
pub const MAGIC: &[u8; 8] = b"ActiveMQ";
/// The most options that are looked at.
const OPTIONS_MAX: usize = 64;
/// The option's name on the wire, as it is spelt there.
const INITIAL_DELAY: &str = "MaxInactivityDurationInitalDelay";

/// How frames of a connection are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireFormat {
    /// From 1 to [`VERSION_MAX`].
    pub version: u8,
    /// Whether yes and no are bits.
    pub tight: bool,
    /// Whether repeated values are named by an index.
    pub cache: bool,
    /// How many values each direction caches.
    pub cache_size: u16,
    /// Whether exceptions come with their stack trace and cause.
    pub stack_traces: bool,
    /// Whether each frame has its size before it.
    pub size_prefix: bool,
    /// The largest frame, in bytes, its size left out.
    pub max_frame_size: u64,
}

impl WireFormat {
    /// What every connection begins with: loose, nothing cached, sizes before frames.
    #[must_use]
    pub const fn initial(max_frame_size: u64) -> Self {
        Self {
            version: 1,
            tight: false,
            cache: false,
            cache_size: CACHE_SIZE,
            stack_traces: false,
            size_prefix: true,
            max_frame_size,
        }
    }
}

/// Why a [`WireFormatInfo`] is no offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// It does not begin with `ActiveMQ`.
    #[error("the peer does not speak OpenWire")]
    NotOpenWire,
    /// It speaks no version.
    #[error("the peer speaks version {version}")]
    NoVersion {
        /// What it said.
        version: i32,
    },
    /// It has too many options.
    #[error("the peer names more than {OPTIONS_MAX} options")]
    TooManyOptions,
    /// Its options cannot be read.
    #[error(transparent)]
    Options(#[from] PrimitiveError),
}

impl OfferError {
    /// What the error is to a caller who knows no frames.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::Malformed
    }
}

/// What one side can speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The newest version; all older ones are spoken too.
    pub version: u8,
    /// Whether it takes tight frames.
    pub tight: bool,
    /// Whether it takes cached values.
    pub cache: bool,
    /// How many values it caches; 0 is as many as the other side.
    pub cache_size: u16,
    /// Whether it wants stack traces.
    pub stack_traces: bool,
    /// Whether it can do without sizes before frames.
    pub size_prefix_disabled: bool,
    /// Whether it wants small packets sent at once.
    pub tcp_no_delay: bool,
    /// The largest frame it takes, in bytes; 0 is any.
    pub max_frame_size: u64,
    /// After how many milliseconds of silence it gives up; 0 is never.
    pub max_inactivity_ms: u64,
    /// After how many milliseconds it first looks.
    pub initial_delay_ms: u64,
    /// The host it meant to reach.
    pub host: Option<WireStr>,
    /// What it runs on, as it says.
    pub provider_name: Option<WireStr>,
    /// Its release, as it says.
    pub provider_version: Option<WireStr>,
}

impl Offer {
    /// What `info` offers. An option that is missing, or of another type than it should be, is off.
    ///
    /// # Errors
    /// When it is no offer of an OpenWire peer.
    pub fn from_info(info: &WireFormatInfo) -> Result<Self, OfferError> {
        if info.magic != *MAGIC {
            return Err(OfferError::NotOpenWire);
        }
        if info.version < 1 {
            return Err(OfferError::NoVersion { version: info.version });
        }
        let version = u8::try_from(info.version).unwrap_or(u8::MAX);
        let mut offer = Self { version, ..Self::default() };
        let options = match &info.marshalled_properties {
            Some(bytes) => primitive::read_map(bytes)?.unwrap_or_default(),
            None => Map::new(),
        };
        if options.len() > OPTIONS_MAX {
            return Err(OfferError::TooManyOptions);
        }
        for (name, value) in options {
            offer.set(&name, value);
        }
        Ok(offer)
    }

    fn set(&mut self, name: &str, value: Primitive) {
        match (name, value) {
            ("TightEncodingEnabled", Primitive::Bool(value)) => self.tight = value,
            ("CacheEnabled", Primitive::Bool(value)) => self.cache = value,
            ("CacheSize", Primitive::Int(value)) => {
                // A negative one is none; the wire has no indexes past the largest.
                self.cache_size = u16::try_from(value.max(0)).unwrap_or(CACHE_SIZE).min(CACHE_SIZE);
            }
            ("StackTraceEnabled", Primitive::Bool(value)) => self.stack_traces = value,
            ("SizePrefixDisabled", Primitive::Bool(value)) => self.size_prefix_disabled = value,
            ("TcpNoDelayEnabled", Primitive::Bool(value)) => self.tcp_no_delay = value,
            ("MaxFrameSize", Primitive::Long(value)) => {
                self.max_frame_size = value.try_into().unwrap_or(0);
            }
            ("MaxInactivityDuration", Primitive::Long(value)) => {
                self.max_inactivity_ms = value.try_into().unwrap_or(0);
            }
            (INITIAL_DELAY, Primitive::Long(value)) => {
                self.initial_delay_ms = value.try_into().unwrap_or(0);
            }
            ("Host", Primitive::Text(value)) => self.host = Some(value),
            ("ProviderName", Primitive::Text(value)) => self.provider_name = Some(value),
            ("ProviderVersion", Primitive::Text(value)) => self.provider_version = Some(value),
            _ => {}
        }
    }

    /// The frame that makes the offer.
    ///
    /// # Errors
    /// When a text of it is longer than the wire can say.
    pub fn to_info(&self) -> Result<WireFormatInfo, OfferError> {
        let long = |value: u64| Primitive::Long(value.try_into().unwrap_or(i64::MAX));
        let mut options: Map = vec![
            ("TcpNoDelayEnabled".into(), Primitive::Bool(self.tcp_no_delay)),
            ("SizePrefixDisabled".into(), Primitive::Bool(self.size_prefix_disabled)),
            ("CacheSize".into(), Primitive::Int(self.cache_size.into())),
            ("StackTraceEnabled".into(), Primitive::Bool(self.stack_traces)),
            ("CacheEnabled".into(), Primitive::Bool(self.cache)),
            ("TightEncodingEnabled".into(), Primitive::Bool(self.tight)),
            ("MaxFrameSize".into(), long(self.max_frame_size)),
            ("MaxInactivityDuration".into(), long(self.max_inactivity_ms)),
            (INITIAL_DELAY.into(), long(self.initial_delay_ms)),
        ];
        let texts = [
            ("Host", &self.host),
            ("ProviderName", &self.provider_name),
            ("ProviderVersion", &self.provider_version),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                options.push((name.into(), Primitive::Text(text.clone())));
            }
        }
        Ok(WireFormatInfo {
            magic: *MAGIC,
            version: self.version.into(),
            marshalled_properties: Some(primitive::write_map(&options)?),
        })
    }

    /// What this side and the other speak with each other, in both directions, once each has the
    /// other's offer: the older version, what both want, the smaller sizes.
    #[must_use]
    pub fn agree(&self, theirs: &Self) -> WireFormat {
        let cache_size = self.cache_size.min(theirs.cache_size);
        WireFormat {
            version: self.version.min(theirs.version).clamp(1, VERSION_MAX),
            tight: self.tight && theirs.tight,
            cache: self.cache && theirs.cache,
            cache_size: if cache_size == 0 { CACHE_SIZE } else { cache_size },
            stack_traces: self.stack_traces && theirs.stack_traces,
            size_prefix: !(self.size_prefix_disabled && theirs.size_prefix_disabled),
            max_frame_size: least(self.max_frame_size, theirs.max_frame_size).unwrap_or(u64::MAX),
        }
    }

    /// After how many milliseconds of silence both sides give up; none is never.
    #[must_use]
    pub fn agree_inactivity_ms(&self, theirs: &Self) -> Option<u64> {
        Some(self.max_inactivity_ms.min(theirs.max_inactivity_ms)).filter(|ms| *ms > 0)
    }
}

/// The smaller of two, where 0 is no limit.
fn least(one: u64, other: u64) -> Option<u64> {
    [one, other].into_iter().filter(|value| *value > 0).min()
}
