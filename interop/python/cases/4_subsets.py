"""Subsets: partitions share everything and nothing twice; a sample is the same sample again."""

import concurrent.futures

from stand import case, event, publish, select

BEFORE = publish(event())[0]
OFFSETS = publish(*(event() for _ in range(600)))


def subset(**how):
    return select({"resume_offset": str(BEFORE), "subset": how})


@case
def partitions_are_disjoint_and_complete():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda k: subset(type="PARTITION", count=4, selection=k), range(4)))
    everything = [offset for part in parts for offset in part]
    assert sorted(everything) == OFFSETS
    assert all(100 < len(part) < 200 for part in parts), [len(part) for part in parts]
    return str([len(part) for part in parts])


@case
def a_sample_is_about_its_share_and_stable():
    first = subset(type="SAMPLE", proportion=0.5)
    assert first == subset(type="SAMPLE", proportion=0.5)
    assert 220 < len(first) < 380, len(first)
    assert subset(type="SAMPLE", proportion=1) == OFFSETS and subset(type="SAMPLE", proportion=0) == []


@case
def an_event_lands_on_one_partition_whenever_it_is_asked_for():
    offsets = publish(event())
    start = str(offsets[0] - 1)
    parts = [{"type": "PARTITION", "count": 2, "selection": k} for k in (0, 1)]
    found = [select({"resume_offset": start, "subset": part}) for part in parts]
    assert [] in found and offsets in found, found
    assert found == [select({"resume_offset": start, "subset": part}) for part in parts], found
