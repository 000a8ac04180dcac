"""Lists of hosts, matched by whole names: with or without domain, in any case, never by a part of a name."""

from collections.abc import Iterable


class HostList:
    """Names of hosts as an operator lists them.

    A name listed without a domain means the host of that name in any domain; one listed with a domain means that host,
    also where a machine is known by its first label alone. Of several names that match, the most exact one is found.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._listed: dict[str, str] = {}
        self._by_label: dict[str, str] = {}
        for name in sorted(names):
            key = _normal(name)
            if key:
                self._listed.setdefault(key, name)
                self._by_label.setdefault(_label(key), name)

    def find(self, machine: str | None) -> str | None:
        """The listed name that matches this machine; null where none does."""
        key = _normal(machine or "")
        if not key:
            return None
        label = _label(key)
        found = self._listed.get(key) or self._listed.get(label)
        return found if found is not None or "." in key else self._by_label.get(label)

    def __contains__(self, machine: str | None) -> bool:
        return self.find(machine) is not None


def _normal(name: str) -> str:
    return name.strip().rstrip(".").lower()


def _label(name: str) -> str:
    return name.partition(".")[0]
