"""Define the errors that users meet, each with the exit code of its kind.

A message has three parts: the path or key with what was found, what is required, and what to do.
"""

from __future__ import annotations

from pathlib import Path


def printable(text: str) -> str:
    """Return a text with all unprintable characters escaped, as a terminal may show it.

    Marks that change the direction of writing are escaped too.
    """
    return "".join(
        c
        if c.isprintable() or c in "\t\n"
        else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


class VacuagymError(Exception):
    """Any failure that has an explanation. The process exits with ``exit_code``."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class ConfigError(VacuagymError):
    """The configuration or the command line asks for something impossible."""

    exit_code = 2


class InputError(VacuagymError):
    """A table of the user cannot be used as it is."""

    exit_code = 3


class DamagedFileError(InputError):
    """Files are cut off, altered, stale or encrypted.

    The message is ``found; remedy``.

    Attributes
    ----------
    found : str
        What was found, beginning with the path.
    remedy : str
        What the user can do.
    paths : list of Path
        All files that the error is about.
    """

    def __init__(self, found: str, *paths: str | Path, remedy: str = "remove it") -> None:
        super().__init__(f"{found}; {remedy}")
        self.found = printable(found)
        self.remedy = printable(remedy)
        self.paths = [Path(path) for path in paths]


class MemoryDeclarationError(VacuagymError):
    """A job needs more memory than it was granted."""

    exit_code = 4
