"""`usage-assets doctor`: is the installation well, and what to do where it is not."""

import json
from collections import Counter

from usage_assets.cli.console import FAILED, OK, console
from usage_assets.core import clock
from usage_assets.operations.doctor import examine
from usage_assets.operations.doctor.probes import Installation
from usage_assets.operations.places import Places

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_doctor(*, as_json: bool, offline: bool) -> int:
    """One line per outcome, as soon as it is known; FAILED where one is a failure."""
    outcomes = []
    for outcome in examine(Installation(Places.here(), clock.utc_now(), offline=offline)):
        outcomes.append(outcome)
        if not as_json:
            console.print(f"{outcome.state:<4}", style=_COLOURS[outcome.state], end="  ")
            console.print(f"{outcome.probe}: {outcome.found}{f' -> {outcome.do}' if outcome.do else ''}")
    counts = Counter(outcome.state for outcome in outcomes)
    if as_json:
        console.print_json(json.dumps([outcome.as_dict() for outcome in outcomes]))
    else:
        console.print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")
    return FAILED if counts["fail"] else OK
