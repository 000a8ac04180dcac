"""A pool that is asked through the bindings of HTCondor, or through any other object with the same method."""

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from usage_assets.core.errors import SiteError, SourceError
from usage_assets.core.text import printable
from usage_assets.kinds.htcondor.collect.ads import PREFIX, Slot, spelled
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.sites.base import expand

INSTALL = "pip install 'htcondor>=23.0'"
"""The same as the extra `htcondor` of this package, from a checkout and from a wheel alike."""
_BINDINGS = (("htcondor2", "classad2"), ("htcondor", "classad"))
_MOST_TEXT = 300


class Pool(Protocol):
    """A source of the slots of a pool."""

    def slots(self, constraint: str, attributes: Sequence[str]) -> list[Slot]:
        """The slots that meet a condition; SourceError, without any secret, where it does not answer."""


def bindings() -> tuple[ModuleType, ModuleType]:
    """The bindings, and those of ClassAds; SourceError says how they are installed."""
    for names in _BINDINGS:
        try:
            pool, ads = map(importlib.import_module, names)
        except ImportError:
            continue
        return pool, ads
    msg = f"the bindings of HTCondor are not installed; run: {INSTALL}"
    raise SourceError(msg)


class CondorPool:
    """The collectors of a site's file, asked in their order until one answers."""

    def __init__(self, site: HTCondorSite) -> None:
        assert site.collector is not None
        self.site = site
        self.collectors = site.collector.pool
        self.condor, self.classad = bindings()
        if site.collector.constraint is not None:
            try:
                self.classad.ExprTree(site.collector.constraint)
            except Exception as error:  # the bindings' own, of either version
                msg = f"site {site.key}: collector: constraint {site.collector.constraint!r} is no ClassAd expression"
                raise SiteError(msg) from error

    def slots(self, constraint: str, attributes: Sequence[str]) -> list[Slot]:
        """The slots that meet a condition."""
        failed = []
        kinds = getattr(self.condor, "AdTypes", None) or self.condor.AdType
        for name in self.collectors:
            address = expand(name, where=f"site {self.site.key}: collector")
            try:
                collector = self.condor.Collector(address)
                found = collector.query(kinds.Startd, constraint=constraint, projection=list(attributes))
                return [plain(ad, attributes) for ad in found]
            except Exception as error:  # the bindings raise any type of error, and only a poll is lost
                text = str(error).replace(address, name) or type(error).__name__
                failed.append(f"{name}: {printable(' '.join(text.split()))[:_MOST_TEXT]}")
        msg = (
            f"site {self.site.key}: the pool does not answer ({'; '.join(failed)}). Look at collector in the site's "
            "file, the network, and whether this machine may read the pool (condor_status -pool HOST)"
        )
        raise SourceError(msg)


def plain(ad: Any, attributes: Sequence[str]) -> dict[str, object]:
    """The attributes of a ClassAd as values; what is undefined or an error is null."""
    return {name: _value(ad, name) for name in attributes}


def _value(ad: Any, name: str) -> object:
    value = ad.get(name)
    if _is_expression(value):
        names = _listed(value)
        value = ad.eval(name) if names is None else names
    if isinstance(value, (list, tuple)):
        return [_gpu(ad, each) for each in value]
    return None if _is_nothing(value) or _is_ad(value) else value


def _listed(expression: Any) -> list[str] | None:
    """The names in a list that was not evaluated: `{ GPUs_GPU_1, GPUs_GPU_2 }`."""
    text = str(expression).strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    return [name for part in text[1:-1].split(",") if (name := part.strip().strip('"'))]


def _gpu(ad: Any, value: Any) -> object:
    """An element of a list of GPUs: the id where the ad has its properties, else the name as it is."""
    name = str(value).strip() if _is_expression(value) else value
    if not isinstance(name, str):
        return name.get("Id") if _is_ad(name) else None if _is_nothing(name) else name
    properties: Any = ad.get(name) if name.startswith(PREFIX) else None
    found = properties.get("Id") if properties is not None and _is_ad(properties) else None
    return found if isinstance(found, str) and spelled(found) == name.removeprefix(PREFIX) else name


def _is_expression(value: object) -> bool:
    return type(value).__name__ == "ExprTree"


def _is_ad(value: object) -> bool:
    return type(value).__name__ == "ClassAd" or isinstance(value, Mapping)


def _is_nothing(value: object) -> bool:
    return value is None or type(value).__name__ == "Value"
