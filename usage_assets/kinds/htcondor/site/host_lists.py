"""Lists of hosts in a site's file, or in files that it names: hosted machines, and masked ones with their reasons.

A file is read when it is used, so that a changed list counts at the next run. What is not understood is refused: a mask
that is silently empty would count machines that an operator has taken out.
"""

from collections.abc import Mapping
from pathlib import Path

from usage_assets.core.errors import SiteError
from usage_assets.core.text_files import read_text
from usage_assets.core.yaml_files import At, masked, parse_any

_HELP = "docs/adding-a-site.md"
_WRAPPERS = ("masked", "masked_hosts", "hosts")
_NAMES = ("host", "name", "hostname", "machine")
NO_REASON = "no reason given"
FORMS = "{host: reason}, {host: {reason: ...}}, or a list of hosts or of {host: ..., reason: ...}"
_CONTROL = frozenset(map(chr, range(32)))


class FormError(ValueError):
    """Not a list of hosts; `at` is the place of the fault within it."""

    def __init__(self, message: str, at: At = ()) -> None:
        super().__init__(message)
        self.at = at


def host(value: object, at: At = ()) -> str:
    """A host's name: one word, without a path or a pattern."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{value!r} is no host name; put it in quotes if YAML reads it as something else"
        raise FormError(msg, at)
    name = value.strip()
    if len(name) > 253 or any(char.isspace() or char in _CONTROL or char in "*?[]{}\\/" for char in name):
        msg = f"{name[:80]!r} is no host name; names are matched as a whole, without patterns"
        raise FormError(msg, at)
    return name


def masks_of(value: object) -> dict[str, str]:
    """Host -> reason, of every form that is documented; FormError of any other, and of a host that stands twice."""
    if isinstance(value, Mapping) and len(value) == 1:
        (key, inner), *_ = value.items()
        if key in _WRAPPERS and isinstance(inner, (Mapping, list, tuple)) and "reason" not in inner:
            return _masks(inner, (str(key),))
    return _masks(value, ())


def _masks(value: object, at: At) -> dict[str, str]:
    if isinstance(value, Mapping):
        pairs = [_pair(name, reason, (*at, str(name))) for name, reason in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [_entry(entry, (*at, number)) for number, entry in enumerate(value)]
    else:
        msg = f"{_kind(value)} is no list of masked hosts; write {FORMS}"
        raise FormError(msg, at)
    out: dict[str, str] = {}
    for name, reason in pairs:
        if name.lower() in {known.lower() for known in out}:
            msg = f"{name} is masked twice; name it once, with its reason"
            raise FormError(msg, at)
        out[name] = reason
    return out


def _entry(entry: object, at: At) -> tuple[str, str]:
    if not isinstance(entry, Mapping):
        return host(entry, at), NO_REASON
    keys = [key for key in _NAMES if key in entry]
    if len(keys) == 1:
        return host(entry[keys[0]], (*at, keys[0])), _reason(entry.get("reason"), (*at, "reason"))
    if len(entry) == 1 and not keys:  # - host1: reason
        ((name, reason),) = entry.items()
        return _pair(name, reason, (*at, str(name)))
    msg = f"an entry names one host and its reason; write {FORMS}"
    raise FormError(msg, at)


def _pair(name: object, reason: object, at: At) -> tuple[str, str]:
    return host(name, at), _reason(reason, at)


def _reason(value: object, at: At) -> str:
    if isinstance(value, Mapping):
        if "reason" not in value:
            msg = f"the entry has no reason, only {', '.join(map(str, value)) or 'nothing'}; write {FORMS}"
            raise FormError(msg, at)
        return _reason(value["reason"], (*at, "reason"))
    if isinstance(value, (list, tuple)):
        msg = f"a reason is a text, not {_kind(value)}; write {FORMS}"
        raise FormError(msg, at)
    return (" ".join(str(value).split()) if value is not None else "") or NO_REASON


def hosts_of(value: object) -> tuple[str, ...]:
    """Names of a list; FormError where it is none."""
    if not isinstance(value, (list, tuple)):
        msg = f"expected a list of hosts, or {{file: ...}}, found {_kind(value)}"
        raise FormError(msg)
    return tuple(dict.fromkeys(host(name, (number,)) for number, name in enumerate(value)))


def read_hosted(path: Path) -> tuple[str, ...]:
    """The hosts of a file, one per line, # begins a comment; SiteError names file and line of a fault."""
    out = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name:
            try:
                out.append(host(name))
            except FormError as error:
                msg = f"{path.name}:{number}: {error}"
                raise SiteError(masked(msg)) from None
    return tuple(dict.fromkeys(out))


def read_masked(path: Path) -> dict[str, str]:
    """Host -> reason of a YAML or JSON file; SiteError names file and line of a fault."""
    data, lines = parse_any(path, _text(path), SiteError)
    try:
        return {} if data is None else masks_of(data)  # a file of comments masks nobody
    except FormError as error:
        line = next((lines[error.at[:n]] for n in range(len(error.at), 0, -1) if error.at[:n] in lines), 1)
        msg = f"{path.name}:{line}: {error}"
        raise SiteError(masked(msg)) from None


def _text(path: Path) -> str:
    return read_text(path, SiteError, help_at=f"{path}, which the site's file names, and at {_HELP}")


def _kind(value: object) -> str:
    names = {dict: "keys and values", list: "a list", tuple: "a list", str: "a text", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")
