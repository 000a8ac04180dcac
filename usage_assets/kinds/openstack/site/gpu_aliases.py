"""PCI aliases of flavors that are GPUs: those of the site's file, else those that contain the word of a GPU."""

import re
from collections.abc import Iterable

_A_NAME = re.compile(r"^[A-Za-z0-9._-]+$")
_MODELS = (
    "a2|a4|a10g?|a16|a30|a40|a100x?|a800|b100|b200|b300|gb200|gb300|gh200|h20|h100|h200|h800|k20[mx]?|k40[mx]?|k80m?|"
    "l2|l4|l20|l40s?|m4|m6|m10|m40|m60|p4|p6|p40|p100|t4g?|v100s?|(?:rtx|gtx)[0-9]*[a-z]*|mi[0-9]{2,3}[ax]?"
)
_WORDS = f"v?gpus?[0-9]*|nvidia|amd|tesla|quadro|geforce|radeon|instinct|titan|(?:{_MODELS})(?:sxm[0-9]?|pcie|nvl)?"
_BY_WORDS = f"(?i)(?:^|[^A-Za-z0-9])(?:{_WORDS})(?:[^A-Za-z0-9]|$)"


def alias_patterns(declared: Iterable[str] | None) -> list[str]:
    """Regular expressions, for Python and polars alike, of which a PCI alias that is a GPU matches one.

    `declared` are the exact names and patterns of a site's file; None where it has none: then words decide, such as
    gpu, nvidia or a known model.
    """
    if declared is None:
        return [_BY_WORDS]
    return [f"^{re.escape(one)}$" if _A_NAME.match(one) else one for one in declared]


def is_gpu_alias(alias: str, declared: Iterable[str] | None) -> bool:
    """Whether a PCI alias counts as a GPU."""
    return any(re.search(pattern, alias) for pattern in alias_patterns(declared))
