"""Sessions with a caller's own credentials, for what a service does on the caller's behalf and in its name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local_aws.access import identity

if TYPE_CHECKING:
    from local_aws.access.identity import Caller, Credentials
    from local_aws.world import World


def credentials_of(world: World, caller: Caller) -> Credentials:
    """The credentials that a caller called with (forward access sessions, in AWS's words)."""
    if caller.is_admin:
        return identity.admin(caller.account, caller.region)
    issued = world.credentials.get(caller.access_key)
    if issued is not None:
        return issued
    # A user's own key: its secret is the user's, and signatures are not checked here; the signer wants some secret.
    return identity.Credentials(
        caller.access_key, identity.ADMIN_SECRET, None, datetime.max.replace(tzinfo=UTC), caller
    )
