"""`usage-assets doctor`: is the installation well, and what is to be done where not."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console

from usage_assets.cli.console import FAILED, OK
from usage_assets.core import clock
from usage_assets.operations.doctor.questions import Answer, Patient, examine
from usage_assets.operations.places import Places

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def show_doctor(console: Console, *, as_json: bool, offline: bool) -> int:
    """One line per answer; FAILED where one is a failure."""
    answers = examine(Patient(Places.here(), clock.utc_now(), offline=offline))
    if as_json:
        found = list(answers)
        console.print_json(json.dumps([asdict(answer) for answer in found]))
    else:
        found = _shown(answers, console)
    return FAILED if any(answer.state == "fail" for answer in found) else OK


def _shown(answers: Iterable[Answer], console: Console) -> list[Answer]:
    found = []
    for answer in answers:
        found.append(answer)
        console.print(f"{answer.state:<4}", style=_COLOURS[answer.state], end="  ")
        do = f" -> {answer.do}" if answer.do else ""
        console.print(f"{answer.question}: {answer.found}{do}", markup=False, soft_wrap=True)
    counts = {state: sum(answer.state == state for answer in found) for state in _COLOURS}
    console.print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed")
    return found
