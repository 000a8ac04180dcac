"""Error texts without secrets: whatever a driver says is cleaned before a person or a log sees it."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.errors import SourceError

_SECRET_OPTION = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/@:]*:)[^\s@]*@")
_LONGEST = 300

# what a driver says -> what to do about it; the first match counts
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"ssl is required but|does not support ssl|TLS/SSL error: SSL is required",
        "the site's file asks for tls and the server has none: turn it on there, or take tls out of the file",
    ),
    (
        r"certificate|hostname mismatch|does not match host name|\[ssl|ssl error|tls alert",
        "look at tls in the site's file: ca must have signed the server's certificate, which must name the URL's host",
    ),
    (r"access denied for user .*to database|1044", "grant the account its tables: usage-assets grants"),
    (
        r"access denied for user|1045|password authentication failed|28P01|no password supplied",
        "check user and password: the site's file names the variable that holds it",
    ),
    (r"command denied|1142|1143|permission denied|42501", "grant the table: usage-assets grants"),
    (r"unknown database|1049|database .* does not exist|3D000", "check the database's name in the site's file"),
    (
        r"max_statement_time|1969|3024|statement timeout|57014|timed out",
        "the server was too slow; try again when it is less busy, or fewer months at once",
    ),
    (
        r"can't connect|2003|connection refused|name or service|could not translate|2005|no route",
        "check host and port in the site's file, and that the server runs",
    ),
    (
        r"lost connection|2013|2006|gone away|server closed the connection|terminat|0x|broken pipe|reset by peer",
        "the server ended the connection; run it again when the server is back",
    ),
    (r"not a database|malformed|unable to open", "check the file that the site's file names"),
)


class Scrubber:
    """Takes the secrets of a site's URLs out of texts."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._secrets: set[str] = set()
        for text in urls:
            match = re.match(r"[^:]+://[^\s/@:]*:(.*)@", text)
            if match:
                self._add(match[1])
            try:
                url = sa.make_url(text)
            except Exception:  # noqa: S112  # a URL that can't be parsed has no parts to hide
                continue
            self._add_url(url)

    def _add_url(self, url: URL) -> None:
        if url.password:
            self._add(str(url.password))
        for name, value in url.query.items():
            if _SECRET_OPTION.search(name):
                for part in (value,) if isinstance(value, str) else value:
                    self._add(part)

    def _add(self, secret: str) -> None:
        if secret:
            self._secrets |= {secret, quote(secret, safe=""), quote_plus(secret)}

    def __call__(self, text: str) -> str:
        """The text in one line, with *** for each secret, cut to a readable length."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            if len(secret) > 2:
                text = text.replace(secret, "***")
            else:  # a secret of one or two letters would take every word apart
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        text = _USERINFO.sub(r"\1***@", text)
        text = " ".join(text.split())
        return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def fault(site: str, where: str, error: BaseException, scrub: Scrubber, advice: str = "") -> SourceError:
    """A SourceError that says where, why and what to do."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy's own text would repeat the whole statement
    text = scrub(str(cause)) or type(cause).__name__
    if not advice:
        advice = next((say for pattern, say in _ADVICE if re.search(pattern, text, re.IGNORECASE)), "")
    return SourceError(f"site {site}: {where}: {text}" + (f"; {advice}" if advice else ""))
