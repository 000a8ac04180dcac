"""A folder of site files: the good ones load whatever the others hold, and no fault tells a secret."""

import os
from itertools import pairwise
from pathlib import Path
from time import process_time

import pytest

from usage_assets.core.errors import SiteError
from usage_assets.kinds.site_files import load_book, load_sites
from usage_assets_tests.unit.sites.texts import GOOD, cloud, write


def test_every_broken_file_of_a_folder_is_said_at_once(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, "kind: nope\n", "one.yaml")
    write(tmp_path, "kind: nope\n", "two.yaml")
    with pytest.raises(SiteError, match=r"one\.yaml[\s\S]*two\.yaml"):
        load_sites(tmp_path)


def test_a_book_holds_the_good_sites_and_says_the_faults_of_the_others(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD + "colour: red\n", "bad.yaml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert book["chi"].name == "CHI@Somewhere"
    assert "bad" not in book
    assert "bad.yaml:7: colour: unknown key" in book.faults["bad"]
    with pytest.raises(SiteError, match=r"site bad can't be used until its file is mended: bad\.yaml:7"):
        book["bad"]
    with pytest.raises(KeyError):
        book["nobody"]


@pytest.mark.parametrize(
    "text",
    ["kind: openstack\ncolour: red\n", "kind: 'openstack'\na: [\n", "kind: nope\n", ""],
)
def test_a_site_whose_file_broke_keeps_its_partitions(tmp_path: Path, text: str):
    write(tmp_path, GOOD)
    write(tmp_path, text, "bad.yaml")
    write(tmp_path, text, "Never-A-Site.yaml")
    book = load_book(tmp_path)
    assert book.keys_of("openstack") == ["bad", "chi"]
    assert sorted(book.faults) == ["Never-A-Site", "bad"]


def test_a_file_of_another_kind_keeps_no_partition_of_this_one(tmp_path: Path):
    write(tmp_path, "kind: htcondor\n", "other.yaml")
    assert load_book(tmp_path).keys_of("openstack") == []
    assert load_book(tmp_path).keys_of("htcondor") == ["other"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: openstack\nannotations: [{at: 2026-02-30, text: a}]\n", "day"),
        ("kind: " + "[" * 3000, "no value"),
        ("kind: &a [*a]\n", "a part of it holds itself"),
        ("kind: openstack\n? [a, b]\n: c\n", "is not YAML"),
        ("kind: open\x00stack\n", "is not YAML"),
        ("7: a\nkind: openstack\n", "Keys should be strings"),
        ("", "expected keys and values"),
    ],
)
def test_whatever_a_file_holds_its_fault_is_told_and_the_others_load(tmp_path: Path, text: str, said: str):
    write(tmp_path, GOOD)
    write(tmp_path, text, "bad.yaml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert said in book.faults["bad"]
    assert book.faults["bad"].startswith("bad.yaml")


def test_a_file_that_is_no_text_or_can_not_be_read_is_a_fault(tmp_path: Path):
    write(tmp_path, GOOD)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    assert sorted(load_book(tmp_path).faults) == ["bytes", "dangling", "folder"]


def test_a_missing_folder_names_the_setting(tmp_path: Path):
    with pytest.raises(SiteError, match="USAGE_SITES"):
        load_sites(tmp_path / "nowhere")


def test_files_of_editors_are_no_site_files_and_both_suffixes_are(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "other.yml")
    for name in ("._chi.yaml", "#chi.yaml#", "chi.yaml~", ".chi.yaml.swp", "#chi.yaml", ".yaml"):
        write(tmp_path, "junk: [", name)
    (tmp_path / ".#chi.yaml").symlink_to("me@host.1:1")
    book = load_book(tmp_path)
    assert list(book) == ["chi", "other"]
    assert book.faults == {}


def test_two_files_of_one_site_are_a_fault_of_that_site(tmp_path: Path):
    write(tmp_path, GOOD)
    write(tmp_path, GOOD, "two.yaml")
    write(tmp_path, GOOD, "two.yml")
    book = load_book(tmp_path)
    assert list(book) == ["chi"]
    assert book.faults == {"two": "two.yaml and two.yml are both there, one site has one file; take one of them away"}
    assert book.keys_of("openstack") == ["chi", "two"]


def _bomb(levels: int, first: str = "[x,x,x,x,x,x,x,x,x,x]") -> str:
    names = "abcdefghij"[:levels]
    lines = [f"a: &a {first}"]
    lines += [f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]" for old, new in pairwise(names)]
    return "\n".join(lines) + "\n"


def _merges(levels: int) -> str:
    names = "abcdefghij"[:levels]
    lines = ["a: &a {x: 1, y: 2}"]
    lines += [f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 10)}]}}" for old, new in pairwise(names)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("text", [_bomb(10), _bomb(7), _merges(10)])
def test_a_file_that_its_aliases_make_huge_is_refused_at_once_and_the_others_load(tmp_path: Path, text: str):
    write(tmp_path, GOOD)
    write(tmp_path, f"kind: openstack\nname: x\n{text}", "bomb.yaml")
    begun = process_time()
    book = load_book(tmp_path)
    assert process_time() - begun < 1
    assert list(book) == ["chi"]
    assert "bomb.yaml: its aliases (&name ... *name) make" in book.faults["bomb"]


def test_a_few_aliases_are_what_yaml_has_them_for(tmp_path: Path):
    text = GOOD + "node_types: {'^a': &gpu {type: gpu, gpus: 4}, '^b': *gpu}\n"
    assert cloud(tmp_path, text).node_types["^b"].gpus == 4


def test_what_is_no_file_or_a_huge_one_is_refused_at_once_and_the_others_load(tmp_path: Path):
    write(tmp_path, GOOD)
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "device.yaml").symlink_to("/dev/zero")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(10**10)
    begun = process_time()
    book = load_book(tmp_path)
    assert process_time() - begun < 1
    assert list(book) == ["chi"]
    assert book.faults["pipe"].startswith("pipe.yaml: is no regular file")
    assert book.faults["device"].startswith("device.yaml: is no regular file")
    assert book.faults["huge"].startswith("huge.yaml: has 10,000,000,000 bytes, more than")


LEAK = "mysql+pymysql://usage:Lit3ral-Secret-88@127.0.0.1:3306/nova"
KEYS = (
    "kind", "name", "first_month", "databases", "tls", "resolution", "settle_days", "known_gaps", "maintenance",
    "node_types", "utilization_of", "project_names", "hash_names", "personal", "exclusions", "sources",
    "cleaning_minutes", "annotations", "snapshots", "poll_minutes", "timezone", "hosted", "masked", "memory_bands",
    "collector", "reports", "nobody",
)  # fmt: skip
SHAPES = ("{0}", "[{0}]", "'{0}'", "{{'{0}': a}}", "{{a: '{0}'}}", "[{{at: '{0}'}}]", "!{0} a", "*{0}", '"{0}', "[{0}")


@pytest.mark.parametrize("leak", [LEAK, LEAK.replace("Lit3ral", "/?@: Lit3ral"), "https://hooks/Secret-88?t=Lit3ral"])
@pytest.mark.parametrize("key", KEYS)
def test_no_fault_repeats_a_url_whatever_key_it_stands_in(tmp_path: Path, key: str, leak: str):
    for kind in ("openstack", "htcondor"):
        good = GOOD.replace("kind: openstack", f"kind: {kind}")
        rest = "".join(line + "\n" for line in good.splitlines() if not line.startswith((key, "  ")))
        for shape in SHAPES:
            write(tmp_path, f"{rest}{key}: {shape.format(leak)}\n")
            book = load_book(tmp_path)
            assert not [word for word in ("Lit3ral", "Secret-88") if word in " ".join(book.faults.values())], shape
