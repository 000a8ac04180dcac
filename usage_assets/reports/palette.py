"""The colour and symbol of each node type: the same in all plots of a site and in all its months."""

from collections.abc import Iterable
from zlib import crc32

from usage_assets.specs.plot_context import Trace

# told apart by colour-blind readers as colours and in grey print as symbols
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A4B00")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
_PAIRS = [(colour, symbol) for symbol in _SYMBOLS for colour in _COLOURS]


def markers(names: Iterable[str]) -> dict[str, Trace]:
    """A marker per name, no two alike up to 35 names.

    The name alone decides, as long as it meets no other; of names that do, the first in the alphabet keeps its marker.
    So that all plots agree, give every plot all names that the site ever had.
    """
    taken: set[int] = set()
    out: dict[str, Trace] = {}
    for name in sorted(set(names)):
        wanted = crc32(name.encode()) % len(_PAIRS)
        near = ((wanted + step) % len(_PAIRS) for step in range(len(_PAIRS)))
        place = next((place for place in near if place not in taken), wanted)
        taken.add(place)
        colour, symbol = _PAIRS[place]
        out[name] = {"color": colour, "symbol": symbol}
    return out
