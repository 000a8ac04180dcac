"""Hiding of columns that name people, at sites of this kind.

Of a request's spec the reservation and the flavor stay, which facts read. A lease name that the site's file takes for
maintenance is an operator's and stays.
"""

from usage_assets.kinds.openstack.site.model import OpenStackSite
from usage_assets.kinds.openstack.site.personal import LEASE_NAME, SPEC
from usage_assets.sources.personal import Redactor

# where a request names its reservation and its flavor; the envelope of versioned objects, or plain
_DATA = '$."nova_object.data"'
SPEC_PATHS = (
    f"{_DATA}.scheduler_hints.reservation",
    "$.scheduler_hints.reservation",
    f'{_DATA}.flavor."nova_object.data".name',
    f'{_DATA}.flavor."nova_object.data".extra_specs',
)


# what a path found lies in an object; where none found anything, the text is parsed once more to see whether it is one
READABLE_SPEC = (
    "CASE WHEN p IS NULL THEN false WHEN coalesce(p[1], p[2], p[3], p[4]) IS NOT NULL THEN true "
    """ELSE coalesce(TRY(json_type(spec, '$."nova_object.data"')) = 'OBJECT', false) """
    "OR TRY(json_type(spec, '$.scheduler_hints')) IS NOT NULL END"
)
"""SQL: whether a request's `spec` is a request to the scheduler; `p` holds its values at SPEC_PATHS."""
_PATHS = ", ".join(f"'{path}'" for path in SPEC_PATHS)
_ENVELOPE = (
    "json_object('nova_object.data', json_object("
    "'scheduler_hints', json_object('reservation', coalesce(nullif(p[1]::VARCHAR, 'null')::JSON, p[2])), "
    "'flavor', json_object('nova_object.data', json_object('name', p[3], 'extra_specs', p[4]))))"
)
# one parse per text, which is the cost; a text with neither becomes an empty object
REDUCED_SPEC = (
    f"list_transform([TRY(json_extract(spec, [{_PATHS}]))], lambda p: CASE WHEN p IS NULL THEN NULL "
    f"WHEN {READABLE_SPEC} THEN json_merge_patch('{{}}', {_ENVELOPE})::VARCHAR ELSE '{{}}' END)[1]"
)
"""SQL: of a request's `spec` the reservation and the flavor, all that facts read; null where it is no JSON."""


def redactor_of(site: OpenStackSite) -> Redactor:
    """The redactor of the columns in `personal` of the site's file."""
    maintenance = site.maintenance.lease_name if site.maintenance is not None else None
    keeps = {} if maintenance is None else {LEASE_NAME: maintenance}
    return Redactor(site.key, site.personal, keeps=keeps, reduces={SPEC: REDUCED_SPEC})
