"""Explain a label: print its trials, and compare the table with a second derivation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vacuagym.checks.independent import disagreements, redraw
from vacuagym.checks.registry import CHECKS
from vacuagym.config import load_config
from vacuagym.errors import InputError, VacuagymError
from vacuagym.inspection.explain_kklt import print_label
from vacuagym.inspection.rebuild import Geometry, find_geometry
from vacuagym.inspection.row_geometry import geometry_of
from vacuagym.paths import CONFIGURATION
from vacuagym.runtime.atomic_files import read_json
from vacuagym.theories.toy.active_set import Outcome
from vacuagym.theories.toy.classes import LABELS, METHODS, REGIMES
from vacuagym.theories.toy.labelling import Physics, SearchedGeometries, search_geometries
from vacuagym.theories.toy.random_streams import stream_key

PRINTED = {"kklt": print_label}  # of a theory that reads the geometry: what decides its labels


def explain(
    key: str,
    config: str | Path = "config.yaml",
    labels: str | Path = ".",
    precise: bool = False,
) -> None:
    """Print what decides the label of a geometry, and a second derivation of the label.

    A label of the toy theory is decided by its trials, one of KKLT by divisors and candidates.

    Parameters
    ----------
    key : str
        Key of the geometry.
    config : str or Path
        The configuration, for geometries without a label.
    labels : str or Path
        The label table, or the folder of a run or of a published data set.
    precise : bool
        Whether to compare with the critical point at 50 digits.

    Raises
    ------
    VacuagymError
        If the table differs from the second derivation. The message names each difference.
    """
    geometry, changes = find_geometry(key, config, labels)
    row = geometry.row
    for change in changes:
        print(f"note: {change}; the label is explained as it was computed")
    if row is None:
        limit = _limit(config)
        why = (
            ""
            if limit is None
            else f"; the last run had n_limit {limit} and labelled only the {limit} lowest ids of "
            "each data set"
        )
        print(f"note: {key} has no label yet{why}; a run would give it this label")
    if geometry.theory.reads:
        _explain_geometric(geometry, labels)
        return
    physics = Physics.from_mapping(geometry.sections)
    streams = (
        stream_key(physics.seed, geometry.dataset, geometry.namespace)[None],
        np.array([geometry.geometry_id]),
    )
    found = search_geometries(physics, geometry.n, *streams)
    print(
        f"{key}: n = {geometry.n}, seed {physics.seed}, {physics.search.n_samples} draws x "
        f"{physics.search.n_restarts} restarts"
    )
    _print_trials(found)
    label = LABELS[found.draw_labels[0, found.sample[0]]]
    print(
        f"label: {label}, the vacuum of draw {found.sample[0]}, restart "
        f"{found.restart[0, found.sample[0]]}"
    )
    if row is None:
        return
    differences = disagreements(row, geometry.sections)
    if label != row["stability"]:
        differences.insert(0, f"stability: {row['stability']} in the table, {label} in this search")
    if precise and row["minimization_success"]:
        differences += _precisely(geometry, row)
    if differences:
        raise _differing(key, differences)
    print(
        "the table agrees with other code: couplings, polished critical point and spectrum are "
        "the same"
    )


def _explain_geometric(geometry: Geometry, labels: str | Path) -> None:
    """Print what decides a label of the geometry, and compare with a second derivation."""
    folder = Path(labels) if Path(labels).is_dir() else Path()
    beside = geometry_of(geometry, folder)
    row = PRINTED[geometry.theory.name](geometry, beside)
    checks = CHECKS[geometry.theory.name]
    if differences := checks.disagreements(row, geometry.sections, beside):
        raise _differing(geometry.key, differences)
    print("the table agrees with other code, which derives the label from the definition")


def _differing(key: str, differences: list[str]) -> VacuagymError:
    return VacuagymError(
        f"{key}: the table differs from a second derivation; both must agree; recompute the "
        "label, or report the differences:\n  " + "\n  ".join(differences)
    )


def _limit(config: str | Path) -> int | None:
    """Return n_limit of the last run in this folder; without a run, that of the configuration."""
    limit: int | None
    try:
        limit = read_json(CONFIGURATION, lambda settings: settings["n_limit"])
    except (OSError, InputError):
        limit = load_config(config)["n_limit"]
    return limit


def _print_trials(found: SearchedGeometries) -> None:
    _, draws, restarts = found.labels.shape
    trials = found.trials
    print(
        "draw restart  regime     ended     by      steps              V  |grad V| least "
        "eigenvalue  label"
    )
    for trial in range(draws * restarts):
        draw, restart = divmod(trial, restarts)
        mark = "*" if found.restart[0, draw] == restart else " "
        who = f"{draw:>4} {restart:>6}{mark}  {REGIMES[found.fluxes.regime[draw]]:<10}"
        how = (
            f"{Outcome(trials.outcome[trial]).name.lower():<9} {METHODS[trials.method[trial]]:<7} "
            f"{trials.n_iterations[trial]:>5}"
        )
        what = (
            f"{trials.value[trial]:>14.8g} {trials.grad_norm[trial]:>9.1e} "
            f"{found.trials.spectrum[trial, 0]:>16.8g}"
        )
        print(f"{who} {how} {what}  {LABELS[found.labels[0, draw, restart]]}")
    print("* the vacuum of its draw")


def _precisely(geometry: Geometry, row: Mapping[str, Any]) -> list[str]:
    """Return the differences between a row and its critical point at 50 digits."""
    import mpmath as mp

    from vacuagym.checks.high_precision import polish

    system = redraw(
        geometry.sections,
        dataset=geometry.dataset,
        namespace=geometry.namespace,
        geometry_id=geometry.geometry_id,
        n=geometry.n,
        draw=row["sample_idx"],
    )
    vacuum = polish(system, row["critical_point"])
    print(
        f"at 50 digits: V = {mp.nstr(vacuum.value, 30)}, |grad V| = {mp.nstr(vacuum.grad_norm, 3)}"
    )
    print(
        f"              least eigenvalue {mp.nstr(vacuum.eigenvalues[0], 30)}, moved by "
        f"{mp.nstr(vacuum.moved, 3)}"
    )
    scale = max(1.0, *(abs(float(x)) for x in vacuum.eigenvalues))
    eps = geometry.sections["search"]["hess_eps"] * scale
    counts = {
        "n_negative": sum(x < -eps for x in vacuum.eigenvalues),
        "n_positive": sum(x > eps for x in vacuum.eigenvalues),
        "n_flat": sum(abs(x) <= eps for x in vacuum.eigenvalues),
    }
    exact = {
        "potential_value": float(vacuum.value),
        "min_eigenvalue": float(vacuum.eigenvalues[0]),
        "moved": float(vacuum.moved),
    }
    differences = [
        f"{name}: {row[name]} in the table, {count} at 50 digits"
        for name, count in counts.items()
        if row[name] != count
    ]
    tolerances = {
        "potential_value": 1e-9 * (1 + abs(exact["potential_value"])),
        "min_eigenvalue": 1e-6 * scale,
    }
    for name, tolerance in tolerances.items():
        if abs(row[name] - exact[name]) > tolerance:
            differences.append(f"{name}: {row[name]} in the table, {exact[name]} at 50 digits")
    if exact["moved"] > 1e-5 * (1 + row["phi_norm"]):
        differences.append(f"critical_point: the nearest one is {exact['moved']:.3g} away")
    return differences
