"""Display names of GPU models, and the family of models that one belongs to."""

import re
from collections.abc import Iterable, Mapping

UNKNOWN = "Unknown"
"""Name of a device, a memory size or a user that is not known."""

# the maker, its brands, and how a board is built in: none of them distinguishes two models of a pool
_NOISE = re.compile(r"(?:nvidia|tesla|geforce|corporation|gpu|graphics|pcie?|sxm\d*|hbm\d*e?)", re.IGNORECASE)
_SPLIT = re.compile(r"[\s_-]+")
_WORD = re.compile(r"[a-z0-9.]+")


def display_name(device: str | None, names: Mapping[str, str]) -> str:
    """The short name of a model: the site's own, else the device's name without maker, brand and form factor."""
    raw = (device or "").strip()
    if not raw:
        return UNKNOWN
    if raw in names:
        return names[raw]
    words = [word for word in _SPLIT.split(raw) if word and not _NOISE.fullmatch(word)]
    return " ".join(words) or raw


def words(text: str) -> tuple[str, ...]:
    """The words of a name, in small letters."""
    return tuple(_WORD.findall(text.lower()))


def in_family(name: str, families: Iterable[str]) -> bool:
    """Whether the words of a family are in the name, one after another: A40 is in `NVIDIA A40`, not in `RTX A4000`."""
    have = words(name)
    for family in families:
        want = words(family)
        if want and any(have[at : at + len(want)] == want for at in range(len(have) - len(want) + 1)):
            return True
    return False
