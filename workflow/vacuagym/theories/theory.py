"""What a theory tells the stages about itself: plain data, no arrays and no Arrow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column that a theory adds to the label table.

    Attributes
    ----------
    type : str
        Its Arrow type as text, such as "int16" or "list<int64>"; "category" for a name out of
        ``categories``.
    meaning : str
        What the reference says about the column.
    categories : tuple of str
        Values of a column of categories, in the order of their codes.
    null : str
        Where the column is null. Empty if it never is, in the rows of the theory.
    """

    name: str
    type: str
    meaning: str
    categories: tuple[str, ...] = ()
    null: str = ""


@dataclass(frozen=True)
class Theory:
    """A theory: what its labels are called and mean, and what they depend on.

    Attributes
    ----------
    title : str
        What the labels are about, in a few words.
    classes : mapping of str to str
        The labels and their meanings, in the order of their codes.
    of_what : str
        What a label says about the geometry, and what not.
    sections : tuple of str
        Sections of the configuration on which the labels depend.
    reads : tuple of str
        Columns of the computed geometry on which the labels depend. A theory without them needs
        the count of moduli only, so it labels every data set.
    columns : tuple of Column
        Columns of the label table that only this theory fills.
    leaks : tuple of str
        Columns that contain the answer, so that no model may read them.
    rows : str
        Module with ``label_rows``, for a theory that reads computed geometry.
    reason : str
        Column that says why a row has no label, for a theory that leaves some out.

    Notes
    -----
    The checks of a theory, and the second derivation of its labels, are named in
    ``vacuagym.checks.registry``; they use nothing of the theory.
    """

    name: str
    title: str
    classes: Mapping[str, str]
    of_what: str
    sections: tuple[str, ...]
    reads: tuple[str, ...]
    columns: tuple[Column, ...]
    leaks: tuple[str, ...]
    rows: str
    reason: str = ""
