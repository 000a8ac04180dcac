"""SiteBook: the sites that can be used, and what is wrong with the files of the others.

One broken file must not take down the others: its site keeps its partitions, and whoever asks for it is told the fault.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from usage_assets.core.errors import SiteError
from usage_assets.sites.base import Site


@dataclass(frozen=True)
class SiteBook(Mapping[str, Site]):
    """The good sites by key, in order; `faults` says by key what is wrong with the file of each other one.

    Asking for a site with a fault raises SiteError with its text; a site that no file names is a KeyError.
    """

    sites: Mapping[str, Site]
    faults: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str | None] = field(default_factory=dict)
    """The kind that the file of a bad site names; None where it names none that there is."""

    @classmethod
    def of(cls, sites: Mapping[str, Site]) -> "SiteBook":
        """The same book, or one of sites without a fault."""
        return sites if isinstance(sites, SiteBook) else cls(sites)

    def __getitem__(self, key: str) -> Site:
        if key in self.faults:
            msg = f"site {key} can't be used until its file is mended: {self.faults[key]}"
            raise SiteError(msg)
        return self.sites[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.sites)

    def __len__(self) -> int:
        return len(self.sites)

    def __contains__(self, key: object) -> bool:
        return key in self.sites

    def of_kind(self, kind: str) -> "SiteBook":
        """The part of the book whose sites are, or may be, of a kind."""
        bad = [key for key, found in self.kinds.items() if found is None or found == kind]
        return SiteBook(
            {key: site for key, site in self.sites.items() if site.kind == kind},
            {key: self.faults[key] for key in bad},
            {key: self.kinds[key] for key in bad},
        )

    def keys_of(self, kind: str) -> list[str]:
        """The partition keys of a kind, sorted: a site whose file broke overnight keeps the months it has."""
        part = self.of_kind(kind)
        return sorted({*part.sites, *part.kinds})
