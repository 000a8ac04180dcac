"""Benchmarks answer --help and refuse what they don't know: a folder called --help was once made and filled."""

import pkgutil
import runpy
import sys

import pytest

import bench

NOT_COMMANDS = {"arguments", "measure", "service_events"}
MODULES = sorted({module.name for module in pkgutil.iter_modules(bench.__path__)} - NOT_COMMANDS - {"__main__"})


@pytest.mark.parametrize("name", ["bench", *(f"bench.{module}" for module in MODULES)])
@pytest.mark.filterwarnings("ignore:'bench:RuntimeWarning")  # runpy's remark on a module that a test imported before
def test_a_benchmark_reads_its_options_before_it_works(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for option, code in (("--help", 0), ("--no-such-option", 2)):
        monkeypatch.setattr(sys, "argv", [name, option])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__")
        assert ended.value.code == code
        assert "usage:" in "".join(capsys.readouterr()).lower()
    assert list(tmp_path.iterdir()) == []
