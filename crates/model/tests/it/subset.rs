//! Hashes and subsets that partitioned consumers depend on.

use outflow_model::Subset;
use outflow_model::subset::{id_hash, type_hash};

#[test]
fn hashes_are_the_published_ones() {
    // Part of the stored form: a change here breaks every existing partitioned consumer.
    assert_eq!(id_hash(b"7e7f5990-d277-4636-b22c-912cb2ca2ec9") as u64 % 4, PARTITION_OF_4);
    assert_eq!(type_hash(b"custom"), type_hash(b"CUSTOM"));
}
const PARTITION_OF_4: u64 = 2;

#[test]
fn partitions_are_disjoint_and_complete() {
    for n in 0..1000u32 {
        let hash = id_hash(&n.to_le_bytes());
        let homes =
            (0..7).filter(|&selection| Subset::Partition { count: 7, selection }.admits(hash));
        assert_eq!(homes.count(), 1);
    }
}

#[test]
fn sample_takes_about_its_share() {
    let draw = |proportion| {
        let sample = Subset::Sample { proportion };
        (0..10_000u32).filter(|n| sample.admits(id_hash(&n.to_le_bytes()))).count()
    };
    assert_eq!((draw(0.0), draw(1.0)), (0, 10_000));
    assert!((2_300..2_700).contains(&draw(0.25)));
}
