//! Joining CRC-32s: the checksum of two byte strings from the checksums of each.
//!
//! A gzip trailer needs the CRC of all that a connection was sent. Blocks carry their own, so a
//! connection joins them instead of reading the bytes again. The operator for a block's length is
//! computed once per block; joining is then one multiplication modulo the polynomial
//! (RFC 1952's CRC-32, reflected, as in zlib's `crc32_combine_op`).

const POLY: u32 = 0xEDB8_8320;

/// The product of `a` and `b` modulo the polynomial, both reflected.
#[must_use]
pub const fn multiply(mut a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    while a != 0 {
        if a & 0x8000_0000 != 0 {
            product ^= b;
        }
        a <<= 1;
        b = if b & 1 == 0 { b >> 1 } else { (b >> 1) ^ POLY };
    }
    product
}

/// The operator that shifts a CRC over `len` bytes: x^(8 * len).
#[must_use]
pub const fn shift_operator(len: u64) -> u32 {
    let mut result = 0x8000_0000; // x^0
    let mut power = 0x0080_0000; // x^8
    let mut rest = len;
    while rest != 0 {
        if rest & 1 != 0 {
            result = multiply(power, result);
        }
        power = multiply(power, power);
        rest >>= 1;
    }
    result
}

/// The CRC of `first` followed by `second`, where `operator` is [`shift_operator`] of the length
/// of `second`.
#[must_use]
pub const fn join(first: u32, second: u32, operator: u32) -> u32 {
    multiply(operator, first) ^ second
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn joined_crc_is_the_crc_of_the_whole(first: Vec<u8>, second: Vec<u8>) {
            let whole = [first.clone(), second.clone()].concat();
            let operator = shift_operator(second.len() as u64);
            let joined = join(crc32fast::hash(&first), crc32fast::hash(&second), operator);
            prop_assert_eq!(joined, crc32fast::hash(&whole));
        }
    }
}
