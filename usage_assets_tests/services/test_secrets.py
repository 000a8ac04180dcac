"""No secret is anywhere it should not be: not in what is stored, not in what is logged, not in what is printed."""

import base64
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote

import duckdb
import pytest
from sqlalchemy.engine import URL

from usage_assets_tests import ROOT
from usage_assets_tests.assets.tiny import make_site

SECRETS = {
    "DB_PASSWORD": "zQ7%2Fdb%26secret%20one",  # as a URL has it
    "OTHER_PASSWORD": "zQ7plainsecrettwo",
    "EXPORT_PASSWORD": "zQ7exportsecret3",
    "USAGE_HASH_SALT": "zQ7 salt of hashes 4",
    "SMTP_PASSWORD": "zQ7smtpsecret5",
    "HOOK_TOKEN": "zQ7hooktoken6",
}
ALERTS = """
channels:
  - kind: log
    warnings: true
  - {kind: webhook, url: "http://127.0.0.1:9/${HOOK_TOKEN}", headers: {Authorization: "Bearer ${HOOK_TOKEN}"}}
  - kind: slack
    url: "http://127.0.0.1:9/services/${HOOK_TOKEN}"
  - kind: mail
    to: [ops@example.org]
    from: usage@example.org
    smtp: {host: 127.0.0.1, port: 9, tls: starttls, user: usage, password: "${SMTP_PASSWORD}"}
"""
# all commands in one process: what matters is what they say and leave behind, not how they start
SCRIPT = """
import json, logging, os, sys, traceback
logging.basicConfig(level=logging.DEBUG)
from usage_assets.cli import main
for line in json.loads(sys.argv[1]):
    print("$", *line, flush=True)
    sys.argv = ["usage-assets", *line]
    try:
        main()
    except SystemExit as error:
        print("exit", error.code, flush=True)
    except BaseException:
        traceback.print_exc()
import dagster as dg
from usage_assets.definitions import defs
instance = dg.DagsterInstance.get()
print(instance.info_str())
for sensor in defs.sensors or ():
    print("sensor", sensor.name, flush=True)
    try:
        tick = sensor(dg.build_sensor_context(instance=instance, repository_def=defs.get_repository_def()))
        print(list(tick) if hasattr(tick, "__next__") else tick)
    except BaseException:
        traceback.print_exc()
"""


def forms(secret: str) -> set[bytes]:
    """How a secret may look: as it is, encoded for a URL, decoded from one, within JSON, within base64."""
    texts = {secret, unquote(secret)}
    texts |= {code(text) for text in set(texts) for code in (lambda t: quote(t, safe=""), quote_plus)}
    texts |= {json.dumps(text)[1:-1] for text in set(texts)}
    found = {text.encode() for text in texts}
    for text in (secret, unquote(secret)):
        for before in range(3):  # base64 of a text depends on where in a group of three bytes it begins
            code = base64.b64encode(b"x" * before + text.encode())
            found.add(code[4 if before else 0 : -4])
    return found


def values(path: Path) -> Iterator[bytes]:
    """Everything that a file holds, also what its format compresses."""
    yield path.read_bytes()
    head = path.read_bytes()[:16]
    if head.startswith(b"SQLite format 3"):
        with sqlite3.connect(path) as con:
            con.text_factory = bytes
            for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in con.execute(f'SELECT * FROM "{table.decode()}"'):
                    for value in row:
                        if isinstance(value, bytes):
                            yield value
                            with suppress(zlib.error):
                                yield zlib.decompress(value)
    elif head[8:12] == b"DUCK":
        with duckdb.connect(str(path), read_only=True) as con:
            for schema, table in con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
                for row in con.execute(f'SELECT t::VARCHAR FROM "{schema}"."{table}" t').fetchall():
                    yield str(row[0]).encode()


def leaks(folder: Path) -> list[str]:
    """`NAME in file` of every secret that a file below the folder holds in some form.

    Copies of site files are as their operator wrote them: two of these hold a password, against all advice.
    """
    out = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.parent.name != "sites":
            held = [value for value in values(path) if b"zQ7" in value or b"elE3" in value or len(value) > 8]
            for name, secret in SECRETS.items():
                if any(form in value for form in forms(secret) for value in held):
                    out.append(f"{name} in {path.relative_to(folder)}")
    return out


@pytest.fixture
def folder(tmp_path: Path, mariadb: URL) -> Path:
    good = make_site(tmp_path / "source")
    sites = tmp_path / "sites"
    sites.mkdir()
    databases = "\n".join(f"  {name}: {url}" for name, url in good.databases.items())
    (sites / "tiny.yaml").write_text(
        f"kind: openstack\nfirst_month: 2020-01\npersonal: hash\nhash_names: true\ndatabases:\n{databases}\n"
    )
    there = f"{mariadb.host}:{mariadb.port}"
    wrong = {
        "refused": f"mysql+pymysql://nobody:${{DB_PASSWORD}}@{there}/nova",
        "down": "mysql+pymysql://reader:${OTHER_PASSWORD}@127.0.0.1:9/nova",
        "down_too": "postgresql+psycopg://reader:${DB_PASSWORD}@127.0.0.1:9/nova",
        "misspelt": "mysql+pymysql://reader:${OTHER_PASSWORD}@db@example:three/nova",
        "unknown": "mysql+nodriver://reader:${OTHER_PASSWORD}@127.0.0.1:9/nova?password=${DB_PASSWORD}",
        "unset": "mysql+pymysql://reader:${NOT_SET}@127.0.0.1:9/nova",
    }
    for name, url in wrong.items():
        (sites / f"{name}.yaml").write_text(f"kind: openstack\nfirst_month: 2020-01\ndatabases: {{nova: '{url}'}}\n")
    (sites / "in_the_clear.yaml").write_text(
        f"kind: openstack\ndatabases: {{nova: 'mysql://u:{SECRETS['DB_PASSWORD']}@h/nova'}}\nnova: [\n"
    )
    (sites / "upside_down.yaml").write_text(
        f"kind: openstack\ndatabases:\n  mysql://u:{unquote(SECRETS['DB_PASSWORD'])}@h/nova: nova\n"
    )
    (tmp_path / "alerts.yaml").write_text(ALERTS)
    (tmp_path / "secrets").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    (tmp_path / "secrets").chmod(0o600)
    return tmp_path


def test_the_search_finds_what_it_looks_for(tmp_path):
    (tmp_path / "log").write_text(f"... {SECRETS['OTHER_PASSWORD']} ...")
    (tmp_path / "url").write_text(unquote(SECRETS["DB_PASSWORD"]))
    (tmp_path / "header").write_bytes(base64.b64encode(f"usage:{SECRETS['SMTP_PASSWORD']}".encode()))
    with sqlite3.connect(tmp_path / "events.db") as con:
        con.execute("CREATE TABLE t (body BLOB)")
        con.execute("INSERT INTO t VALUES (?)", (zlib.compress(SECRETS["HOOK_TOKEN"].encode() * 9),))
    con.close()
    with duckdb.connect(str(tmp_path / "w.duckdb")) as duck:
        duck.execute("CREATE TABLE t AS SELECT ? AS x", [SECRETS["EXPORT_PASSWORD"]])
    assert leaks(tmp_path) == [
        "HOOK_TOKEN in events.db",
        "SMTP_PASSWORD in header",
        "OTHER_PASSWORD in log",
        "DB_PASSWORD in url",
        "EXPORT_PASSWORD in w.duckdb",
    ]


def test_no_secret_is_stored_logged_or_printed_whatever_fails(folder: Path):
    from usage_assets.cli.app import app

    names = [path.stem for path in sorted((folder / "sites").glob("*.yaml"))]
    months = ("--from", "2020-01", "--to", "2020-01", "--in-process")
    commands = [["backfill", "--site", name, *months] for name in names]
    commands += [[command, name] for name in names for command in ("check-site", "grants")]
    commands += [["status"], ["explain", "--site", "tiny", "--at", "2020-01-15", "--rejected"]]
    known = {str(command.name or command.callback.__name__) for command in app.registered_commands if command.callback}
    more: dict[str, list[str]] = {
        "scrub": ["--site", "tiny"], "alert-test": [], "doctor": [], "publish": [], "dumps": ["--site", "tiny"],
        "backup": ["--to", str(folder / "data" / "backup")], "compact": [],
    }  # fmt: skip
    commands += [[name, *arguments] for name, arguments in more.items() if name in known]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("USAGE_")}
    environment |= {
        "USAGE_SITES": str(folder / "sites"), "USAGE_DATA": str(folder / "data"), "DAGSTER_HOME": str(folder / "home"),
        "USAGE_SECRETS": str(folder / "secrets"), "USAGE_ALERTS": str(folder / "alerts.yaml"),
        "USAGE_EXPORT_URL": "mysql+pymysql://export:${EXPORT_PASSWORD}@127.0.0.1:9/usage",
        "USAGE_WEBSERVER_URL": "http://127.0.0.1:9", "BROWSER_PATH": "nowhere", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    output = folder / "said" / "everything"
    output.parent.mkdir()
    with output.open("wb") as out:
        command = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
        subprocess.run(command, env=environment, cwd=folder, stdout=out, stderr=out, check=False, timeout=500)
    said = output.read_text()
    # each failure came to pass, or nothing would have been tried
    for wanted in ("Access denied for user 'nobody'", "can't connect", "export to mysql", "no NOT_SET", "sensor "):
        assert wanted.lower() in said.lower(), said[-3000:]
    assert (folder / "data" / "warehouse.duckdb").exists()
    assert list((folder / "home").rglob("*.db"))
    found = [leak for place in ("data", "home", "said") for leak in leaks(folder / place)]
    assert found == []
