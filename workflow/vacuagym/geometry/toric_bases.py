"""Enumeration of the smooth toric bases of six-dimensional F-theory models.

For the catalogue of compact toric surfaces that support an elliptically fibred Calabi-Yau
threefold (D. R. Morrison and W. Taylor, arXiv:1204.0283): their rays, self-intersections and the
orders of vanishing of the generic Weierstrass model. Not for bases that are not toric nor for
tuned Weierstrass models; gauge algebras and Hodge numbers are in `non_higgsable`.

A toric surface is the cyclic sequence of its self-intersections up to rotation and reflection. The
enumeration goes upwards in the number of rays k: the blow-ups of all bases with k - 1 rays are
first compared by that sequence, so that the monomials of the Weierstrass coefficients f and g are
cut and paired with the rays once for each surface and not once for each way to reach it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vacuagym.geometry.non_higgsable import tensor_multiplets

# f and g are sections of -4K and -6K: a monomial has <mu, v> >= -4 (-6) on every ray v, where its
# order is <mu, v> + 4 (6).
_WEIGHTS = (4, 6)
# The curve of a smaller self-intersection always has orders of at least (4, 6): not worth a look
# at its monomials.
_LEAST_SELF_INTERSECTION = -12
# Surfaces handled at once: bounds the temporaries to a few tens of megabytes.
_CHUNK_SURFACES = 1 << 13
# Monomials times surfaces paired with one ray at once: the five int16 buffers of this length stay
# within a second-level cache.
_CHUNK_MONOMIALS = 1 << 16


@dataclass(frozen=True)
class ToricBases:
    """The B valid bases with one number of rays k, in the order of their canonical form.

    `self_intersections` (B, k) is the canonical form of each base; `rays` (B, k, 2) are its
    primitive rays in the same order, counter-clockwise, in the lattice basis in which the first
    two are (1, 0) and (0, 1). `ord_f` and `ord_g` (B, k) are the orders of vanishing of the
    generic f and g on the curve of each ray; `num_f` and `num_g` (B,) count their monomials.
    """

    rays: np.ndarray
    self_intersections: np.ndarray
    ord_f: np.ndarray
    ord_g: np.ndarray
    num_f: np.ndarray
    num_g: np.ndarray

    def __len__(self) -> int:
        return len(self.self_intersections)

    @property
    def tensors(self) -> np.ndarray:
        """The number of tensor multiplets T of each base, (B,); see
        `non_higgsable.tensor_multiplets`.
        """
        return tensor_multiplets(self.self_intersections)


@dataclass(frozen=True)
class _Monomials:
    """Sets of monomials, of f and of g in turn for each surface: exponents (N, 2) int8 and the
    sizes of the sets, (2 B,).
    """

    exponents: np.ndarray
    counts: np.ndarray

    def _gathered(self, index: np.ndarray) -> np.ndarray:
        # Both exponents move as one 16-bit word, which is several times faster than a gather of
        # pairs.
        return (
            self.exponents.view(np.int16)[:, 0]
            .take(index, mode="clip")
            .view(np.int8)
            .reshape(*index.shape, 2)
        )

    def take(self, rows: np.ndarray) -> _Monomials:
        """Return the sets of the surfaces of `rows`."""
        sets = (2 * rows[:, None] + np.arange(2)).ravel()
        counts = self.counts[sets]
        shift = (np.cumsum(self.counts) - self.counts)[sets] - (np.cumsum(counts) - counts)
        return _Monomials(
            self._gathered(np.repeat(shift, counts) + np.arange(counts.sum())), counts
        )

    def cut(self, rays: np.ndarray) -> _Monomials:
        """Return the monomials of each surface that its new ray allows; `rays` are (B, 2)."""
        products = (
            np.repeat(rays.astype(np.int32), self.counts.reshape(-1, 2).sum(axis=1), axis=0)
            * self.exponents
        )
        kept = products[:, 0] + products[:, 1] >= -np.repeat(
            np.resize(_WEIGHTS, len(self.counts)), self.counts
        )
        # The origin survives every cut: no set is empty, as reduceat needs.
        counts = np.add.reduceat(kept, np.cumsum(self.counts) - self.counts, dtype=np.int64)
        return _Monomials(self.exponents[kept], counts)

    def padded(self, sets: np.ndarray) -> np.ndarray:
        """Return the exponents of `sets`, (2, W, len(sets)), filled up with the origin, which
        changes no minimum over them.
        """
        counts, position = self.counts[sets], np.arange(self.counts[sets].max())[:, None]
        points = self._gathered((np.cumsum(self.counts) - self.counts)[sets] + position)
        points[position >= counts] = 0
        return points.transpose(2, 0, 1).astype(np.int16, order="C")


@dataclass(frozen=True)
class _Surfaces:
    """B toric surfaces: `curves` (B, k, 3) int16, each its self-intersection and its ray, and the
    monomials of f and g.

    Blow-ups may leave the cut of the monomials for later: then `owner` (B,) is the place in
    `monomials` of the surface that was blown up, and `new` (B,) the place in `curves` of the new
    curve.
    """

    curves: np.ndarray
    monomials: _Monomials
    owner: np.ndarray | None = None
    new: np.ndarray | None = None

    @classmethod
    def joined(cls, parts: list[_Surfaces]) -> _Surfaces:
        exponents = np.concatenate([part.monomials.exponents for part in parts])
        monomials = _Monomials(exponents, np.concatenate([part.monomials.counts for part in parts]))
        return cls(np.concatenate([part.curves for part in parts]), monomials)

    def take(self, rows: np.ndarray) -> _Surfaces:
        """Return the surfaces of `rows` with their own monomials."""
        curves = self.curves[rows]
        if self.owner is None or self.new is None:
            return _Surfaces(curves, self.monomials.take(rows))
        rays = curves[np.arange(len(rows)), self.new[rows], 1:]
        return _Surfaces(curves, self.monomials.take(self.owner[rows]).cut(rays))

    def blow_ups(self) -> _Surfaces:
        """Return the blow-ups of each surface at each torus-fixed point that leave no curve below
        -12.
        """
        movable = self.curves[:, :, 0] > _LEAST_SELF_INTERSECTION
        owner, point = np.nonzero(movable & np.roll(movable, -1, axis=1))
        points = point[:, None] == np.arange(movable.shape[1])
        return _Surfaces(_blown_up(self.curves[owner], points), self.monomials, owner, point + 1)


def _blown_up(curves: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return `curves`, (B, k, 3), blown up at `points`: the (B, k) between each curve and the
    next, equally many in each row.
    """
    row, behind = np.nonzero(points)
    new = curves[row, behind] + curves[row, (behind + 1) % points.shape[1]]
    new[:, 0] = -1
    old = curves.copy()
    old[:, :, 0] -= points.astype(np.int16) + np.roll(points, 1, axis=1)
    # The curve before a point is written twice, and its second copy makes room for the new curve.
    grown = np.repeat(old.reshape(-1, 3), 1 + points.ravel(), axis=0)
    grown[np.flatnonzero(points) + np.arange(1, len(row) + 1)] = new
    return grown.reshape(len(curves), -1, 3)


def toric_rays(self_intersections: np.ndarray) -> np.ndarray:
    """Return the rays (B, k, 2) of the toric surfaces with these self-intersections, (B, k), k >=
    3.

    Counter-clockwise from (1, 0) and (0, 1), by v[i - 1] + v[i + 1] = -C[i]^2 v[i].
    """
    rays = np.empty((*self_intersections.shape, 2), dtype=np.int64)
    rays[:, 0], rays[:, 1] = (1, 0), (0, 1)
    for i in range(1, self_intersections.shape[1] - 1):
        rays[:, i + 1] = -self_intersections[:, i, None] * rays[:, i] - rays[:, i - 1]
    return rays


def canonical_order(self_intersections: np.ndarray) -> np.ndarray:
    """Return the order of the curves, (B, k), which puts cyclic sequences, (B, k), into their
    canonical form.

    The canonical form is the lexicographically least of the 2 k rotations and reflections.
    """
    k = self_intersections.shape[1]
    reading = np.r_[0:k, 0:k, k - 1 : -1 : -1, k - 1 : -1 : -1].astype(np.int16)
    # Each sequence written twice and its reflection twice: a rotation or reflection is a window of
    # length k.
    text = self_intersections[:, reading]
    windows = np.r_[0:k, 2 * k : 3 * k].astype(np.int16)
    owner, start = np.nonzero(text[:, windows] == self_intersections.min(axis=1, keepdims=True))
    start = windows[start]
    best, greatest = np.empty(len(text), dtype=np.int16), text.max(axis=1)
    # The windows of a sequence are read in step; those with a greater entry than the least drop
    # out, until one is left.
    for step in range(1, k):
        best[owner] = start
        tied = np.bincount(owner, minlength=len(text))[owner] > 1
        owner, start = owner[tied], start[tied]
        entry, least = text[owner, start + step], greatest.copy()
        np.minimum.at(least, owner, entry)
        owner, start = owner[entry == least[owner]], start[entry == least[owner]]
    best[owner] = start
    least_readings: np.ndarray = reading[best[:, None] + np.arange(k, dtype=np.int16)]
    return least_readings


def enumerate_bases(limit: int | None = None) -> Iterator[ToricBases]:
    """Yield the valid smooth toric bases upwards in the number of rays, one `ToricBases` for each
    number that has any.

    With `limit`, only the first `limit`, with no work beyond their numbers of rays. There are
    61,539 (arXiv:1204.0283).
    """
    waiting: dict[int, list[_Surfaces]] = defaultdict(list)
    for surface in _minimal_surfaces():
        waiting[surface.curves.shape[1]].append(surface)
    parents: _Surfaces | None = None
    found = 0
    while (waiting or parents is not None) and (limit is None or found < limit):
        k = min(waiting) if parents is None else parents.curves.shape[1] + 1
        sources = [_Surfaces.joined(waiting.pop(k))] if k in waiting else []
        sources += [parents.blow_ups()] if parents is not None else []
        parents, orders = _valid_surfaces(sources, waiting)
        if parents is not None:
            rows = slice(None if limit is None else limit - found)
            self_intersections, counts = (
                parents.curves[rows, :, 0].copy(),
                parents.monomials.counts.reshape(-1, 2)[rows],
            )
            yield ToricBases(
                toric_rays(self_intersections),
                self_intersections,
                *(one[rows] for one in orders),
                *counts.T,
            )
            found += len(parents.curves)


def _minimal_surfaces() -> Iterator[_Surfaces]:
    """Yield P^2 and the Hirzebruch surfaces F_0 ... F_12 with all their monomials, each as a set
    of one surface.
    """
    hirzebruch = [[(0, 1, 0), (m, 0, 1), (0, -1, -m), (-m, 0, -1)] for m in range(13)]
    for surface in [[(1, 1, 0), (1, 0, 1), (1, -1, -1)], *hirzebruch]:
        curves = np.array(surface, dtype=np.int16)
        # (1, 0) and (0, 1) keep the exponents above -6, and (-1, -m) then below 6 (m + 1), which
        # int8 holds.
        box = np.mgrid[-6:79, -6:79].reshape(2, -1).T
        pairings = (box @ curves[:, 1:].T).min(axis=1)
        sets = [box[pairings >= -weight].astype(np.int8) for weight in _WEIGHTS]
        yield _Surfaces(
            curves[None], _Monomials(np.concatenate(sets), np.array([len(one) for one in sets]))
        )


def _valid_surfaces(
    sources: list[_Surfaces], waiting: dict[int, list[_Surfaces]]
) -> tuple[_Surfaces | None, list[np.ndarray]]:
    """Return the valid surfaces among `sources`, all of one number of rays, with the orders of f
    and g on their curves, (B, k).

    Those with points that must be blown up are added, blown up, to those `waiting` at their new
    number of rays.
    """
    valid, details = [], []
    for place, surfaces in _distinct(sources):
        (f_curves, g_curves), (f_points, g_points) = _least_orders(surfaces)
        # Orders only grow when the surface is blown up, so a curve of orders (4, 6) is never cured.
        minimal = ~np.any((f_curves >= 4) & (g_curves >= 6), axis=1)
        forced = (f_points >= 4) & (g_points >= 6) & minimal[:, None]
        for blown_up in _forced_blow_ups(surfaces, forced):
            waiting[blown_up.curves.shape[1]].append(blown_up)
        rows = np.flatnonzero(minimal & ~forced.any(axis=1))
        if len(rows):
            valid.append(surfaces.take(rows))
            details.append((place[rows], f_curves[rows], g_curves[rows]))
    if not valid:
        return None, []
    place, *orders = (np.concatenate(parts) for parts in zip(*details, strict=True))
    rank = np.argsort(place)
    return _Surfaces.joined(valid).take(rank), [one[rank] for one in orders]


def _distinct(sources: list[_Surfaces]) -> Iterator[tuple[np.ndarray, _Surfaces]]:
    """Yield by chunks each surface of `sources` once, in canonical form, after its place (B,) in
    the order of canonical forms.
    """
    canonical = np.concatenate([source.curves[:, :, 0] for source in sources]).astype(np.int8)
    order = canonical_order(canonical)
    canonical = np.take_along_axis(canonical, order, axis=1)
    # Shifted to be unsigned, and none of them zero, the entries compare as the characters of byte
    # strings do.
    strings = (canonical.view(np.uint8) ^ 0x80).view(f"S{canonical.shape[1]}")[:, 0]
    first = np.unique(strings, return_index=True)[1]
    offset = 0
    for source in sources:
        places = np.flatnonzero((first >= offset) & (first < offset + len(source.curves)))
        for start in range(0, len(places), _CHUNK_SURFACES):
            place = places[start : start + _CHUNK_SURFACES]
            surfaces = source.take(first[place] - offset)
            yield (
                place,
                _Surfaces(
                    surfaces.curves[np.arange(len(place))[:, None], order[first[place]]],
                    surfaces.monomials,
                ),
            )
        offset += len(source.curves)


def _forced_blow_ups(surfaces: _Surfaces, forced: np.ndarray) -> Iterator[_Surfaces]:
    """Yield the surfaces that have `forced` points blown up at all of these, grouped by how many
    they are.

    `forced` (B, k) marks the point between each curve and the next one. The monomials stay: such a
    blow-up cuts none.
    """
    number = forced.sum(axis=1)
    for count in np.unique(number[number > 0]):
        group = np.flatnonzero(number == count)
        curves = _blown_up(surfaces.curves[group], forced[group])
        possible = curves[:, :, 0].min(axis=1) >= _LEAST_SELF_INTERSECTION
        if possible.any():
            yield _Surfaces(curves[possible], surfaces.monomials.take(group[possible]))


def _least_orders(surfaces: _Surfaces) -> np.ndarray:
    """Return the least orders of vanishing, (2, 2, B, k): on each curve and at its point with the
    next curve; of f and of g.
    """
    rays, counts = surfaces.curves[:, :, 1:], surfaces.monomials.counts
    orders = np.empty((2, rays.shape[1], len(counts)), dtype=np.int16)
    # Sets of similar sizes go together, so that little of the padding is wasted.
    by_size = np.argsort(-counts)
    stop = 0
    while stop < len(counts):
        start, stop = stop, stop + max(1, _CHUNK_MONOMIALS // int(counts[by_size[stop]]))
        sets = by_size[start:stop]
        orders[:, :, start:stop] = _least_pairings(
            surfaces.monomials.padded(sets), rays[sets // 2].transpose(2, 1, 0).copy()
        )
    sorted_orders = orders[:, :, np.argsort(by_size)].reshape(2, -1, len(rays), 2)
    by_ray: np.ndarray = sorted_orders.transpose(0, 3, 2, 1)
    return by_ray + np.outer([1, 2], _WEIGHTS).astype(np.int16)[:, :, None, None]


def _least_pairings(points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return the minima over `points`, (2, W, B), of <mu, v> for each of `rays`, (2, k, B), and
    for its sum with the next one.

    All arrays are int16. Raises `OverflowError` if a pairing might not fit; the bound reaches
    10,932 in the enumeration.
    """
    bound = (
        2
        * np.sum(
            np.abs(points).max(axis=1).astype(np.int64) * np.abs(rays).max(axis=1), axis=0
        ).max()
    )
    if bound > np.iinfo(np.int16).max:
        raise OverflowError(
            f"rays and monomials pair to as much as {bound}, which 16 bits do not hold"
        )
    x, y = points
    least = np.empty((2, *rays.shape[1:]), dtype=np.int16)
    previous = x * rays[0, -1] + y * rays[1, -1]
    current, scratch = np.empty((2, *x.shape), dtype=np.int16)
    for i in range(rays.shape[1]):
        np.multiply(x, rays[0, i], out=current)
        np.add(current, np.multiply(y, rays[1, i], out=scratch), out=current)
        current.min(axis=0, out=least[0, i])
        np.add(previous, current, out=scratch).min(axis=0, out=least[1, i - 1])
        previous, current = current, previous
    return least
