"""Points that lie at one place are one, and no others are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from watcher.embedded.formats import places

COORDINATES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-38, 1e-45, 0.1, 3e30])
POINTS = st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), max_size=60)
ALIKE = (-852863, -1285698, -183727)  # added to the bits of a point, it leaves its hash as it was


@given(POINTS)
def test_every_place_is_told_once_and_in_the_order_in_which_it_came(rows):
    points = np.array(rows, dtype="f4").reshape(-1, 3)
    found, place = places.welded(points)
    assert (found[place] == points).all()
    first = list(dict.fromkeys(map(tuple, (points + np.float32(0)).tolist())))
    assert (found + np.float32(0)).tolist() == [list(row) for row in first]
    assert [row for at, row in enumerate(place.tolist()) if row not in place[:at]] == list(
        range(len(first))
    )


@given(st.lists(st.booleans(), min_size=2, max_size=40))
def test_places_whose_hashes_are_alike_stay_apart(which):
    bits = np.full((len(which), 3), 0x3F800000, dtype=np.int64)  # 1.0
    bits[which] += ALIKE
    points = bits.astype(np.uint32).view("f4")
    _, keys = places.bits(points)
    assert len(set(keys.tolist())) == 1
    found, place = places.welded(points)
    assert (found[place] == points).all()
