"""Reading a configuration file: YAML without its traps, and bounded."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from vacuagym.errors import ConfigError, InputError
from vacuagym.runtime.atomic_files import require_regular

_MOST_VALUES, _DEEPEST = 100_000, 20  # of a key at the top
_MOST_MERGED, _MOST_DIGITS = 1000, 4000


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a configuration file; :class:`ConfigError` if it is no YAML mapping, gives a key twice,
    or is too large when written out.
    """
    try:
        require_regular(path)
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
        if not isinstance(raw, dict):
            raise ValueError(
                "a configuration is a mapping of keys to values, this file holds "
                f"{type(raw).__name__}"
            )
        _require_bounded(raw)
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save the file as UTF-8"
        ) from error
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such file (seen from {Path.cwd()}); name a configuration, or work in the "
            "folder of a run"
        ) from error
    except (InputError, OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: not a readable configuration: {str(error)[:1000]}") from error
    return raw


def _require_bounded(raw: dict[str, Any]) -> None:
    """Refuse values that contain themselves, or that aliases multiply beyond all use; the key at
    the top is named.
    """
    for key, value in raw.items():
        waiting, seen = [(value, 0)], 0
        while waiting:
            item, depth = waiting.pop()
            seen += 1
            if seen > _MOST_VALUES or depth > _DEEPEST:
                raise ValueError(
                    f"{key}: more than {_MOST_VALUES} values, or nested deeper than {_DEEPEST}; "
                    "write it out without aliases"
                )
            children = (
                [*item.keys(), *item.values()]
                if isinstance(item, dict)
                else item
                if isinstance(item, list)
                else ()
            )
            waiting += [(child, depth + 1) for child in children]


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error, not a silent choice, and so is a number
    in another base than ten.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return any value; an error of YAML's own constructors gets its place."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            text = node.value[:40] if isinstance(node.value, str) else node.tag
            raise _unusable(node, f"{text!r} is no {node.tag.rpartition(':')[2]}") from error

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return an integer; refuse base 8 and 60, and numbers of too many digits."""
        digits = node.value.replace("_", "").lstrip("+-")
        if ":" in digits or (len(digits) > 1 and digits[0] == "0" and digits.isdigit()):
            raise _unusable(
                node,
                f"{node.value} is a number in base {'60' if ':' in digits else '8'} for YAML; "
                "write it in base 10, or in quotes",
            )
        if len(digits) > _MOST_DIGITS:
            raise _unusable(node, f"a number of {len(digits)} digits is too long")
        return super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """Return a float; refuse base 60."""
        if ":" in node.value:
            raise _unusable(
                node,
                f"{node.value} is a number in base 60 for YAML; write it in base 10, or in quotes",
            )
        return super().construct_yaml_float(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; refuse a key that occurs twice."""
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in seen:
                    raise _unusable(key, f"the key {key.value} is given twice")
                seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Add the keys that a mapping merges (``<<``); refuse too many."""
        super().flatten_mapping(node)
        if len(node.value) > _MOST_MERGED:
            raise _unusable(node, f"more than {_MOST_MERGED} keys are merged by <<; write them out")


def _unusable(node: yaml.Node, problem: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
