"""Pages from Jinja templates, those of this package and of others."""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render_template(name: str, /, **values: Any) -> str:
    """A page: values are escaped, and one that the template names but is not given is an error."""
    return templates("usage_assets", "reports/templates").get_template(name).render(**values)


@cache
def templates(package: str, folder: str) -> Environment:
    """The templates in a folder of a package."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
