"""PALP as a judge, run as a program where `passagemath-palp` or `poly.x` is installed.

M. Kreuzer and H. Skarke, arXiv:math/0204356. It shares no code with this package.
"""

import importlib.util
import re
import shutil
import subprocess
from itertools import combinations_with_replacement
from pathlib import Path

import pytest

from vacuagym.geometry.polytopes.errors import PolytopeError
from vacuagym.geometry.polytopes.threefold import Threefold

_ANSWER = re.compile(r"M:(\d+) (\d+) N:(\d+) (\d+) H:(\d+),(\d+) \[(-?\d+)\]")
BLOCKS = (
    "84 1 1 12 28 42",
    "3486 41 42 498 1162 1743",
    "320 51 60 64 65 80",
    "2 1 1 0 0 0 0  6 0 0 1 1 1 3",
    "18 6 9 0 0 1 2  15 5 7 1 2 0 0",
    "3 1 1 1 0 0 0  3 0 0 0 1 1 1",
)


def program() -> str | None:
    """The path of poly.x: of the package, or on the path."""
    package = importlib.util.find_spec("sage_wheels")
    places = package.submodule_search_locations if package else None
    found = [Path(place) / "bin/poly.x" for place in places or ()]
    return next((str(path) for path in found if path.exists()), shutil.which("poly.x"))


needs_palp = pytest.mark.skipif(
    program() is None, reason="PALP is not installed (pip install passagemath-palp)"
)


def answers(lines: list[str]) -> list[tuple[int, ...] | None]:
    """PALP's counts and Hodge numbers of each input, or None if it is not reflexive."""
    run = subprocess.run(
        [program(), "-fg"], input="\n".join(lines) + "\n", capture_output=True, text=True
    )
    told = [line for line in run.stdout.splitlines() if "M:" in line]
    assert len(told) >= len(lines), run.stdout[-500:] + run.stderr[-500:]
    found = map(_ANSWER.search, told)
    return [tuple(map(int, match.groups())) if match else None for match in found]


def ours(weights: str) -> tuple[int, ...] | None:
    try:
        x = Threefold.from_weights(weights)
    except PolytopeError:
        return None
    counts = (x.num_points_m, x.num_vertices_m, x.num_points_n, x.num_vertices_n)
    return (*counts, x.h11, x.h21, x.euler)


@needs_palp
def test_hodge_numbers_and_counts_are_those_of_palp():
    small = [
        " ".join(map(str, (sum(weights), *weights)))
        for degree in range(5, 22)
        for weights in combinations_with_replacement(range(1, degree), 5)
        if sum(weights) == degree
    ]
    inputs = [*small, *BLOCKS]
    own = [ours(weights) for weights in inputs]
    assert own == answers(inputs)
    assert sum(answer is not None for answer in own) > 200
    assert None in own


@needs_palp
def test_vertices_and_the_mirror_are_those_of_palp():
    for weights in BLOCKS[2:]:
        pair = Threefold.from_weights(weights).given
        for vertices, side in ((pair.vertices_m, "weights"), (pair.vertices_n, "mirror")):
            rows = "\n".join(" ".join(map(str, row)) for row in vertices.tolist())
            (answer,) = answers([f"{len(vertices)} 4\n{rows}"])
            x = Threefold.from_vertices(vertices, "weights")
            assert answer is not None
            assert answer[-3:] == (x.h11, x.h21, x.euler), (weights, side)
            mirror = Threefold.from_vertices(vertices, "mirror")
            assert answer[-3:] == (mirror.h21, mirror.h11, -mirror.euler), (weights, side)
