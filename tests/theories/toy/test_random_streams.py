"""Random numbers belong to a geometry: known answers of the generator, and streams
that never meet.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from vacuagym.theories.toy import random_streams
from vacuagym.theories.toy.random_streams import Purpose, philox, stream_key, uniforms

WORD = st.integers(0, 2**64 - 1)
ID = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
IDENTITY = st.tuples(st.integers(0, 2**63 - 1), TEXT, st.none() | TEXT)
EXTREME_IDS = (0, 1, 2, 3, -1, -2, 2**32, 2**32 - 1, 2**63 - 1, -(2**63))


def words(*values):
    return tuple(np.array([value], dtype=np.uint64) for value in values)


def philox_words(counter, key):
    return tuple(int(word[0]) for word in philox(words(*counter), words(*key)))


def numbers(ids, draws=0, purpose=Purpose.FLUX, count=4, identity=(42, "a", None)):
    ids = np.atleast_1d(np.asarray(ids, dtype=np.int64))
    keys = np.tile(stream_key(*identity), (len(ids), 1))
    return uniforms(keys, ids, np.broadcast_to(draws, ids.shape), purpose=purpose, count=count)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        (
            (0, 0, 0, 0),
            (0, 0),
            (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B),
        ),
        (
            (2**64 - 1,) * 4,
            (2**64 - 1,) * 2,
            (0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0),
        ),
        (
            (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_known_answers_of_random123(counter, key, expected):
    assert philox_words(counter, key) == expected


@given(counter=st.tuples(WORD, WORD, WORD, WORD), key=st.tuples(WORD, WORD))
def test_philox_is_numpys(counter, key):
    before = (
        sum(word << 64 * i for i, word in enumerate(counter)) - 1
    ) % 2**256  # NumPy increments before its first block
    generator = np.random.Philox(counter=before, key=np.array(key, dtype=np.uint64))
    assert philox_words(counter, key) == tuple(int(word) for word in generator.random_raw(4))


@given(
    identity=IDENTITY,
    id_=ID,
    draw=st.integers(0, 100),
    purpose=st.sampled_from(Purpose),
    count=st.integers(1, 40),
)
def test_a_stream_is_numpys_philox_with_key_and_counter_of_its_identity(
    identity, id_, draw, purpose, count
):
    key = stream_key(*identity)
    counter = (draw << 64) + ((id_ % 2**64) << 128) + (int(purpose) << 192) - 1
    raw = np.random.Philox(counter=counter % 2**256, key=key).random_raw(count)
    ours = uniforms(key[None], np.array([id_]), np.array([draw]), purpose=purpose, count=count)[0]
    np.testing.assert_allclose(ours, raw * 2.0**-64, rtol=0, atol=2.0**-51)


def test_the_numbers_of_a_published_identity_stay_what_they_are():
    """Labels of different versions can be compared only while these do not change (to the last
    bits of the mapping to reals).
    """
    assert [f"{word:016x}" for word in stream_key(42, "fth6d", None)] == [
        "2eac0d11a2b52e42",
        "e2c8439cd81998ec",
    ]
    raw = philox(words(0, 1, 7, Purpose.FLUX), tuple(stream_key(42, "fth6d", None)[:, None]))
    ours = numbers(7, 1, identity=(42, "fth6d", None))[0]
    np.testing.assert_allclose(ours, [int(word[0]) * 2.0**-64 for word in raw], atol=2.0**-51)


@pytest.mark.parametrize("word", [0, 1, 2**63 - 1, 2**63, 2**64 - 2**11, 2**64 - 1], ids=hex)
def test_uniforms_are_strictly_between_zero_and_one_for_every_word(monkeypatch, word):
    monkeypatch.setattr(
        random_streams,
        "philox",
        lambda counter, key: tuple(np.full(c.shape, word, np.uint64) for c in counter),
    )
    u = numbers([0, 1], count=7)
    assert ((u > 0.0) & (u < 1.0)).all()


@given(id_=ID, draw=st.integers(0, 2**32), count=st.integers(1, 600), more=st.integers(0, 100))
@settings(max_examples=50)
def test_the_first_numbers_do_not_depend_on_how_many_are_asked_for(id_, draw, count, more):
    few, many = numbers(id_, draw, count=count), numbers(id_, draw, count=count + more)
    assert few.shape == (1, count)
    np.testing.assert_array_equal(few, many[:, :count])


@given(
    rows=st.lists(st.tuples(IDENTITY, ID, st.integers(0, 5)), min_size=1, max_size=12),
    purpose=st.sampled_from(Purpose),
)
@settings(max_examples=50)
def test_a_row_alone_equals_the_row_in_a_batch(rows, purpose):
    keys = np.array([stream_key(*identity) for identity, _, _ in rows])
    ids, draws = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    batch = uniforms(keys, ids, draws, purpose=purpose, count=9)
    for i in range(len(rows)):
        np.testing.assert_array_equal(
            uniforms(keys[i : i + 1], ids[i : i + 1], draws[i : i + 1], purpose=purpose, count=9)[
                0
            ],
            batch[i],
        )


def test_no_two_streams_share_a_number():
    identities = [
        (seed, name, space)
        for seed in (0, 1, 42)
        for name in ("a", "ab", "1", "")
        for space in (None, "", "a", "bc", "None")
    ]
    every = [
        numbers(EXTREME_IDS, draw, purpose, 5, identity)
        for identity, draw, purpose in itertools.product(identities, (0, 1, 2, 3), Purpose)
    ]
    pool = np.concatenate(every).ravel()
    assert (
        len(np.unique(pool))
        == len(pool)
        == len(identities) * 4 * len(Purpose) * len(EXTREME_IDS) * 5
    )


@given(
    one=st.tuples(IDENTITY, ID, st.integers(0, 9), st.sampled_from(Purpose)),
    other=st.tuples(IDENTITY, ID, st.integers(0, 9), st.sampled_from(Purpose)),
)
def test_different_streams_have_no_number_in_common(one, other):
    (identity, id_, draw, purpose), (identity2, id2, draw2, purpose2) = one, other
    first, second = (
        numbers(id_, draw, purpose, 12, identity),
        numbers(id2, draw2, purpose2, 12, identity2),
    )
    assert (one == other) == bool(np.intersect1d(first, second).size)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "bc"), ("ab", "c")),
        (("a", None), ("a", "")),
        ((None,), ("None",)),
        ((1, "a"), ("1", "a")),
        ((1, 12), (11, 2)),
        (("a", "b"), ("b", "a")),
        (("a",), ("a", None)),
        (("a", ""), ("", "a")),
        (("str:1:",), ("", "str:1:")),
        (("a:1", "b"), ("a", "1:b")),
        (("\u00e9",), ("e\u0301",)),
    ],
)
def test_identities_that_look_alike_have_different_keys(one, other):
    assert stream_key(*one).tolist() != stream_key(*other).tolist()


def test_id_and_draw_are_not_interchangeable():
    for id_, draw in itertools.permutations(range(6), 2):
        assert not np.intersect1d(numbers(id_, draw, count=40), numbers(draw, id_, count=40)).size
    # The sum of id and draw says nothing either: that was how neighbouring geometries once shared
    # their numbers.
    assert len(np.unique([numbers(5 - draw, draw)[0, 0] for draw in range(6)])) == 6


SYSTEMS = 100_000
FIRST = {
    "id": lambda: numbers(np.arange(SYSTEMS)),
    "next id": lambda: numbers(np.arange(1, SYSTEMS + 1)),
    "next draw": lambda: numbers(np.arange(SYSTEMS), 1),
    "other data set": lambda: numbers(np.arange(SYSTEMS), identity=(42, "b", None)),
    "other namespace": lambda: numbers(np.arange(SYSTEMS), identity=(42, "a", "x")),
    "next seed": lambda: numbers(np.arange(SYSTEMS), identity=(43, "a", None)),
    "other purpose": lambda: numbers(np.arange(SYSTEMS), purpose=Purpose.START),
}


@pytest.mark.parametrize("neighbour", list(FIRST)[1:])
def test_neighbours_are_uncorrelated(neighbour):
    here, there = FIRST["id"](), FIRST[neighbour]()
    correlation = np.corrcoef(here.T, there.T)
    np.fill_diagonal(correlation, 0.0)
    if neighbour == "next id":  # column k of the neighbour is the same sequence, one row on
        assert (here[1:] == there[:-1]).all()
    assert np.abs(correlation).max() < 5.0 / np.sqrt(SYSTEMS)


def test_numbers_are_uniform():
    u = numbers(np.arange(-20_000, 20_000), 2, count=5)
    assert kstest(u.ravel(), "uniform").pvalue > 1e-4
    for position in range(5):
        assert kstest(u[:, position], "uniform").pvalue > 1e-4
    assert kstest(numbers(12345, count=100_000)[0], "uniform").pvalue > 1e-4


def test_every_integer_is_an_id():
    assert len(np.unique(numbers(np.array(EXTREME_IDS), count=4))) == 4 * len(EXTREME_IDS)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_no_streams_have_no_numbers(count):
    assert numbers(np.array([], int), count=count).shape == (0, count)
