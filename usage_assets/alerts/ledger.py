"""The findings of a tick compared with what was reported: the net change of every cause.

A check that fails and passes again before anything was reported is not reported at all.
"""

from collections.abc import Iterator

from usage_assets.alerts.causes import ERROR, RECOVERED, WARN, Cause, Trouble, Verdict
from usage_assets.alerts.state import Item, State

_Known = dict[Cause, tuple[Trouble, str]]


class Ledger:
    """The causes that were reported, and their state after this tick."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._reported: dict[tuple[str, str], _Known] = {}
        self._current: dict[tuple[str, str], _Known] = {}
        self._cleared_by: dict[Cause, str] = {}
        self._notices: list[Trouble] = []

    def known(self, asset: str, check: str) -> _Known:
        """The troubles of an asset's check as they stand now."""
        key = (asset, check)
        if key not in self._current:
            self._reported[key] = self._state.known(asset, check)
            self._current[key] = dict(self._reported[key])
        return self._current[key]

    def add(self, verdict: Verdict) -> None:
        """Take in the result of an evaluation."""
        known = self.known(verdict.asset, verdict.check)
        for cause in [cause for cause in known if verdict.clears(cause)]:
            del known[cause]
            self._cleared_by[cause] = verdict.ref
        for cause, trouble in verdict.troubles.items():
            known[cause] = (trouble, trouble.fingerprint)

    def forget(self, cause: Cause) -> None:
        """Drop a cause that can't be evaluated any more, without reporting it."""
        self.known(cause.asset, cause.check).pop(cause, None)
        self._reported[cause.asset, cause.check].pop(cause, None)
        self._state.drop_cause(cause)

    def notice(self, trouble: Trouble) -> None:
        """Report something that neither lasts nor recovers."""
        self._notices.append(trouble)

    def settle(self, at: float) -> int:
        """Put the changes into the outboxes and note them as reported; how many causes changed."""
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
        """The reported and the new trouble of each cause that changed."""
        for key, current in self._current.items():
            reported = self._reported[key]
            for cause, (trouble, fingerprint) in current.items():
                old, old_fingerprint = reported.get(cause, (None, None))
                if fingerprint != old_fingerprint:
                    yield old, trouble
            yield from ((trouble, None) for cause, (trouble, _) in reported.items() if cause not in current)

    def _item(self, old: Trouble | None, new: Trouble | None, at: float, *, takes_warnings: bool) -> Item | None:
        """Item of a change for a channel; to one without warnings, an error that became a warning has recovered."""
        if new is not None and (takes_warnings or new.severity == ERROR):
            return Item(new.cause, new.severity, new.text, new.ref, new.sample, at, was=old.severity if old else "")
        if old is None or (not takes_warnings and old.severity == WARN):
            return None
        ref = new.ref if new is not None else self._cleared_by.get(old.cause, "")
        return Item(old.cause, RECOVERED, old.text, ref, "", at, was=old.severity)
