"""Ids of GPUs in snapshots: `GPU-1a2b3c4d`, `MIG-GPU-5c89/7/0`, `CUDA0`; and lists of several."""

import re
from collections.abc import Iterable

import polars as pl

ID = r"^[A-Za-z0-9][A-Za-z0-9_.:/+-]*$"
"""Pattern of an id: one word, of any maker of GPUs."""
NO_ID = ("undefined", "error", "none", "null", "nan")
"""Words that programs write where there is no value."""


def is_id(text: pl.Expr) -> pl.Expr:
    """Whether a text, without blanks around it, is the id of one GPU."""
    return text.str.contains(ID) & ~text.str.to_lowercase().is_in(NO_ID)


def ids_of(text: str) -> tuple[str, ...]:
    """The ids that a text names, an id or several with commas between; none where it is neither."""
    parts = [part.strip() for part in text.split(",")]
    found = tuple(dict.fromkeys(part for part in parts if part))
    return found if all(re.match(ID, part) and part.lower() not in NO_ID for part in found) else ()


def lists_of(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Texts that are lists of several ids, or an id with commas or blanks around it -> the ids."""
    found = ((text, ids_of(text)) for text in texts if "," in text)
    return {text: ids for text, ids in found if ids}
