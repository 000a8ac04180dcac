"""`usage-assets doctor`: is the installation well, and what is to be done where not."""

import json
from collections.abc import Iterable

from usage_assets.cli.console import FAILED, OK, console
from usage_assets.core import clock
from usage_assets.operations.doctor.probes import Installation, Result, examine
from usage_assets.operations.places import Places

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_doctor(*, as_json: bool, offline: bool) -> int:
    """One line per result; FAILED where one is a failure."""
    results = examine(Installation(Places.here(), clock.utc_now(), offline=offline))
    if as_json:
        found = list(results)
        console.print_json(json.dumps([result.as_dict() for result in found]))
    else:
        found = _shown(results)
    return FAILED if any(result.state == "fail" for result in found) else OK


def _shown(results: Iterable[Result]) -> list[Result]:
    found = []
    for result in results:
        found.append(result)
        console.print(f"{result.state:<4}", style=_COLOURS[result.state], end="  ")
        do = f" -> {result.do}" if result.do else ""
        console.print(f"{result.probe}: {result.found}{do}")
    counts = {state: sum(result.state == state for result in found) for state in _COLOURS}
    console.print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")
    return found
