"""The errors that users meet, each with the exit code of its kind. A message says what is wrong,
where, and what to do about it.
"""

from __future__ import annotations

from pathlib import Path


def printable(text: str) -> str:
    """Return a text as a terminal may show it: what is not printable is escaped, as are marks that
    change the direction of writing.
    """
    return "".join(
        c
        if c.isprintable() or c in "\t\n"
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


class VacuagymError(Exception):
    """Any failure that has an explanation; the process exits with ``exit_code``."""

    exit_code = 1

    def __init__(self, message: str = ""):
        super().__init__(printable(message))


class ConfigError(VacuagymError):
    """The configuration or the command line asks for something impossible."""

    exit_code = 2


class InputError(VacuagymError):
    """A table that the user gave cannot be used as it is."""

    exit_code = 3


class DamagedFileError(InputError):
    """Files are not whole, not as they were written, or encrypted; ``paths`` names them."""

    def __init__(self, message: str, *paths: str | Path):
        super().__init__(message)
        self.paths = [Path(path) for path in paths]


class MemoryDeclarationError(VacuagymError):
    """A job does not fit into the memory that was set aside for it."""

    exit_code = 4
