"""What the dataset card says about the labels of each theory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vacuagym.theories.theory import Theory
from vacuagym.theories.toy.classes import LABELS
from vacuagym.theories.toy.meanings import label_groups

# what is said of a geometry, in the description of the data set
WHAT = {
    "toy": "the stability of the vacuum of one toy effective field theory, with its critical "
    "point, Hessian spectrum and couplings",
    "kklt": "whether the Calabi–Yau threefold has a KKLT point, with its divisor volumes",
}


def labels_of(theory: Theory, figures: Mapping[str, Any]) -> str:
    """Return what the labels of a theory mean, and the rows of its data sets by label."""
    labels = list(theory.classes)
    without = {name: sum(about["without_label"].values()) for name, about in figures.items()}
    some = any(without.values())
    balance = [
        [
            name,
            f"{about['rows']:,}",
            *(f"{about['by_label'][label]:,}" for label in labels),
            *([f"{without[name]:,}"] if some else []),
        ]
        for name, about in figures.items()
    ]
    heads = ["data set", "geometries", *labels, *(["no label"] if some else [])]
    return f"""{theory.of_what}

{_TEXTS[theory.name](table(["label", "meaning"], theory.classes.items()), theory)}

Rows of each data set by label:

{table(heads, balance)}
{"" if theory.reads else _toy_groups(figures)}"""


def _toy_text(meanings: str, theory: Theory) -> str:
    potential = "V(φ) = φᵀKφ + b·φ − A exp(−a S) + D (1 + |φ|²)^(−p) + γ Σφᵢ⁴"
    return f"""The potential is {potential} with random
couplings. `stability` says what the search found:

{meanings}
- It is a toy: the couplings are random draws. The labels say nothing about the compactification
  itself. At equal *n* (`n_moduli`) a label depends on no other property of its geometry. Feature
  columns cannot help a model that knows *n*.
- A search from other starts, or by another method, gives other labels. Where γ > 0, a potential
  with a `saddle` has a minimum as well. A `stable` vacuum need not be the deepest.
- Inputs are `n_moduli`, the feature columns, and, for a model of the potential, the couplings.
  What describes the critical point (its value, gradient, spectrum, barrier) and the counts over
  trials and draws contain the answer."""


def _kklt_text(meanings: str, theory: Theory) -> str:
    return f"""`stability` says what the divisors decide:

{meanings}
- Exact: rigidity, the candidates and so the label. Assumed, for `point` only: that toric divisors
  generate the effective cone.
- Chosen: all prefactors and all dual Coxeter numbers 1, the Kähler potential at tree level, W₀
  small enough, complex structure and dilaton fixed.
- Not part of it: orientifold, tadpole, the place of the seven-branes, Freed–Witten anomalies.
  The α′ correction and worldsheet instantons are left out, and most points have curves smaller
  than the string. A point is a candidate, not a controlled vacuum.
- Sources: arXiv:hep-th/0301240 and 2107.09064 for the model, alg-geom/9310003 for rigidity,
  1712.04946 for divisor topologies; 2406.13751 and 2507.00615 say what control takes.
- Different polytopes may give one threefold. Splits keep equal polytopes (`geometry_hash`) in one
  fold.
- Inputs are `n_moduli` and the feature columns. {", ".join(f"`{name}`" for name in theory.leaks)}
  contain the answer. One of them decides a label by definition: fewer rigid divisors than n give
  `no_span`. Where rigid divisors enter as a feature, look at the rows that span as well.
- Geometries without a label are in no fold: `kklt_reason` says why."""


_TEXTS = {"toy": _toy_text, "kklt": _kklt_text}


def _toy_groups(figures: Mapping[str, Any]) -> str:
    groups = [
        [name, f"{sum(counts.values()):,}", *(f"{counts[label]:,}" for label in LABELS)]
        for name, counts in label_groups(figures).items()
    ]
    return f"""By regime and by sign of γ, over all data sets (γ > 0: V is bounded below; γ < 0: it
falls without end in every direction):

{table(["", "geometries", *LABELS], groups)}"""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
