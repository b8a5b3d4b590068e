"""The part of the model of the configuration that describes data sets."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from vacuagym.config.types import Distinct, Names, PlainName, Section, Text, broken

ToricColumn = Literal[
    "num_nodes", "T", "h11", "h21", "self_intersections", "rays", "ord_f", "ord_g", "num_f", "num_g"
]
TORIC_COLUMNS: tuple[str, ...] = get_args(ToricColumn)


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


class Table(Section):
    """A Parquet table of the user as a data set."""

    source: Literal["table"] = Field(description="a Parquet table of the user", examples=["table"])
    path: Text = Field(
        description="path of the Parquet file, relative to the folder of the run",
        examples=["data/ks_features.parquet"],
    )
    id: Text = Field(description="integer column that names a geometry", examples=["polytope_id"])
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


DataSet = Annotated[ToricBases | Table, Field(discriminator="source")]


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
SOURCES: dict[str, type[Section]] = {"toric_bases": ToricBases, "table": Table}
