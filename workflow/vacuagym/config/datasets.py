"""The part of the model of the configuration that describes data sets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, Tag, model_validator

from vacuagym.config.types import (
    FORMS,
    ByForm,
    Distinct,
    Names,
    OneName,
    PlainName,
    Section,
    ShardSize,
    Text,
    Whole,
    broken,
    broken_relations,
)

ToricColumn = Literal[
    "num_nodes",
    "T",
    "h11",
    "h21",
    "self_intersections",
    "rays",
    "ord_f",
    "ord_g",
    "num_f",
    "num_g",
    "euler",
    "k2",
    "smooth_weierstrass",
    "extra_blow_ups",
    "gauge_algebras",
]
PolytopeCount = Literal[
    "h11", "h21", "num_points_m", "num_vertices_m", "num_points_n", "num_vertices_n", None
]
_COUNTS = "computed column that counts the moduli; null gives every geometry the least n"
_THEORY = "theory of the labels: toy, or kklt for weight systems and polytopes"
_TAKEN = ("key", "dataset", "namespace", "geometry_id", "moduli", "n_moduli", "stability")
_MAX_DEGREE = 84  # of weight systems that are enumerated
TORIC_COLUMNS: tuple[str, ...] = get_args(ToricColumn)
GEOMETRY_COLUMNS = ["geometry_hash", "h11", "h21", "euler", "favourable"]  # published by default
# Published with the threefolds of the default configuration: what a model of the labels may read.
POLYTOPE_DATA = [
    *("num_points_m", "num_vertices_m", "num_points_n", "num_vertices_n"),
    *("points", "divisor_h1", "divisor_h2"),
    *("c2", "kappa_index", "kappa_value", "basis", "mori", "kaehler_point"),
]
_LICENCE = Field(
    default=None,
    description="optional: licence of the table, for the card of the published data set",
)
_CITATION = Field(default=None, description="optional: what to cite for the table, for the card")


def _require_computed_divisors(theory: str) -> str:
    if theory == "kklt":
        raise broken(
            "kklt needs the divisors of a threefold, which are computed for the sources "
            "weight_systems and polytopes only (a CICY has no rigid ambient divisor); set it to toy"
        )
    return theory


TheoryName = Literal["toy", "kklt"]
ToyOnly = Annotated[TheoryName, AfterValidator(_require_computed_divisors)]


class ToricBases(Section):
    """The toric bases of 6D F-theory as a data set."""

    source: Literal["toric_bases"] = Field(
        description="the 61,539 smooth toric bases of 6D F-theory, computed by the pipeline"
    )
    moduli: Literal["T", "num_nodes", "h11", "h21", "num_f", "num_g", None] = Field(
        default="T",
        description="column that counts the moduli; T is the number of tensor multiplets (others: "
        "num_nodes, h11, h21, num_f, num_g)",
    )
    columns: Annotated[list[ToricColumn], Distinct] = Field(
        default=["num_nodes", "T", "h11", "h21", "num_f", "num_g", "self_intersections"],
        description="columns of the toric bases that go into results/dataset beside the labels",
    )
    theory: ToyOnly = Field(default="toy", description=_THEORY)


TablePath = Annotated[
    OneName | Annotated[Names, Field(min_length=1), Tag(FORMS[1])],
    ByForm,
]
_PATH = (
    "Parquet file, list of files, folder, glob or URI; relative to the folder of the run; a folder "
    "stands for all *.parquet files in it"
)
_ID = (
    "optional: integer column that names a geometry; without it, the id of a row is its position "
    "in its file, and its namespace is the path of the file below the common folder, without ending"
)


class OfUser(Section):
    """A table of the user: the columns that identify a row."""

    @model_validator(mode="after")
    def _require_id(self) -> Self:
        if getattr(self, "namespace", None) is not None and getattr(self, "id", None) is None:
            raise broken(
                "namespace without id; a column of namespaces needs a column of ids; name it as "
                "id, or leave out namespace"
            )
        return self


class Table(OfUser):
    """A Parquet table of the user as a data set."""

    source: Literal["table"] = Field(description="a Parquet table of the user", examples=["table"])
    path: TablePath = Field(description=_PATH, examples=["data/ks_features.parquet"])
    id: Text | None = Field(default=None, description=_ID, examples=["polytope_id"])
    namespace: Text | None = Field(
        default=None,
        description="optional: column that, with the id, makes a row unique",
        examples=["source_file"],
    )
    moduli: Text | None = Field(
        default=None,
        description="optional: column of moduli counts; it may hold nulls or be absent",
        examples=["h21"],
    )
    hodge: Annotated[Names, Field(min_length=2, max_length=2)] | None = Field(
        default=None,
        description="optional: columns of the Hodge numbers, for the split ood_hodge; the public "
        "ks table holds none",
    )
    columns: Names = Field(
        default=[],
        description="optional: columns that go into results/dataset beside labels",
        examples=[["raw_line"]],
    )
    licence: Text | None = _LICENCE
    citation: Text | None = _CITATION
    theory: ToyOnly = Field(default="toy", description=_THEORY)


def _require_free_names(names: list[str]) -> list[str]:
    taken = [name for name in names if name in _TAKEN or name.startswith("_")]
    if taken:
        raise broken(f"found {taken[0]!r}, a column of the labels; leave it out")
    return names


class Depth(Section):
    """Largest h11 up to which each level of geometry is computed; 0 switches a level off.

    Light data (Hodge numbers, counts, hash) are computed for all rows.
    """

    divisors: Whole = Field(
        default=64, ge=0, le=491, description="largest h11 with points and topology of divisors"
    )
    full: Whole = Field(
        default=10,
        ge=0,
        le=491,
        description="largest h11 with charges, c₂, κ, Mori cone and a Kähler point",
    )


class Threefolds(OfUser):
    """Calabi–Yau threefolds whose geometry the pipeline computes."""

    namespace: Text | None = Field(
        default=None, description="optional: column that, with the id, makes a row unique"
    )
    columns: Annotated[Names, AfterValidator(_require_free_names)] = Field(
        default=GEOMETRY_COLUMNS,
        description="columns, computed or of the table, that go into results/dataset",
    )
    shard_size: ShardSize | None = Field(
        default=None,
        description="number of ids in a shard of this data set; null takes shard_size of the run",
    )
    licence: Text | None = _LICENCE
    citation: Text | None = _CITATION


class TableOfThreefolds(Threefolds):
    """A table of the user from which the pipeline computes Calabi–Yau threefolds."""

    path: TablePath = Field(description=_PATH)
    id: Text | None = Field(default=None, description=_ID)


class PolytopeThreefolds(Threefolds):
    """Threefolds of reflexive polytopes: their divisors are computed, so every theory has labels.

    With the theory kklt n is h11, so that is the count of moduli too.
    """

    moduli: PolytopeCount = Field(default="h11", description=_COUNTS)
    geometry: Depth = Depth()
    theory: TheoryName = Field(default="toy", description=_THEORY)

    @model_validator(mode="after")
    def _require_divisors(self) -> Self:
        if self.theory == "kklt" and self.geometry.divisors == 0:
            raise broken(
                "theory kklt needs data of divisors, and geometry.divisors is 0; set it to 64, say"
            )
        if self.theory == "kklt" and self.moduli != "h11":
            raise broken(
                f"theory kklt has n = h11 moduli, and moduli is {self.moduli}; leave moduli out"
            )
        return self


class WeightSystems(PolytopeThreefolds):
    """Weight systems as a data set: the threefold of the Newton polytope, or its mirror.

    Without a path, the weight systems of five weights are enumerated up to a degree.
    """

    source: Literal["weight_systems"] = Field(
        description="weight systems, of a Parquet table or enumerated by the pipeline"
    )
    path: TablePath | None = Field(
        default=None,
        description=f"{_PATH}; null enumerates all weight systems of five weights with the "
        "interior-point property",
    )
    max_degree: Whole = Field(
        default=_MAX_DEGREE,
        ge=5,
        le=100,
        description="without a path: largest degree of a weight system; 60 gives 7,930, 84 gives "
        "18,712, 100 gives 27,090; the id is the rank by degree and weights",
    )
    id: Text | None = Field(default=None, description=_ID)
    weights: (
        Annotated[OneName | Annotated[Names, Field(min_length=2), Tag(FORMS[1])], ByForm] | None
    ) = Field(
        default=None,
        description='text column of blocks "d w1 … wn", or the integer columns of the weights',
    )
    side: Literal["weights", "mirror"] = Field(
        default="weights",
        description="weights: divisors are points of the dual of the Newton polytope; mirror: of "
        "the Newton polytope",
    )

    @model_validator(mode="before")
    @classmethod
    def _publish_weights(cls, entry: Any) -> Any:
        """Publish the weights of enumerated weight systems, unless columns are named."""
        if isinstance(entry, dict) and entry.get("path") is None and "columns" not in entry:
            return {**entry, "columns": ["weights", *GEOMETRY_COLUMNS]}
        return entry

    @model_validator(mode="after")
    def _require_columns_of_the_path(self) -> Self:
        of_table = ("id", "weights", "namespace")
        if self.path is None:
            extra = [name for name in of_table if getattr(self, name) is not None]
            found = [
                (
                    (name,),
                    "names a column, but there is no path; give the path of the table, or "
                    "leave both out to enumerate weight systems",
                )
                for name in extra
            ]
        else:
            found = []
            if self.weights is None:
                found.append((("weights",), f"missing; name the column of {self.path}"))
            # A recorded configuration has the default.
            if self.max_degree != _MAX_DEGREE:
                found.append(
                    (
                        ("max_degree",),
                        "is for enumerated weight systems; a table has its "
                        "own degrees; leave it out",
                    )
                )
        if found:
            raise broken_relations(found)
        return self


class Polytopes(PolytopeThreefolds, TableOfThreefolds):
    """Reflexive polytopes as a data set, given by the vertices of the Newton polytope M."""

    source: Literal["polytopes"] = Field(description="reflexive polytopes in a Parquet table")
    vertices: Text = Field(description="column of vertices: a list of lists of 4 integers")
    side: Literal["weights", "mirror"] = Field(
        default="weights",
        description="weights: divisors are points of the dual of M; mirror: of M",
    )


class Cicys(TableOfThreefolds):
    """Complete intersections in products of projective spaces as a data set."""

    source: Literal["cicy"] = Field(description="configuration matrices in a Parquet table")
    moduli: Literal["h11", "h21", "num_divisors", None] = Field(default="h11", description=_COUNTS)
    matrix: Text = Field(description="column of configuration matrices: a list of lists")
    theory: ToyOnly = Field(default="toy", description=_THEORY)
    hodge: Annotated[Names, Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="optional: columns of the Hodge numbers h11 and h21"
    )

    @model_validator(mode="after")
    def _require_hodge(self) -> Self:
        if self.moduli in ("h11", "h21") and self.hodge is None:
            raise broken(
                f"moduli {self.moduli} needs the columns of the Hodge numbers; name them as hodge, "
                "or set moduli to num_divisors"
            )
        return self


DataSet = Annotated[
    ToricBases | Table | WeightSystems | Polytopes | Cicys, Field(discriminator="source")
]


def _require_separate(datasets: dict[str, DataSet]) -> dict[str, DataSet]:
    if not datasets:
        raise broken("none is left; add one (config.yaml shows how)")
    folded: dict[str, str] = {}
    for name in datasets:
        if folded.setdefault(name.lower(), name) != name:
            raise broken(
                f"{folded[name.lower()]} and {name} differ in case only, which some file systems "
                "cannot tell apart"
            )
    return datasets


DataSets = Annotated[dict[PlainName, DataSet], AfterValidator(_require_separate)]
SOURCES: dict[str, type[Section]] = {
    "toric_bases": ToricBases,
    "table": Table,
    "weight_systems": WeightSystems,
    "polytopes": Polytopes,
    "cicy": Cicys,
}
