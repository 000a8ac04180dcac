"""YAML files of an operator: the mapping, the line of every key, and faults that name file, line and key."""

import re
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from usage_assets.errors import UsageError

_PASSWORD = re.compile(r"(://[^\s/@:]*:)[^@]*@")
At = tuple[str | int, ...]
Lines = dict[At, int]


def parse(path: Path, text: str, error: type[UsageError], *, help_at: str) -> tuple[dict[str, Any], Lines]:
    """The file's mapping and the line of each key path; `error` of a file that is no YAML or names a key twice."""
    data, lines = parse_any(path, text, error)
    if not isinstance(data, dict):
        msg = f"{path.name}:1: expected keys and values, found {type(data).__name__}; see {help_at}"
        raise error(msg)
    return data, lines


def parse_any(path: Path, text: str, error: type[UsageError]) -> tuple[Any, Lines]:
    """The same of a file whose content may be of any shape."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        msg = f"{path.name}:{line}: is not YAML ({getattr(fault, 'problem', None) or 'it can not be read'})"
        raise error(msg) from None  # its own text repeats the line, with what may be secret in it
    except (ValueError, RecursionError) as fault:  # a date such as 2026-02-30, or brackets without an end
        msg = f"{path.name}: holds what is no value ({fault})"
        raise error(msg) from fault
    lines: Lines = {}
    try:
        _walk(path, root, (), lines, error)
    except RecursionError:
        msg = f"{path.name}: a part of it holds itself (&name ... *name)"
        raise error(msg) from None
    return data, lines


def describe(
    path: Path,
    error: ValidationError,
    lines: Mapping[At, int],
    allowed: Iterable[str],
    *,
    unsaid: Container[str | int] = (),
) -> str:
    """What a model found wrong, a line per fault.

    `allowed` are the keys of the file's top level, `unsaid` parts of a fault's place that no key of the file is: the
    kinds by which models are told apart.
    """
    out = []
    for fault in error.errors(include_url=False, include_input=False):
        at = tuple(part for part in fault["loc"] if part != "[key]" and part not in unsaid)
        line = next((lines[at[:n]] for n in range(len(at), 0, -1) if at[:n] in lines), 1)
        text = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = "unknown key" + (f"; allowed: {', '.join(sorted(allowed))}" if len(at) == 1 else "")
        out.append(f"{path.name}:{line}: {_dotted(at)}: {text}" if at else f"{path.name}:{line}: {text}")
    return "\n".join(out)


def _walk(path: Path, node: yaml.Node | None, prefix: At, lines: Lines, error: type[UsageError]) -> None:
    """Note the line of every key; YAML itself would take the last of two equal keys."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            at = (*prefix, key.value)
            if at in lines:
                msg = f"{path.name}:{key.start_mark.line + 1}: {_dotted(at)} stands twice (also in line {lines[at]})"
                raise error(msg)
            lines[at] = key.start_mark.line + 1
            _walk(path, value, at, lines, error)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[*prefix, index] = value.start_mark.line + 1
            _walk(path, value, (*prefix, index), lines, error)


def _dotted(at: At) -> str:
    """The key's path; a URL that stands where a key should may hold a password."""
    return _PASSWORD.sub(r"\1***@", ".".join(map(str, at)))
