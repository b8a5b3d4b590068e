"""The model of the configuration: the one source of names, types, defaults, meanings and checks.

``make docs`` writes config.yaml, the reference and the defaults of the command line from it.
The docstring of a section is its description there. Jobs do not import this module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vacuagym.config.datasets import (
    GEOMETRY_COLUMNS,
    POLYTOPE_DATA,
    TORIC_COLUMNS,
    DataSets,
    ToricBases,
    WeightSystems,
)
from vacuagym.config.types import (
    Distinct,
    InnerShare,
    Names,
    NonNegative,
    Positive,
    PositiveRange,
    PositiveShare,
    Range,
    Section,
    ShardSize,
    Share,
    Whole,
    broken,
    broken_relations,
)
from vacuagym.runtime.memory import BATCH_MB

_MOST_ROWS = 2**63 - 1  # ids are 64-bit integers
_LONG = 1e9  # a length that a message shows in scientific notation


class Moduli(Section):
    """How many real moduli n the toy theory of a geometry has: n = clamp(f(count), min, max).

    A missing count gives min.
    """

    map: Literal["direct_cap", "sqrt_cap", "log_cap"] = Field(
        default="direct_cap",
        description="function f: direct_cap (x), sqrt_cap (round √x), log_cap (round 5·ln(1+x))",
    )
    min: Whole = Field(default=2, ge=1, description="smallest n; at most moduli.max")
    max: Whole = Field(
        default=32,
        ge=1,
        le=256,
        description="largest n; the memory of a geometry grows with its square",
    )

    @model_validator(mode="after")
    def _require_order(self) -> Self:
        if self.min > self.max:
            raise broken(f"min {self.min} is larger than max {self.max}")
        return self


class Regimes(Section):
    """Weights of the mixture from which each flux draw picks its regime."""

    generic: NonNegative = Field(
        default=0.30, description="weight of the regime without a mass shift"
    )
    stabilized: NonNegative = Field(
        default=0.10, description="weight of the regime with a positive mass shift"
    )
    tachyonic: NonNegative = Field(
        default=0.35, description="weight of the regime with a negative mass shift"
    )
    runaway: NonNegative = Field(
        default=0.25,
        description="weight of the regime with a negative quartic and a strong tilt",
    )

    @model_validator(mode="after")
    def _require_weight(self) -> Self:
        if not self.generic + self.stabilized + self.tachyonic + self.runaway > 0:
            raise broken("all weights are zero; at least one must be positive")
        return self


class MassShift(Section):
    """Mass shift m of each regime."""

    generic: Range = Field(default=[0.0, 0.0], description="mass shift m in the regime generic")
    stabilized: Range = Field(
        default=[0.5, 2.0], description="mass shift m in the regime stabilized"
    )
    tachyonic: Range = Field(
        default=[-8.0, -3.0], description="mass shift m in the regime tachyonic"
    )
    runaway: Range = Field(default=[0.0, 0.0], description="mass shift m in the regime runaway")


class Ensemble(Section):
    """Distributions of the couplings of the potential V.

    A pair [low, high] is the range of a uniform distribution.

    V(φ) = φᵀKφ + b·φ − A exp(−a S) + D (1 + |φ|²)^(−p) + γ Σφᵢ⁴

    Here K = diag(M²) + Λ + m·1 and S = Σ sqrt(φᵢ² + δ²).
    """

    regimes: Regimes = Regimes()
    flux_mass: Range = Field(default=[1.0, 3.0], description="masses M in K")
    coupling: NonNegative = Field(
        default=0.8,
        description="scale σ of Λ = σ (G + Gᵀ)/2, where G has standard normal entries",
    )
    mass_shift: MassShift = MassShift()
    tilt: NonNegative = Field(
        default=0.3, description="standard deviation of the linear coefficients b"
    )
    runaway_tilt: NonNegative = Field(
        default=2.0,
        description="standard deviation of the term that the regime runaway adds to b",
    )
    gamma: Range = Field(
        default=[0.1, 0.5], description="quartic coefficient γ in all regimes but runaway"
    )
    runaway_gamma: Range = Field(
        default=[-0.4, -0.05], description="quartic coefficient γ in the regime runaway"
    )
    A: Range = Field(default=[0.5, 2.5], description="size A of the non-perturbative term")
    a: PositiveRange = Field(
        default=[0.8, 2.5], description="exponent a of the non-perturbative term"
    )
    D: Range = Field(default=[0.0, 2.0], description="size D of the uplift")
    p: PositiveRange = Field(default=[1.0, 2.0], description="power p of the uplift")
    delta: Positive = Field(default=0.1, description="width δ that smooths |φᵢ| in S")


class Search(Section):
    """The search for critical points, and the tolerances that define one."""

    method: Literal["hybrid", "root", "descent"] = Field(
        default="hybrid",
        description="root finds any critical point; descent rolls to a minimum; hybrid takes "
        "root, then descent where root did not converge",
    )
    n_samples: Whole = Field(
        default=3, ge=1, le=1000, description="number of flux draws per geometry"
    )
    n_restarts: Whole = Field(
        default=3, ge=1, le=1000, description="number of starts per flux draw"
    )
    grad_tol: Positive = Field(
        default=1.0e-9, description="a critical point has |∇V| ≤ grad_tol · (1 + |V|)"
    )
    hess_eps: Positive = Field(
        default=1.0e-6,
        description="an eigenvalue λ of the Hessian is flat if |λ| ≤ hess_eps · max(1, max|λ|)",
    )
    field_range: Positive = Field(
        default=50.0, description="a trial with |φ| above field_range has escaped"
    )
    start_range: Positive = Field(
        default=2.0, description="starts are uniform in [−start_range, start_range]ⁿ"
    )
    root_steps: Whole = Field(
        default=40, ge=1, description="maximum number of steps of the root search"
    )
    descent_steps: Whole = Field(
        default=300, ge=1, description="maximum number of steps of the descent"
    )


class Kklt(Section):
    """The KKLT theory of the data sets with `theory: kklt`."""

    w0: InnerShare = Field(
        default=1.0e-8, description="|W₀| of the exact points, the flux superpotential"
    )
    panel: Annotated[list[InnerShare], Field(min_length=1), Distinct] = Field(
        default=[1.0e-2, 1.0e-40],
        description="further |W₀| at which the exact points are looked at",
    )
    max_bases: Whole = Field(
        default=2**20,
        ge=1,
        le=2**20,
        description="largest number of bases of rigid divisors that are tried for a geometry; one "
        "with more has no label, unless all its divisors are rigid",
    )


class Splits(Section):
    """Shares of the folds."""

    train: InnerShare = Field(default=0.70, description="share of the training fold")
    validation: InnerShare = Field(
        default=0.15, description="share of the validation fold; the test fold has the rest"
    )
    complexity_share: InnerShare = Field(
        default=0.30,
        description="share of the test fold of ood_complexity: the geometries of largest moduli "
        "count, before the clamp",
    )
    hodge_share: InnerShare = Field(
        default=0.30,
        description="share of the test fold of ood_hodge: the geometries of largest h11 + h21; and "
        "of ood_euler: those of largest |χ|",
    )

    @model_validator(mode="after")
    def _require_test_fold(self) -> Self:
        if self.train + self.validation >= 1.0:
            raise broken(
                f"train {self.train} + validation {self.validation} leave nothing for test; their "
                "sum must be below 1"
            )
        return self


class Verify(Section):
    """A random sample of the labels is derived a second time by other code.

    A disagreement fails the run.
    """

    share: Share = Field(default=0.001, description="share of all rows to verify")
    least: Whole = Field(default=200, ge=0, description="minimum number of rows to verify")
    per_label: Whole = Field(
        default=10,
        ge=0,
        description="minimum number of rows to verify of each label of each data set",
    )


class Validation(Section):
    """Every row of labels and splits is checked (results/validation.json).

    A failed check fails the run.
    """

    largest_class: PositiveShare = Field(
        default=0.95, description="maximum share of one label in the rows of a data set"
    )
    failed_share: Share = Field(
        default=0.001, description="maximum share of rows with the label failed in a data set"
    )
    fold_tolerance: PositiveShare = Field(
        default=0.02,
        description="maximum difference between the size of a fold of iid and its share",
    )


class Publish(Section):
    """What results/dataset holds beside labels, splits and columns."""

    potential: bool = Field(
        default=False,
        description="add the configuration potential, with K and b of every row, about 2 kB per "
        "row",
    )


class Memory(Section):
    """What a job may take."""

    batch_mb: Whole = Field(
        default=BATCH_MB,
        ge=1,
        le=4096,
        description="working memory of a batch in a label job, in MB",
    )


class Configuration(Section):
    """Every setting of the pipeline."""

    seed: int = Field(
        default=42,
        ge=0,
        description="seed of all random draws; with a geometry's key it fixes the geometry's label",
    )
    n_limit: int | None = Field(
        default=None,
        ge=1,
        le=_MOST_ROWS,
        description="number of geometries per data set, those with the lowest ids; null takes all",
    )
    shard_size: ShardSize = Field(
        default="auto",
        description="number of ids in a shard, which one job labels; a crash loses unfinished "
        "shards; auto takes 10000, doubled until the data set has at most 500 shards",
    )
    table_rows: int = Field(
        default=10_000_000,
        ge=1,
        le=_MOST_ROWS,
        description="largest number of rows of all data sets for which the tables of labels, "
        "features and splits are one file each; with more, each is a folder of files, made by jobs "
        "in parallel",
    )
    datasets: DataSets = Field(
        default={
            "fth6d": ToricBases(source="toric_bases"),
            "ws5": WeightSystems(
                source="weight_systems",
                columns=["weights", *GEOMETRY_COLUMNS, *POLYTOPE_DATA],
                side="mirror",
                theory="kklt",
            ),
        },
        description="The data sets by name. A configuration file on top of this one adds data "
        "sets. The value null removes one, such as `fth6d: null`.",
    )
    moduli: Moduli = Moduli()
    ensemble: Ensemble = Ensemble()
    search: Search = Search()
    kklt: Kklt = Kklt()
    splits: Splits = Splits()
    split_groups: dict[str, Annotated[Names, Field(min_length=1)]] = Field(
        default={},
        description="Per data set, the columns that identify duplicates, such as "
        "{fth6d: [h11, h21]}. Rows with equal values stay in one fold.",
    )
    verify: Verify = Verify()
    validation: Validation = Validation()
    publish: Publish = Publish()
    stall_minutes: Whole = Field(
        default=60,
        ge=1,
        description="number of minutes without progress after which a job ends itself",
    )
    memory: Memory = Memory()

    @model_validator(mode="after")
    def _require_relations(self) -> Self:
        if found := [
            *_unknown_groups(self),
            *_short_field_range(self),
            *_no_potential(self),
        ]:
            raise broken_relations(found)
        return self


def _unknown_groups(config: Configuration) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, columns in config.split_groups.items():
        source = config.datasets.get(name)
        if source is None:
            known = ", ".join(sorted(config.datasets))
            yield ("split_groups",), f"there is no data set {name}; there are {known}"
        elif isinstance(source, ToricBases) and (unknown := set(columns) - set(TORIC_COLUMNS)):
            yield (
                ("split_groups", name),
                f"the toric bases have no column {', '.join(sorted(unknown))}; they have "
                f"{', '.join(TORIC_COLUMNS)}",
            )


def _no_potential(config: Configuration) -> Iterator[tuple[tuple[str, ...], str]]:
    if config.publish.potential and not any(e.theory == "toy" for e in config.datasets.values()):
        yield (
            ("publish", "potential"),
            "no data set has the theory toy, which alone draws a potential; set it to false",
        )


def _short_field_range(config: Configuration) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the problem of a field range without the starts, or the minima that they look for.

    Notes
    -----
    V ≈ λ|φ|² + γ|φ|⁴/n is least at |φ|² = −λ n / 2γ. Taken are the middles of all ranges, and the
    lowest mode λ of K: its random part reaches down to −σ √(2n).
    """
    ensemble, search, n = config.ensemble, config.search, config.moduli.max
    reach, farthest = search.field_range, search.start_range * math.sqrt(n)
    key = ("search", "field_range")
    if reach < farthest:
        yield (
            key,
            f"{reach:g}: starts lie up to start_range √(moduli.max) = {farthest:.3g} away, and "
            f"would count as escaped; set field_range to {_rounded_up(farthest)} or more, or lower "
            "start_range",
        )
        return
    bounded = [name for name, weight in ensemble.regimes if weight > 0 and name != "runaway"]
    if not bounded or not (gamma := _middle(ensemble.gamma)) > 0:
        return
    mass = _middle(ensemble.flux_mass)
    shift = min(_middle(bounds) for name, bounds in ensemble.mass_shift if name in bounded)
    lowest = mass * mass + shift - ensemble.coupling * math.sqrt(2 * n)
    radius = math.sqrt(max(0.0, -lowest) * n / (2 * gamma))
    if reach < radius:
        yield (
            key,
            f"{reach:g}: minima of this ensemble lie about {radius:.3g} away (n = {n}), and would "
            f"count as escaped; set field_range to {_rounded_up(2 * radius)} or more, or "
            "lower moduli.max",
        )


def _middle(bounds: list[float]) -> float:
    low, high = bounds
    return float(low) / 2 + float(high) / 2


def _rounded_up(length: float) -> str:
    return f"{math.ceil(length)}" if length < _LONG else f"{length:.3g}"
