//! The form of a secret: `ofl_<id>_<43 base62>_<crc32 in 6 base62>`.
