"""How the connection to a server travels: what the site's file asks of it, and what it turned out to be."""

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from usage_assets.core.errors import SourceError
from usage_assets.sites.sql import Tls

MYSQL = ("mysql", "mariadb")
_MYSQL_MODES = {"full": "VERIFY_IDENTITY", "ca": "VERIFY_CA", "none": "REQUIRED"}
_POSTGRESQL_MODES = {"full": "verify-full", "ca": "verify-ca", "none": "require"}
# options of a URL by which a driver checks the server's certificate
_CHECKING = {"ssl_ca", "ssl_verify_cert", "ssl_verify_identity", "sslrootcert"}


@dataclass(frozen=True)
class Transport:
    """The way to a server: `protocol` is that of the encryption, None without any; `checked` = who the server is."""

    host: str
    local: bool
    protocol: str | None
    checked: bool
    password: bool

    @property
    def description(self) -> str:
        """In a few words."""
        if self.protocol is None:
            return "NOT encrypted" + (" (this machine)" if self.local else "")
        return f"encrypted ({self.protocol})" + ("" if self.checked else ", certificate not checked")

    @property
    def warning(self) -> str | None:
        """What an operator should mend."""
        if self.protocol is not None or self.local or not self.password:
            return None
        return f"password and rows travel unencrypted to {self.host}; turn TLS on there and name tls in the site's file"


def arguments(url: URL, tls: Tls, where: str) -> dict[str, Any]:
    """What the driver needs so that it refuses a connection that is not encrypted and checked as `tls` asks.

    SourceError where a file is not there or holds no certificate, where the URL has TLS options of its own, or where
    the driver is none that this is known of.
    """
    options = sorted(name for name in url.query if name.startswith("ssl"))
    if options:
        msg = f"{where}: the URL has {', '.join(options)} and the site's file has tls; leave one of them"
        raise SourceError(msg)
    for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)):
        if path is not None and not path.is_file():
            msg = f"{where}: tls.{name}: no file {path.name} in {path.parent}; make it, or mend the site's file"
            raise SourceError(msg)
    backend, driver = url.get_backend_name(), url.get_driver_name()
    if backend in MYSQL and driver == "pymysql":
        return {"ssl": _context(tls, where)}
    files = {name: str(path) for name, path in (("ca", tls.ca), ("cert", tls.cert), ("key", tls.key)) if path}
    if backend in MYSQL and driver == "mysqldb":
        return {"ssl_mode": _MYSQL_MODES[tls.verify], "ssl": files}
    if backend == "postgresql" and driver in {"psycopg", "psycopg2"}:
        named = {f"ssl{'rootcert' if name == 'ca' else name}": path for name, path in files.items()}
        if tls.verify == "full":
            named.setdefault("sslrootcert", "system")
        # a connection encrypted by Kerberos would pass without anybody looking at the certificate
        return {"sslmode": _POSTGRESQL_MODES[tls.verify], "gssencmode": "disable", **named}
    msg = (
        f"{where}: tls is not known for the driver {url.drivername}; use mysql+pymysql, mysql+mysqldb or "
        "postgresql+psycopg, or write the driver's own options into the URL"
    )
    raise SourceError(msg)


def credentials(url: URL) -> dict[str, Any]:
    """What the driver needs beside the URL: PyMySQL sends text as Latin-1, and servers know passwords as UTF-8."""
    if url.password and url.get_driver_name() == "pymysql":
        return {"password": str(url.password).encode()}
    return {}


def _context(tls: Tls, where: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        # certificates of a CA of one's own often lack what RFC 5280 asks for; MariaDB's clients accept them as well
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = tls.verify == "full"
        if tls.verify == "none":
            context.verify_mode = ssl.CERT_NONE
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key, password="")  # no prompt on a terminal that nobody watches
    except (ssl.SSLError, OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        files = ", ".join(str(Path(path).name) for path in (tls.ca, tls.cert, tls.key) if path is not None)
        msg = f"{where}: tls: {files} can't be used ({cause}); they must be PEM files, the key without a passphrase"
        raise SourceError(msg) from None
    return context


def transport_of(con: sa.Connection, url: URL, tls: Tls | None, where: str) -> Transport:
    """How this connection travels, as the server sees it; SourceError where tls asks for more."""
    backend = url.get_backend_name()
    if backend in MYSQL:
        rows = con.exec_driver_sql("SHOW SESSION STATUS LIKE 'Ssl_version'").all()
        protocol = str(rows[0][1]) if rows else ""
    else:
        statement = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl"
        protocol = str(con.exec_driver_sql(statement).scalar() or "")
    if tls is not None and not protocol:
        msg = f"{where}: the site's file asks for tls, and the connection is not encrypted; turn TLS on at the server"
        raise SourceError(msg)
    checked = tls.verify != "none" if tls is not None else bool(_CHECKING & set(url.query))
    return Transport(url.host or "this machine", is_local(url), protocol or None, checked, bool(url.password))


def is_local(url: URL) -> bool:
    """Whether the server is reached without a network: by a socket, or under a loopback address."""
    host = url.host or ""
    if not host:
        host = str(url.query.get("host", ""))  # libpq's other place for it
    if not host or host == "localhost" or host.startswith(("/", "@")) or "unix_socket" in url.query:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
