"""Columns that name people, hashed or dropped before a row is stored, in a dump and in what earlier dumps stored.

Hashes are those of core/hashing.py, so one person has one hash in every table, month and site. A lease name that the
site's file takes for maintenance is an operator's and stays.
"""

from collections.abc import Collection, Sequence

import polars as pl
import pyarrow as pa

from usage_assets.core.hashing import hashes, salt_of
from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.site.personal import LEASE_NAME, SPEC
from usage_assets.specs.raw_table import RawTable

# where a request names its reservation and its flavor; the envelope of versioned objects, or plain
_DATA = '$."nova_object.data"'
SPEC_PATHS = (
    f"{_DATA}.scheduler_hints.reservation",
    "$.scheduler_hints.reservation",
    f'{_DATA}.flavor."nova_object.data".name',
    f'{_DATA}.flavor."nova_object.data".extra_specs',
)


# what a path found lies in an object; where none found anything, the text is parsed once more to see whether it is one
READABLE_SPEC = (
    "CASE WHEN p IS NULL THEN false WHEN coalesce(p[1], p[2], p[3], p[4]) IS NOT NULL THEN true "
    """ELSE coalesce(TRY(json_type(spec, '$."nova_object.data"')) = 'OBJECT', false) """
    "OR TRY(json_type(spec, '$.scheduler_hints')) IS NOT NULL END"
)
"""SQL: whether a request's `spec`, of which `p` holds what SPEC_PATHS found, is an object that says how to schedule."""
_PATHS = ", ".join(f"'{path}'" for path in SPEC_PATHS)
_ENVELOPE = (
    "json_object('nova_object.data', json_object("
    "'scheduler_hints', json_object('reservation', coalesce(nullif(p[1]::VARCHAR, 'null')::JSON, p[2])), "
    "'flavor', json_object('nova_object.data', json_object('name', p[3], 'extra_specs', p[4]))))"
)
# one parse per text, which is what costs; a text that says nothing of either stays one that says nothing
REDUCED_SPEC = (
    f"list_transform([TRY(json_extract(spec, [{_PATHS}]))], lambda p: CASE WHEN p IS NULL THEN NULL "
    f"WHEN {READABLE_SPEC} THEN json_merge_patch('{{}}', {_ENVELOPE})::VARCHAR ELSE '{{}}' END)[1]"
)
"""SQL: of a request's `spec` the reservation and the flavor, all that facts read; null where it is no JSON."""


class Hider:
    """What a site's file wants hidden, applied to rows on their way in."""

    def __init__(self, site: OpenStackSite) -> None:
        self.rules = dict(site.personal)
        hashing = any(rule == "hash" for column, rule in self.rules.items() if column != SPEC)
        self._salt = salt_of(site.key, "personal asks for hashes") if hashing else ""
        maintenance = site.maintenance
        self._keeps = maintenance.lease_name if maintenance is not None else None
        self._memo: dict[str, dict[str, str | None]] = {}

    def read(self, raw: RawTable, names: Sequence[str]) -> list[str]:
        """Of a table's columns those that are read at all: what is dropped does not leave its source."""
        return [name for name in names if self.rules.get(f"{raw.name}.{name}") != "drop"]

    def hide(self, raw: RawTable, rows: pa.Table) -> pa.Table:
        """The rows (all columns text) with hashes in place of what is to be hashed."""
        for index, name in enumerate(rows.column_names):
            column = f"{raw.name}.{name}"
            if self.rules.get(column) == "hash" and column != SPEC:
                encoded = rows.column(index).combine_chunks().dictionary_encode()
                texts = encoded.dictionary.to_pylist()
                new = self.hidden(column, texts)
                values = pa.array([new[text] for text in texts], pa.string())
                rows = rows.set_column(index, name, values.take(encoded.indices))
        return rows

    def sql(self, raw: RawTable, name: str) -> str | None:
        """SQL of the column's value where hiding it takes more than a hash; None where it does not."""
        return REDUCED_SPEC if f"{raw.name}.{name}" == SPEC and self.rules.get(SPEC) == "hash" else None

    def hidden(self, column: str, texts: Collection[str]) -> dict[str, str | None]:
        """What each text of a column (`<raw table>.<column>`) is stored as; null where its hash would mislead."""
        known = self._memo.setdefault("name" if column == LEASE_NAME else "", {})
        fresh = [text for text in texts if text not in known]
        if fresh:
            made: dict[str, str | None] = dict(hashes(fresh, self._salt))
            if column == LEASE_NAME and self._keeps is not None:
                clear = pl.Series(fresh, dtype=pl.String)
                kept = set(clear.filter(clear.str.contains(self._keeps)))
                blind = pl.Series(list(made.values()), dtype=pl.String)
                # hexadecimal digits that happen to match would make a lease one of maintenance
                mistaken = set(blind.filter(blind.str.contains(self._keeps)))
                made = {t: t if t in kept else None if new in mistaken else new for t, new in made.items()}
            known |= made
        return known

    def stored(self, column: str, texts: Collection[str]) -> list[str]:
        """What values that an operator names may be stored as: as they are, and hidden."""
        if self.rules.get(column) != "hash":
            return list(texts)
        hidden = self.hidden(column, texts)
        return [*texts, *(new for text in texts if (new := hidden[text]) is not None)]
