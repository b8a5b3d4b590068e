"""The types of the values of the configuration, and the checks that belong to one value.

The types are strict: 42.0 is no whole number, true is no number, and text is no number.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

_LARGEST = sys.float_info.max
_UNUSABLE = re.compile("[\\0\ud800-\udfff]")  # no file system or Parquet file takes these
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
BROKEN = "broken"  # the type of an error whose message is ours

T = TypeVar("T")


class Section(BaseModel):
    """A section of the configuration: immutable, strict, and without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def broken(text: str) -> PydanticCustomError:
    """Return the error of a value that has the right type and cannot be used.

    Parameters
    ----------
    text : str
        What was found, what is required and what to do, without the key.

    Returns
    -------
    PydanticCustomError
        The error to raise in a validator.
    """
    return PydanticCustomError(BROKEN, "{text}", {"text": text})


def broken_relations(found: Iterable[tuple[tuple[str, ...], str]]) -> ValidationError:
    """Return the error of keys that contradict each other.

    Parameters
    ----------
    found : iterable of (tuple of str, str)
        The path of the key to change, and the text for :func:`broken`.

    Returns
    -------
    ValidationError
        The error to raise in a validator of a section.
    """
    errors = [InitErrorDetails(type=broken(text), loc=keys, input=None) for keys, text in found]
    return ValidationError.from_exception_data("configuration", errors)


def character_error(text: str, wrong: str) -> str:
    """Return the message about a character that no name may hold.

    Parameters
    ----------
    text : str
        The name as it is shown.
    wrong : str
        The character.

    Returns
    -------
    str
        The text for :func:`broken`.
    """
    return f"{text}: a name cannot hold the character {wrong!r}; write it without"


def unusable_character(text: str) -> str | None:
    """Return the first character of a name that no name may hold, if there is one.

    Parameters
    ----------
    text : str
        A name of a file, a column or a data set.

    Returns
    -------
    str or None
        NUL or half of a surrogate pair.
    """
    found = _UNUSABLE.search(text)
    return found[0] if found else None


def _as_given(value: Any, check: Any) -> Any:
    """Check a number and keep it: 1 and 1.0 are two settings in a fingerprint."""
    check(value)
    return value


def _finite(value: int) -> int:
    if abs(value) > _LARGEST:
        raise PydanticCustomError("finite_number", "not a finite number")
    return value


def _usable(text: str) -> str:
    if wrong := unusable_character(text):
        raise broken(character_error(repr(text), wrong))
    return text


def _plain(name: str) -> str:
    if not _PLAIN_NAME.fullmatch(name):
        raise broken(
            f"{name!r} cannot name a data set: at most 64 letters, digits, _ and -, the first a "
            "letter or digit"
        )
    return name


def _ordered(bounds: list[float]) -> list[float]:
    low, high = bounds
    if not low <= high:
        raise broken(f"the range [{low}, {high}] is reversed; write [low, high]")
    return bounds


def _distinct(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise broken(f"found {values!r}; each value may occur only once; remove the others")
    return values


Number = Annotated[float, Field(allow_inf_nan=False), WrapValidator(_as_given)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), WrapValidator(_as_given)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), WrapValidator(_as_given)]
InnerShare = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False), WrapValidator(_as_given)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), WrapValidator(_as_given)]
PositiveShare = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), WrapValidator(_as_given)]
Whole = Annotated[int, AfterValidator(_finite)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_usable)]
Range = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_ordered)]
PositiveRange = Annotated[
    list[Positive], Field(min_length=2, max_length=2), AfterValidator(_ordered)
]
Names = Annotated[list[Text], AfterValidator(_distinct)]
Distinct = AfterValidator(_distinct)
# A name or a list of names. Errors are those of the form that was written.
FORMS = ("(text)", "(list)")
OneName = Annotated[Text, Tag(FORMS[0])]
ByForm = Discriminator(lambda value: FORMS[isinstance(value, list)])
# A number of ids, or the word.
NUMBER, WORD = "(number)", "(word)"
ShardSize = Annotated[
    Annotated[int, Field(ge=1, le=2**63 - 1), Tag(NUMBER)] | Annotated[Literal["auto"], Tag(WORD)],
    Discriminator(lambda value: WORD if value == "auto" else NUMBER),
]
PlainName = Annotated[str, AfterValidator(_plain)]
