"""Error texts without secrets: whatever a driver says is cleaned before a person or a log sees it."""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import SourceError

_SECRET_OPTION = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s/@:]*:)[^\s@]*@")
_LONGEST = 300

_IN_CLEAR = "; or the server wants an encrypted connection: name tls in the site's file"
# what a driver says -> what to do about it; the first match counts
_ADVICE: dict[str, str] = {
    r"no module named 'mysqldb'":
        "write mysql+pymysql:// in the site's file: mysql:// alone asks for mysqlclient, which is not installed",
    r"no module named|can't load plugin":
        "that driver is not installed: write mysql+pymysql:// or postgresql+psycopg:// in the site's file",
    r"package is required for|_password auth method":
        "install it into this environment: pip install cryptography PyNaCl",
    r"authentication plugin|authentication method \d+ not supported":
        "the driver can't sign in that way: make it mysql_native_password, caching_sha2_password or ed25519",
    r"unexpected keyword argument|invalid connection option|invalid uri query parameter":
        "the driver does not know this option: take it out of the URL in the site's file",
    r"insecure transport|3159": "the server wants an encrypted connection: name tls in the site's file",
    r"certificate|hostname mismatch|does not match host name|\[ssl|ssl error|tls alert":
        "look at tls in the site's file: ca must have signed the server's certificate, which must name the URL's host",
    r"access denied for user .*to database|1044":
        "grant the account its tables: usage-assets grants; if a role has them, SET DEFAULT ROLE for the account",
    r"access denied for user|1045|password authentication failed|28P01|no password supplied":
        "check user and password: the site's file names the variable that holds it; % is written %25 in a URL",
    r"command denied|1142|1143|permission denied|42501": "grant the table: usage-assets grants",
    r"unknown database|1049|database .* does not exist|3D000": "check the database's name in the site's file",
    r"wsrep|1047": "this node of the cluster is not ready: name another one in the site's file, or run it again later",
    r"too many connections|1040|1203|1226|53300":
        "the server has no room for another connection: run it again later, or raise the account's limit",
    r"is not allowed to connect|1130|is blocked|1129|no pg_hba.conf entry": "let the account in from this machine",
    r"max_statement_time|1969|3024|statement timeout|57014|timed out":
        "the server was too slow; try again when it is less busy, or fewer months at once",
    r"can't connect|2003|connection refused|name or service|could not translate|2005|no route":
        "check host and port in the site's file, and that the server runs",
    r"lost connection|2013|2006|gone away|server closed the connection|terminat|0x|broken pipe|reset by peer":
        "the server ended the connection; run it again when the server is back",
    r"not a database|malformed|unable to open": "check the file that the site's file names",
}  # fmt: skip
_NO_TLS = re.compile(r"ssl is required but|does not support ssl|TLS/SSL error: SSL is required", re.IGNORECASE)
_REFUSED = re.compile(r"access denied for user(?!.*to database)|\b1045\b", re.IGNORECASE)
# a driver's words that repeat a value of a row
_VALUE = re.compile(
    r"""(with\ text\ '
    | invalid\ input\ syntax\ for\ (?:type\ )?[\w ]+:\ "
    | (?:truncated\ )?incorrect\ [\w ]+\ value:\ '
    | value\ "(?=[^"]*"\ is\ out\ of\ range)
    | field\ value\ out\ of\ range:\ "
    ).*""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
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
    text = _text(cause, scrub)
    if not advice:
        advice = next((todo for pattern, todo in _ADVICE.items() if re.search(pattern, text, re.IGNORECASE)), "")
    return SourceError(f"site {site}: {where}: {text}" + (f"; {advice}" if advice else ""))


def no_connection(
    site: str, where: str, error: BaseException, scrub: Scrubber, *, url: URL, tls_is_named: bool
) -> SourceError:
    """A SourceError for a connection that failed; the advice depends on what the URL and the site's file ask for."""
    text = _text(getattr(error, "orig", None) or error, scrub)
    asks = sorted(name for name in url.query if name.startswith("ssl"))
    if _NO_TLS.search(text):
        who, what = ("the URL", ", ".join(asks)) if asks and not tls_is_named else ("the site's file", "tls")
        advice = (
            f"{who} asks for an encrypted connection ({what}) and the server has none: turn it on there, or take it out"
        )
        return fault(site, where, error, scrub, advice)
    found = fault(site, where, error, scrub)
    return SourceError(f"{found}{_IN_CLEAR}") if _REFUSED.search(text) and not asks and not tls_is_named else found


def _text(cause: BaseException, scrub: Scrubber) -> str:
    """The cause without secrets and without values of rows."""
    if isinstance(cause, UnicodeError):  # its text shows the sign, which may be one of a password
        what = "the URL has" if isinstance(cause, UnicodeEncodeError) else "the answer has"
        return f"{what} a sign that the connection's character set does not know"
    return scrub(_VALUE.sub(r"\1 ...", str(cause))) or type(cause).__name__


def short_read(site: str, where: str, *, counted: int, read: int) -> SourceError:
    """The error of an answer with fewer rows than the server counts."""
    return SourceError(
        f"site {site}: {where}: the server counts {counted:,} rows and gave {read:,} of them; nothing was stored. "
        "Something limits the rows of an answer (a proxy's cap, a policy of the account): lift it for this account, "
        "then run it again"
    )
