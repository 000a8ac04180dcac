"""Values of the environment are checked where they are asked for; secrets may come from a file of their owner."""

import os
from pathlib import Path

import pytest

from usage_assets.core import settings
from usage_assets.core.errors import UsageError


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("USAGE_LOCK_WAIT", "abc", "a number of seconds"),
        ("USAGE_LOCK_WAIT", "-1", "a number of seconds"),
        ("USAGE_STALE_HOURS", "inf", "a number of hours above 0"),
        ("USAGE_STALE_HOURS", "0", "a number of hours above 0"),
        ("USAGE_PICTURES", "some", "auto, all or none"),
    ],
)
def test_a_bad_value_names_variable_value_and_what_to_write_and_stops_nothing_else(
    variable, value, expected, monkeypatch
):
    readers = {
        "USAGE_LOCK_WAIT": settings.lock_wait_seconds,
        "USAGE_STALE_HOURS": settings.stale_hours,
        "USAGE_PICTURES": settings.pictures,
    }
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"{variable} is '{value}'; write {expected}"):
        readers.pop(variable)()
    for reader in readers.values():
        reader()


def test_values_are_read_when_asked_for_and_an_empty_one_is_not_set(monkeypatch, tmp_path):
    monkeypatch.setenv("USAGE_LOCK_WAIT", "0.5")
    assert settings.lock_wait_seconds() == 0.5
    monkeypatch.setenv("USAGE_LOCK_WAIT", "")
    assert settings.lock_wait_seconds() == 600
    monkeypatch.delenv("USAGE_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert settings.backups_dir() == tmp_path / "data" / "backups"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "secrets"
    path.write_text("DB_PASSWORD=from the file\n", encoding="utf-8")
    path.chmod(0o600)
    monkeypatch.setenv("USAGE_SECRETS", str(path))
    return path


def test_a_secret_that_nothing_names_is_none(monkeypatch):
    monkeypatch.delenv("USAGE_SECRETS", raising=False)
    assert settings.secret("DB_PASSWORD") is None


def test_a_secret_comes_from_the_file(file):
    assert settings.secret("DB_PASSWORD") == "from the file"
    assert settings.secret("OTHER") is None


def test_the_environment_wins_even_where_it_is_empty(file, monkeypatch):
    monkeypatch.setenv("DB_PASSWORD", "from the environment")
    assert settings.secret("DB_PASSWORD") == "from the environment"
    monkeypatch.setenv("DB_PASSWORD", "")
    assert settings.secret("DB_PASSWORD") == ""


def test_a_changed_file_counts_at_once(file):
    assert settings.secret("DB_PASSWORD") == "from the file"
    file.write_text("DB_PASSWORD=changed\n", encoding="utf-8")
    assert settings.secret("DB_PASSWORD") == "changed"


def test_lines_may_be_quoted_or_remarks_and_a_value_keeps_its_signs(file):
    file.write_text(
        "\n# a remark\nA = plain # no remark \nB='two words'\nC=\"it's\"\nD=a=b#c\nE='\nF=\n", encoding="utf-8"
    )
    names = ("A", "B", "C", "D", "E", "F")
    assert [settings.secret(name) for name in names] == ["plain # no remark", "two words", "it's", "a=b#c", "'", ""]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o700])
def test_a_file_that_others_may_read_is_refused_and_nothing_of_it_is_said(file, mode):
    file.chmod(mode)
    with pytest.raises(UsageError, match=rf"mode {mode:04o}.*chmod 600") as error:
        settings.secret("DB_PASSWORD")
    assert "from the file" not in str(error.value)


def test_a_file_that_can_only_be_read_will_do(file):
    file.chmod(0o400)
    assert settings.secret("DB_PASSWORD") == "from the file"


@pytest.mark.parametrize(
    ("text", "said"), [("A=1\nhunter2\n", "line 2 of .* is not NAME=value"), ("A=1\nA=hunter2\n", "names A a second")]
)
def test_a_line_that_cant_be_read_is_named_by_its_number_only(file, text, said):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as error:
        settings.secret("DB_PASSWORD")
    assert "hunter2" not in str(error.value)


def test_a_file_that_is_not_there_is_an_error_not_an_empty_one(file):
    file.unlink()
    with pytest.raises(UsageError, match="can't be read"):
        settings.secret("DB_PASSWORD")


def test_a_folder_or_a_pipe_is_refused_without_waiting(file):
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match="no regular file"):
        settings.secret("DB_PASSWORD")
    file.rmdir()
    os.mkfifo(file, 0o600)
    with pytest.raises(UsageError, match="no regular file"):
        settings.secret("DB_PASSWORD")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(file):
    os.chown(file, 12345, -1)
    with pytest.raises(UsageError, match="belongs to another user"):
        settings.secret("DB_PASSWORD")


def test_bytes_that_are_no_text_are_refused(file):
    file.write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        settings.secret("A")
