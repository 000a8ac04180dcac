"""Columns that name people, hashed or dropped before a row is stored, in a dump and in what earlier dumps stored.

Hashes are those of core/hashing.py, so one person has one hash in every table, month and site.
"""

from collections.abc import Collection, Mapping, Sequence

import polars as pl
import pyarrow as pa

from usage_assets.core.hashing import hashes, salt_of
from usage_assets.sites.sql import PersonalRule
from usage_assets.specs.raw_table import RawTable


class Redactor:
    """What a site's file wants hidden, applied to rows on their way in; columns are named `<raw table>.<column>`.

    `keeps`: columns of which the texts that match a pattern stay as they are. `reduces`: columns of which a part is
    kept in place of a hash, and the SQL of that part.
    """

    def __init__(
        self,
        site: str,
        rules: Mapping[str, PersonalRule],
        *,
        keeps: Mapping[str, str] | None = None,
        reduces: Mapping[str, str] | None = None,
    ) -> None:
        self.rules = dict(rules)
        self.reduced = {column: sql for column, sql in (reduces or {}).items() if self.rules.get(column) == "hash"}
        self._hashed = {column for column, rule in self.rules.items() if rule == "hash"} - set(self.reduced)
        self._salt = salt_of(site, "personal asks for hashes") if self._hashed else ""
        self._keeps = dict(keeps or {})
        self._memo: dict[str, dict[str, str | None]] = {}

    def read(self, raw: RawTable, names: Sequence[str]) -> list[str]:
        """Of a table's columns those that are read at all: what is dropped does not leave its source."""
        return [name for name in names if self.rules.get(f"{raw.name}.{name}") != "drop"]

    def redact(self, raw: RawTable, rows: pa.Table) -> pa.Table:
        """The rows (all columns text) with hashes in place of what is to be hashed."""
        for index, name in enumerate(rows.column_names):
            column = f"{raw.name}.{name}"
            if column in self._hashed:
                encoded = rows.column(index).combine_chunks().dictionary_encode()
                texts = encoded.dictionary.to_pylist()
                new = self.hidden(column, texts)
                values = pa.array([new[text] for text in texts], pa.string())
                rows = rows.set_column(index, name, values.take(encoded.indices))
        return rows

    def sql(self, raw: RawTable, name: str) -> str | None:
        """SQL of the column's value where hiding it takes more than a hash; None where it does not."""
        return self.reduced.get(f"{raw.name}.{name}")

    def hidden(self, column: str, texts: Collection[str]) -> dict[str, str | None]:
        """What each text of a column is stored as; null where its hash would mislead."""
        keeps = self._keeps.get(column)
        known = self._memo.setdefault("" if keeps is None else column, {})
        fresh = [text for text in texts if text not in known]
        if fresh:
            hashed: dict[str, str | None] = dict(hashes(fresh, self._salt))
            if keeps is not None:
                matching = pl.Series([*fresh, *hashed.values()], dtype=pl.String)
                kept = set(matching.filter(matching.str.contains(keeps)))
                # hexadecimal digits that happen to match would pass for a text that is kept
                hashed = {
                    text: text if text in kept else None if value in kept else value for text, value in hashed.items()
                }
            known |= hashed
        return known

    def stored(self, column: str, texts: Collection[str]) -> list[str]:
        """What values that an operator names may be stored as: as they are, and hidden."""
        if self.rules.get(column) != "hash":
            return list(texts)
        hidden = self.hidden(column, texts)
        return [*texts, *(new for text in texts if (new := hidden[text]) is not None)]
