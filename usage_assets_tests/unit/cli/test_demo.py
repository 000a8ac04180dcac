"""`usage-assets demo`: sites beside each other, one worst code, an interrupt that ends all."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from usage_assets.cli import demo
from usage_assets.cli.app import app
from usage_assets.demo.make import DEMOS


def test_sites_are_shared_out_between_two_processes_and_each_is_in_one():
    assert demo.shared_out(DEMOS, 2) == [["demo_metal", "demo_edge", "demo_service"], ["demo_pool", "demo_kvm"]]
    assert demo.shared_out(DEMOS, 1) == [["demo_metal", "demo_pool", "demo_kvm", "demo_service", "demo_edge"]]
    assert demo.shared_out(["demo_kvm"], 8) == [["demo_kvm"]]
    assert demo.shared_out(["demo_kvm", "demo_metal"], 8) == [["demo_metal"], ["demo_kvm"]]


def test_sites_that_are_named_are_built_by_this_very_process(monkeypatch: pytest.MonkeyPatch):
    built: list[list[str]] = []

    def build(sites, *_) -> int:
        built.append(sorted(sites))
        return 0

    monkeypatch.setattr(demo, "_build", build)
    monkeypatch.setattr(demo, "_build_beside", lambda *_: pytest.fail("processes of processes"))
    done = CliRunner().invoke(app, ["demo", "--site", "demo_metal", "--site", "demo_edge"])
    assert (done.exit_code, done.output, built) == (0, "", [["demo_edge", "demo_metal"]])


def test_a_site_that_is_no_demo_site_is_said():
    done = CliRunner().invoke(app, ["demo", "--site", "chi_tacc"])
    assert done.exit_code == 2
    assert "no demo site chi_tacc; there are" in " ".join(done.output.replace("│", "").split())


def test_the_worst_code_of_all_processes_counts_and_their_lines_are_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    real = subprocess.Popen

    def start(command, **more):
        name = command[-1]
        return real([sys.executable, "-c", f"print('[{name}] built'); raise SystemExit(len('{name}'))"], **more)

    monkeypatch.setattr(demo.subprocess, "Popen", start)
    assert demo._build_beside([["a"], ["bbb"]], 1) == 3
    assert sorted(capsys.readouterr().out.splitlines()) == ["[a] built", "[bbb] built"]


def test_an_interrupt_ends_all_processes(monkeypatch: pytest.MonkeyPatch):
    real = subprocess.Popen
    started: list[Any] = []

    def start(command, **more):
        code = "import time; print('here', flush=True); time.sleep(60)"
        started.append(real([sys.executable, "-c", code], **more))
        return started[-1]

    both = threading.Barrier(2, timeout=60)

    def interrupted(process, _):
        assert process.stdout.readline() == "here\n"  # one that is only starting ends with another code
        if both.wait() == 0:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(demo.subprocess, "Popen", start)
    monkeypatch.setattr(demo, "_pass_on", interrupted)
    assert demo._build_beside([["a"], ["b"]], 1) == 130
    assert [process.returncode for process in started] == [-signal.SIGINT] * 2
