"""YAML files of an operator: the mapping, the line of every key, and errors that name file, line and key."""

import re
from collections.abc import Container, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Strict, ValidationError

from usage_assets.core.errors import UsageError

At = tuple[str | int, ...]
Lines = dict[At, int]
Whole = Annotated[int, Strict()]
"""A whole number of a file: no text, no yes or no."""
Real = Annotated[float, Strict()]
"""A number of a file, with a fraction or without."""

LARGEST_EXPANSION = 100_000
_LONGEST = 2_000
# all of a URL but its scheme: passwords stand before the last @, tokens in paths and queries
_URL = re.compile(r"([A-Za-z][\w+.-]*://)(?:.*@)?[^\s'\"]*")
_DECIMAL = re.compile(
    r"[-+]?(\d+\.\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(0|[1-9]\d*)|[-+]?\.(inf|nan)", re.IGNORECASE | re.ASCII
)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def masked(text: str) -> str:
    """An error's text of bounded length without what may be secret: of URLs only the scheme is left."""
    text = _URL.sub(r"\1***", text)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def parse(path: Path, text: str, error: type[UsageError], *, help_at: str) -> tuple[dict[str, Any], Lines]:
    """The file's mapping and the line of each key path; `error` of a file that is no YAML or names a key twice."""
    data, lines = parse_any(path, text, error)
    if not isinstance(data, dict):
        msg = f"{path.name}:1: expected keys and values, found {type(data).__name__}; see {help_at}"
        raise error(msg)
    return data, lines


def parse_any(path: Path, text: str, error: type[UsageError]) -> tuple[Any, Lines]:
    """The content of a file of any shape, and the line of each key path."""
    lines: Lines = {}
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_expansions(path, root, error)
        _walk(path, root, (), lines, error)
        # from the tree that was checked, not parsed again
        data = None if root is None else yaml.SafeLoader("").construct_document(root)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        problem = getattr(fault, "problem", None) or "it can not be read"
        msg = f"{path.name}:{mark.line + 1 if mark else 1}: is not YAML ({problem})"
        raise error(masked(msg)) from None  # its own text repeats the line, with what may be secret in it
    except (ValueError, RecursionError) as fault:  # a date such as 2026-02-30, or brackets without an end
        msg = f"{path.name}: holds what is no value ({fault})"
        raise error(masked(msg)) from None
    return data, lines


def describe(
    path: Path,
    error: ValidationError,
    lines: Mapping[At, int],
    allowed: Iterable[str],
    *,
    discriminators: Container[str | int] = (),
) -> str:
    """The faults that a model found, a line each with file, line and key.

    `allowed` are the keys of the file's top level; `discriminators` are parts of a fault's place that are no keys of
    the file, but the kinds by which models are told apart.
    """
    out = []
    for fault in error.errors(include_url=False, include_input=False):
        at = tuple(part for part in fault["loc"] if part != "[key]" and part not in discriminators)
        line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), 1)
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "unknown key" + (f"; allowed: {', '.join(sorted(allowed))}" if len(at) == 1 else "")
        text = masked(text)
        out.append(f"{path.name}:{line}: {_dotted(at)}: {text}" if at else f"{path.name}:{line}: {text}")
    return "\n".join(out)


def _refuse_expansions(path: Path, root: yaml.Node | None, error: type[UsageError]) -> None:
    """`error` where aliases (&name ... *name) make a short file a huge one, or a part of it hold itself."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        if id(node) not in sizes:
            sizes[id(node)] = 0  # while its parts are counted
            parts = [] if isinstance(node, yaml.ScalarNode) else node.value
            if isinstance(node, yaml.MappingNode):
                parts = chain.from_iterable(parts)
            sizes[id(node)] = 1 + sum(map(size, parts))
        elif not sizes[id(node)]:
            msg = f"{path.name}:{node.start_mark.line + 1}: a part of it holds itself (&name ... *name)"
            raise error(msg)
        return sizes[id(node)]

    whole = 0 if root is None else size(root)
    if whole > max(LARGEST_EXPANSION, 2 * len(sizes)):
        values = f"{whole:,} values of {len(sizes):,}"
        msg = f"{path.name}: its aliases (&name ... *name) make {values}; write it without them"
        raise error(msg)


def _walk(path: Path, node: yaml.Node | None, prefix: At, lines: Lines, error: type[UsageError]) -> None:
    """Add the line of every key to `lines`; YAML itself would take the last of two equal keys, and read 010 as 8."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # constructing refuses such a key
            at = (*prefix, key.value)
            if at in lines:
                msg = f"{path.name}:{key.start_mark.line + 1}: {_dotted(at)} stands twice (also in line {lines[at]})"
                raise error(msg)
            lines[at] = key.start_mark.line + 1
            _walk(path, key, at, lines, error)
            _walk(path, value, at, lines, error)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[*prefix, index] = value.start_mark.line + 1
            _walk(path, value, (*prefix, index), lines, error)
    elif isinstance(node, yaml.ScalarNode) and node.tag in _NUMBERS and not _DECIMAL.fullmatch(node.value):
        read = yaml.SafeLoader("").construct_object(node)
        msg = (
            f"{path.name}:{node.start_mark.line + 1}: {_dotted(prefix)}: YAML reads {node.value} as {read}; write a "
            "number in decimal digits, and put what is no number in quotes"
        )
        raise error(msg)


def _dotted(at: At) -> str:
    """The key's path; a URL that stands where a key should may hold a password."""
    return masked(".".join(map(str, at)))
