"""Files of GPU pools -> sites, with their lists of hosts."""

import json
import os
from pathlib import Path

import pytest

from usage_assets.core.errors import SiteError
from usage_assets.kinds.htcondor.site.model import HTCondorSite
from usage_assets.kinds.site_files import load_site

GOOD = "kind: htcondor\nsnapshots: pool\n"


def site_of(folder: Path, text: str = GOOD) -> HTCondorSite:
    path = folder / "gpus.yaml"
    path.write_text(text, encoding="utf-8")
    site = load_site(path)
    assert isinstance(site, HTCondorSite)
    return site


def test_what_is_not_said_has_defaults(tmp_path: Path):
    site = site_of(tmp_path)
    assert (site.key, site.poll_minutes, site.counted_minutes, site.bucket_minutes) == ("gpus", 15, 15, 1440)
    (snapshots,) = site.snapshots
    assert snapshots.path("gpus") == tmp_path / "pool"
    assert snapshots.files == ("gpu_state_{month}.db", "gpu_state_{month}.parquet")
    assert (site.pool().timezone, site.pool().hosted, site.pool().masked) == ("UTC", frozenset(), {})


def test_folders_are_expanded_when_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = GOOD.replace("pool", "[{folder: '${POOL_DIR}/a', files: 'x_{month}*.parquet'}, /b, '${USAGE_DATA}/c']")
    site = site_of(tmp_path, text)
    with pytest.raises(SiteError, match="the environment has no POOL_DIR"):
        site.snapshots[0].path("gpus")
    monkeypatch.setenv("POOL_DIR", "/elsewhere")
    assert [str(each.path("gpus")) for each in site.snapshots] == ["/elsewhere/a", "/b", str(tmp_path / "data" / "c")]
    assert site.snapshots[0].files == ("x_{month}*.parquet",)


def test_the_pool_has_what_the_file_says(tmp_path: Path):
    site = site_of(
        tmp_path,
        GOOD + "poll_minutes: 5\nbucket_minutes: 30\ntimezone: Europe/Berlin\nhosted: [a, b.x.edu]\n"
        "masked: {c: broken}\nfiltered_devices: [K80]\nflagship: [B200]\n"
        "memory_bands: [{below: 20, label: small}, {label: big}]\ndisplay_names: {NVIDIA X: X}\n",
    )
    pool = site.pool()
    assert (pool.poll_minutes, pool.bucket_minutes, pool.timezone) == (5, 30, "Europe/Berlin")
    assert (pool.is_hosted("b"), pool.is_hosted("ab"), pool.mask_reason("C.x.edu")) == (True, False, "broken")
    assert (pool.filtered, pool.flagship, pool.band(10240), pool.band(10**6)) == (("K80",), ("B200",), "small", "big")
    assert pool.display_name("NVIDIA X") == "X"


@pytest.mark.parametrize(
    "said",
    [
        {"h1": "broken", "h2.x.edu": "on loan"},
        {"h1": {"reason": "broken", "since": "2025-01"}, "h2.x.edu": {"reason": "on loan"}},
        [{"host": "h1", "reason": "broken"}, {"hostname": "h2.x.edu", "reason": "on loan"}],
        [{"h1": "broken"}, {"h2.x.edu": "on loan"}],
        {"masked_hosts": [{"host": "h1", "reason": "broken"}, {"name": "h2.x.edu", "reason": "on loan"}]},
        {"masked": {"h1": "broken", "h2.x.edu": {"reason": "on loan"}}},
    ],
)
def test_every_documented_form_of_masks_is_taken_from_json_and_yaml(tmp_path: Path, said):
    expected = {"h1": "broken", "h2.x.edu": "on loan"}
    (tmp_path / "masks.json").write_text(json.dumps(said, indent=1))
    assert site_of(tmp_path, GOOD + "masked: {file: masks.json}\n").masked_hosts() == expected
    assert site_of(tmp_path, GOOD + f"masked: {json.dumps(said)}\n").masked_hosts() == expected
    assert site_of(tmp_path, GOOD + "masked: {file: masks.json}\n").files == (tmp_path / "masks.json",)


def test_hosts_without_a_reason_have_none(tmp_path: Path):
    assert site_of(tmp_path, GOOD + "masked: [h1, h2]\n").masked_hosts() == dict.fromkeys(
        ("h1", "h2"), "no reason given"
    )
    (tmp_path / "empty.yaml").write_text("# nobody\n")
    assert site_of(tmp_path, GOOD + "masked: {file: empty.yaml}\n").masked_hosts() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("h1: {since: 2025}\n", "masks.yaml:1: the entry has no reason, only since"),
        ("- host: h1\n- reason: broken\n  since: 1\n", "masks.yaml:2: an entry names one host and its reason"),
        ("h1: a\nh2: b\nH1: c\n", "masks.yaml:3: H1 is masked twice|masks.yaml:1: H1 is masked twice"),
        ("h1: [a]\n", "masks.yaml:1: a reason is a text, not a list"),
        ("just a text\n", "a text is no list of masked hosts"),
        ("5\n", "a int is no list of masked hosts"),
        ("'*.x.edu': all\n", "names are matched as a whole"),
        ("../../etc: x\n", "is no host name"),
        ("h1: a\nh1: b\n", "masks.yaml:2: h1 stands twice"),
        ("h1: [\n", "is not YAML"),
    ],
)
def test_another_form_is_refused_with_file_and_line(tmp_path: Path, text: str, said: str):
    (tmp_path / "masks.yaml").write_text(text)
    with pytest.raises(SiteError, match=said):
        site_of(tmp_path, GOOD + "masked: {file: masks.yaml}\n").masked_hosts()


def test_hosted_machines_stand_one_per_line(tmp_path: Path):
    (tmp_path / "hosted.txt").write_text("# ours\nh1\n\n h2.x.edu # lent\r\nh1\n")
    site = site_of(tmp_path, GOOD + "hosted: {file: hosted.txt}\n")
    assert site.hosted_hosts() == ("h1", "h2.x.edu")
    (tmp_path / "hosted.txt").write_text("h1\nh2 h3\n")
    with pytest.raises(SiteError, match=r"hosted.txt:2: 'h2 h3' is no host name"):
        site.pool()
    (tmp_path / "hosted.txt").unlink()
    with pytest.raises(SiteError, match=r"hosted.txt: can't be read"):
        site.pool()
    (tmp_path / "hosted.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(SiteError, match="is not UTF-8"):
        site.pool()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("timezone: Mars/Olympus", "gpus.yaml:3: timezone: 'Mars/Olympus' is no time zone"),
        ("timezone: ../../etc/passwd", "is no time zone"),
        ("timezone: ''", "is no time zone"),
        ("poll_minutes: 0", "poll_minutes"),
        ("bucket_minutes: 7", "7 does not divide a day"),
        ("hosted: h1", "expected a list of hosts"),
        ("hosted: [1]", "1 is no host name"),
        ("masked: [[h1]]", "is no host name"),
        ("masked: {h1: [x]}", "a reason is a text"),
        ("memory_bands: {44: small}", "expected a list such as"),
        ("memory_bands: [{below: 44, label: a}]", "bands stand in order"),
        ("memory_bands: [{below: 44, label: a}, {below: 40, label: b}, {label: c}]", "bands stand in order"),
        ("known_gaps: [{source: nova_instances, to: 2025-01-01}]", "there is gpu_state"),
        ("databases: {nova: 'sqlite://'}", "unknown key; allowed: annotations, bucket_minutes"),
        ("filtered_devices: ['']", "filtered_devices"),
    ],
)
def test_a_value_that_means_nothing_is_refused_with_its_line(tmp_path: Path, line: str, said: str):
    with pytest.raises(SiteError) as error:
        site_of(tmp_path, f"{GOOD}{line}\n")
    assert said in str(error.value)
    assert str(error.value).startswith("gpus.yaml:3: ")


@pytest.mark.parametrize(
    ("snapshots", "said"),
    [
        ("[]", "at least 1 item"),
        ("''", "names no folder"),
        ("5", "snapshots.0"),
        ("{folder: a, files: gpu_state.db}", "must hold {month} once"),
        ("{folder: a, files: '../{month}.db'}", "names a folder"),
        ("{folder: a, files: []}", "at least 1 item"),
        ("'pool/{month}'", "belongs into the names of files"),
        ("{folder: a, pattern: b}", "unknown key"),
    ],
)
def test_snapshots_that_name_nothing_are_refused(tmp_path: Path, snapshots: str, said: str):
    with pytest.raises(SiteError) as error:
        site_of(tmp_path, f"kind: htcondor\nsnapshots: {snapshots}\n")
    assert said in str(error.value)


def test_lists_of_hosts_repeat_no_url_and_are_not_waited_for(tmp_path: Path):
    url = "mysql://u:S3cr3t-88@h/d"
    for text in (f"- {url}\n", f"{url}: [a]\n", f"a: ['{url}']\n", f"'{url}\n", f"- {{host: a, reason: [{url}]}}\n"):
        (tmp_path / "masks.yaml").write_text(text)
        with pytest.raises(SiteError) as error:
            site_of(tmp_path, GOOD + "masked: {file: masks.yaml}\n").masked_hosts()
        assert "S3cr3t" not in str(error.value)
    (tmp_path / "hosted.txt").write_text(f"{url}\n")
    with pytest.raises(SiteError, match=r"hosted\.txt:1: .*is no host name") as error:
        site_of(tmp_path, GOOD + "hosted: {file: hosted.txt}\n").hosted_hosts()
    assert "S3cr3t" not in str(error.value)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(SiteError, match=r"pipe\.yaml: is no regular file"):
        site_of(tmp_path, GOOD + "masked: {file: pipe.yaml}\n").masked_hosts()
