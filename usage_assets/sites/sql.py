"""What the files of sites have in common whose sources are SQL databases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator, model_validator

from usage_assets.sites.base import BaseSite, Strict

PersonalRule = Literal["hash", "drop"]
"""What is done to a column that names people before a row is stored."""


class Tls(Strict):
    """How connections to the site's servers are encrypted; files are PEM, beside the site's file or absolute.

    `verify`: `full` asks that `ca` (by default one that this machine trusts) signed the server's certificate and that
    it names the host; `ca` leaves out the name; `none` takes any certificate.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    verify: Literal["full", "ca", "none"] = "full"

    @field_validator("ca", "cert", "key")
    @classmethod
    def _beside_the_site(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return value if value is None or folder is None else folder / value

    @model_validator(mode="after")
    def _means_something(self) -> "Tls":
        if (self.cert is None) != (self.key is None):
            msg = "cert and key belong together: the account's certificate and its private key"
            raise ValueError(msg)
        if self.verify == "ca" and self.ca is None:
            msg = "verify: ca takes every name that ca signed; name ca"
            raise ValueError(msg)
        if self.verify == "none" and self.ca is not None:
            msg = "verify: none looks at no certificate; leave ca out, or verify"
            raise ValueError(msg)
        return self


class SqlSite(BaseSite):
    """A site whose source is one or more SQL databases."""

    databases: Mapping[Any, str]
    """The URL of each database, by the name that raw tables have it under."""
    tls: Tls | None = None
