"""Hashes in place of ids and names that nobody shall read: the same for the same text, wherever it stands."""

import hmac
import re
from collections.abc import Collection

from usage_assets.core import settings
from usage_assets.core.errors import UsageError

SALT = "USAGE_HASH_SALT"
_DIGITS = 16
_HASH = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")


def hashed(text: str, salt: str) -> str:
    """The first hexadecimal digits of the salted SHA-256: equal texts give equal hashes, in every month and site."""
    return hmac.digest(salt.encode(), text.encode(), "sha256").hex()[:_DIGITS]


def hashes(texts: Collection[str], salt: str) -> dict[str, str]:
    """Each text with its hash; what is a hash already, as a dump or an earlier scrub made it, stays as it is."""
    return {text: text if _HASH.fullmatch(text) else hashed(text, salt) for text in texts}


def salt_of(site: str, reason: str) -> str:
    """The salt; UsageError where there is none, naming what of the site's file asks for it."""
    salt = settings.secret(SALT)
    if not salt:
        msg = (
            f"site {site}: {reason}, but the environment has no {SALT}, nor has the secrets file; set it to a long "
            "secret text and keep it: another salt gives other hashes, and months no longer fit together"
        )
        raise UsageError(msg)
    return salt
