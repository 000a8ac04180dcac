"""What a tick found, compared with what was told: the net change of every cause.

A check that fails and holds again before anybody was told is not told at all: nothing is wrong.
"""

from collections.abc import Iterator

from usage_assets.alerts.causes import ERROR, RECOVERED, WARN, Cause, Trouble, Verdict
from usage_assets.alerts.state import Item, State

_Known = dict[Cause, tuple[Trouble, str]]


class Ledger:
    """The causes that were told, and those that are to be."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._told: dict[tuple[str, str], _Known] = {}
        self._now: dict[tuple[str, str], _Known] = {}
        self._cleared_by: dict[Cause, str] = {}
        self._notices: list[Trouble] = []

    def known(self, asset: str, what: str) -> _Known:
        """The troubles of an asset's check as they stand now."""
        key = (asset, what)
        if key not in self._now:
            self._told[key] = self._state.known(asset, what)
            self._now[key] = dict(self._told[key])
        return self._now[key]

    def add(self, verdict: Verdict) -> None:
        """Take in what a look has found."""
        known = self.known(verdict.asset, verdict.what)
        for cause in [cause for cause in known if verdict.clears(cause)]:
            del known[cause]
            self._cleared_by[cause] = verdict.ref
        for cause, trouble in verdict.troubles.items():
            known[cause] = (trouble, trouble.fingerprint)

    def forget(self, cause: Cause) -> None:
        """Drop a cause that can't be looked at any more, without a word."""
        self.known(cause.asset, cause.what).pop(cause, None)
        self._told[cause.asset, cause.what].pop(cause, None)
        self._state.drop_cause(cause)

    def notice(self, trouble: Trouble) -> None:
        """Tell something that neither lasts nor recovers."""
        self._notices.append(trouble)

    def settle(self, at: float) -> int:
        """Note what changed as told and put it into the outboxes; how many causes did."""
        changes = list(self._changes())
        for old, new in changes:
            if new is not None:
                self._state.keep_cause(new, at)
            elif old is not None:
                self._state.drop_cause(old.cause)
        changes += [(None, trouble) for trouble in self._notices]
        for channel, takes_warnings in self._state.channels().items() if changes else ():
            for old, new in changes:
                item = self._item(old, new, at, takes_warnings=takes_warnings)
                if item is not None:
                    self._state.put(channel, item)
        return len(changes)

    def _changes(self) -> Iterator[tuple[Trouble | None, Trouble | None]]:
        """What was told and what is to be told of each cause that changed."""
        for key, now in self._now.items():
            told = self._told[key]
            for cause, (trouble, fingerprint) in now.items():
                if cause not in told or told[cause][1] != fingerprint:
                    yield (told[cause][0] if cause in told else None), trouble
            for cause, (trouble, _) in told.items():
                if cause not in now:
                    yield trouble, None

    def _item(self, old: Trouble | None, new: Trouble | None, at: float, *, takes_warnings: bool) -> Item | None:
        """What a channel is told of a change; one without warnings hears of an error that became one as recovered."""
        if new is not None and (takes_warnings or new.severity == ERROR):
            return Item(new.cause, new.severity, new.text, new.ref, new.sample, at, was=old.severity if old else "")
        if old is None or (not takes_warnings and old.severity == WARN):
            return None
        ref = new.ref if new is not None else self._cleared_by.get(old.cause, "")
        return Item(old.cause, RECOVERED, old.text, ref, "", at, was=old.severity)
