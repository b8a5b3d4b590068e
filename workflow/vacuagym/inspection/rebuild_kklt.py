"""Rebuild the scalar potential of a KKLT row, in the chamber of its exact point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vacuagym.errors import InputError
from vacuagym.inspection.rebuild import Geometry
from vacuagym.inspection.row_geometry import OF_POINT, geometry_of
from vacuagym.theories.kklt.chambers import Chamber, ToricChambers
from vacuagym.theories.kklt.columns import COLUMNS, READS
from vacuagym.theories.kklt.exact_point import real_axions
from vacuagym.theories.kklt.label_rows import LABELS, label_rows
from vacuagym.theories.kklt.rows import geometry_of as kklt_geometry
from vacuagym.theories.kklt.scalar_potential import ScalarPotential
from vacuagym.theories.kklt.supersymmetry import LARGEST_RESIDUAL, Floats

# A point on a flop wall has its chamber beside it: so far towards an inner class, and so far out.
_ASIDE = (0.0, 1e-7, 1e-5, 1e-3, 1e-1)
_OUT = 1e-6


@dataclass(frozen=True)
class KkltPotential:
    """The potential of the row of a KKLT vacuum at the reference |W₀|.

    Its methods take one point (2n,) or many points (batch, 2n): the Kähler class t in the basis of
    the geometry, in l_s², then the axions θ, of which W has the period 2π. The term of a rigid
    divisor D_b is exp(−2πτ_b + i Q_b·θ). V is right where all ``curves @ t`` are positive; on a
    flop wall V and two derivatives continue. The basis is that of ``kklt_kaehler``.

    Attributes
    ----------
    stack : ScalarPotential
        ``kappa`` (n, n, n), ``charges`` (m, n) and ``w0``.
    point : (2n,) float64
        The exact supersymmetric point of the row.
    curves : (R, n) float64
        Curves of the chamber.
    labels : mapping
        ``stability`` and the columns ``kklt_*``, computed again from the geometry.
    """

    stack: ScalarPotential
    point: Floats
    curves: Floats
    labels: Mapping[str, Any]

    @property
    def n(self) -> int:
        """Return the number of Kähler moduli; there are as many axions."""
        return self.stack.n

    def value(self, fields: npt.ArrayLike) -> Floats:
        """Return V in M_p⁴, up to the factor of g_s and K_cs: a number or an array (batch,)."""
        return self.stack.value(self._points(fields))

    def gradient(self, fields: npt.ArrayLike) -> Floats:
        """Return the derivatives of V by t and θ, shape (2n,) or (batch, 2n)."""
        return self.stack.gradient(self._points(fields))

    def hessian(self, fields: npt.ArrayLike) -> Floats:
        """Return the second derivatives of V, shape (2n, 2n) or (batch, 2n, 2n)."""
        return self.stack.hessian(self._points(fields))

    def covariant_derivative(self, fields: npt.ArrayLike) -> npt.NDArray[np.complex128]:
        """Return D_i W, shape (n,) or (batch, n); it is 0 at :attr:`point`."""
        return self.stack.covariant_derivative(self._points(fields))

    def _points(self, fields: npt.ArrayLike) -> Floats:
        points = np.asarray(fields, dtype=np.float64)
        if points.ndim not in (1, 2) or points.shape[-1] != 2 * self.n:
            raise ValueError(
                f"fields: shape {points.shape}; ({2 * self.n},) or (batch, {2 * self.n}) is "
                "required: t, then the axions; give one point or an array of points"
            )
        return points


def kklt_potential(geometry: Geometry, folder: Path) -> KkltPotential:
    """Return the potential of a row.

    Parameters
    ----------
    geometry : Geometry
        A labelled row of the theory.
    folder : Path
        The folder of its run, or of a published data set.

    Raises
    ------
    InputError
        If the row has no exact point; the message names the column that says why. If the folder
        lacks the geometry. Or if the columns ``kklt_kaehler`` and ``kklt_signs`` are no
        supersymmetric point of the geometry.
    """
    row = geometry.row
    assert row is not None
    if why := _without_point(row, geometry.n):
        raise InputError(
            f"{geometry.key}: {why}; only an exact point has a potential here; give a key whose "
            "kklt_vacuum is vacuum or singular"
        )
    beside = geometry_of(geometry, folder)
    if beside["kaehler_point"] is None:
        raise InputError(
            f"{geometry.key}: the data set lacks {', '.join(OF_POINT)}; the potential needs them; "
            f"name them in datasets.{geometry.dataset}.columns, or work in the folder of the run"
        )
    own = kklt_geometry(beside)
    t, signs = np.array(row["kklt_kaehler"]), np.array(row["kklt_signs"], dtype=np.int64)
    rigid = own.charges[own.rigid]
    fits = len(signs) == len(rigid) and len(t) == geometry.n
    axions = real_axions(rigid, signs) if fits else None
    chambers = ToricChambers(own.points, own.normals, own.basis)
    aside = own.kaehler_point * np.linalg.norm(t) / np.linalg.norm(own.kaehler_point)
    for share in _ASIDE if axions is not None else ():
        chamber = chambers(t + share * (aside - t))
        if chamber is None:
            continue
        stack = ScalarPotential(chamber.kappa, rigid.astype(float), geometry.sections["kklt"]["w0"])
        point = np.concatenate([t, axions])
        if _is_supersymmetric(stack, chamber, point):
            return KkltPotential(stack, point, chamber.rows, _labels(beside, geometry.sections))
    raise InputError(
        f"{geometry.key}: kklt_kaehler and kklt_signs are no supersymmetric point of its geometry; "
        "D_i W must vanish there; run vacuagym explain on the key, and compute the labels again"
    )


def _without_point(row: Mapping[str, Any], n: int) -> str | None:
    """Return why a row has no exact point, and which column says so."""
    if row["stability"] is None:
        return f"kklt_reason is {row['kklt_reason']}, so there is no label"
    if row["stability"] != "point":
        return f"stability is {row['stability']}, so there is no positive candidate"
    if row["kklt_num_points"] is None:
        return f"kklt_num_points is null: h11 = {n} is beyond geometry.full of the labels"
    if row["kklt_toric"] != "inside":
        return f"kklt_toric is {row['kklt_toric']}, so no point was found in the toric part"
    if row["kklt_kaehler"] is None:
        return f"kklt_vacuum is {row['kklt_vacuum']}, kklt_cause is {row['kklt_cause']}"
    return None


def _is_supersymmetric(stack: ScalarPotential, chamber: Chamber, point: Floats) -> bool:
    t = point[: stack.n]
    if (chamber.rows[chamber.relevant] @ t < -_OUT * np.abs(t).max()).any():
        return False
    pull = t * stack.superpotential(point) / (stack.kappa @ t @ t @ t / 3.0)
    return bool(
        np.abs(stack.covariant_derivative(point)).max() < LARGEST_RESIDUAL * np.abs(pull).max()
    )


def _labels(beside: Mapping[str, Any], sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the label and the columns of the theory, computed again, with names for codes."""
    arrays = {name: [np.array(beside[name])] for name in READS if name != "euler"}
    geometry = {"favourable": [beside["favourable"]], "euler": [beside["euler"]], **arrays}
    found = {name: values[0] for name, values in label_rows(geometry, sections).items()}
    names = {column.name: column.categories for column in COLUMNS} | {"stability": LABELS}
    return {
        name: names[name][value] if names.get(name) and value is not None else value
        for name, value in found.items()
    }
