//! The stored form of sidecars.

use outflow_model::{DeviceType, Meta, Offset, Timestamp};

#[test]
fn binary_form_is_stable() {
    let meta = Meta {
        offset: Offset::new(1),
        occurred: Timestamp::from_millis(2),
        processed: Timestamp::from_millis(3),
        id_hash: 4,
        key_hash: 5,
        line_len: 6,
        body_start: 7,
        body_len: 8,
        type_hash: 9,
        id_len: 10,
        type_len: 11,
        device: DeviceType::Email,
        flags: 12,
    };
    let bytes = meta.to_bytes();
    assert_eq!(Meta::from_bytes(&bytes), meta);
    let places = [0, 8, 16, 24, 40, 48, 52, 56, 60, 64, 66, 67, 68].map(|at| bytes[at]);
    assert_eq!(places, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 5, 12]);
}
