"""Site: the facts that control makes once, at its first start, and reads ever after."""

from dataclasses import dataclass, replace

from littoral.control.key import Keys
from littoral.control.vault import Vault
from littoral.domain.enrolment import SITE
from littoral.domain.errors import Damaged
from littoral.domain.ids import ProjectId, new_id
from littoral.domain.ports import Clock, Disk, Entropy, State
from littoral.domain.project import ProjectSpec
from littoral.domain.resource import Kind, Metadata, Resource, Spec
from littoral.domain.site import SiteSpec
from littoral.domain.units import Micros
from littoral.domain.view import KeyRequest

DEFAULT_PROJECT = ProjectId("default")
ADMIN_NAME = "admin"
_CLUSTER, _EPOCH, _PEPPER, _ADMIN = "site/cluster", "site/epoch", "site/pepper", "site/admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Identity of this control plane and the pepper of its nodes."""

    cluster: str
    epoch: int
    pepper: bytes


def first_start(
    state: State, vault: Vault, *, clock: Clock, entropy: Entropy, disk: Disk, admin_file: str
) -> str | None:
    """Make what a new data directory lacks; safe to repeat after a crash at any point.

    Makes the cluster id, the epoch, the pepper, the project and the site ``default``, and the admin
    key (scopes admin and infer), whose text goes to ``admin_file`` before it counts. Where no key
    may administer any more, all having expired, it makes that one anew.

    Returns:
        The admin key's text when it was made now, to be shown once; else None.
    """
    if state.value(_CLUSTER) is None:
        cluster = new_id("cl", wall=clock.wall(), noise=entropy.bytes(10))
        state.put_value(_CLUSTER, cluster.encode())
    if state.value(_EPOCH) is None:
        state.put_value(_EPOCH, b"1")
    if state.value(_PEPPER) is None:
        state.put_value(_PEPPER, vault.seal(entropy.bytes(32), _PEPPER))
    _declare(state, "Project", DEFAULT_PROJECT, spec=ProjectSpec(title="Default"), now=clock.wall())
    _declare(state, "Site", SITE, spec=SiteSpec(title="Default"), now=clock.wall())
    keys = Keys(state, vault, clock=clock, entropy=entropy)
    if state.value(_ADMIN) is not None and keys.administered():
        return None
    for left in keys.list():
        if left.name == ADMIN_NAME and "admin" in left.scopes:
            keys.revoke(left.id)
    minted = keys.mint(KeyRequest(name=ADMIN_NAME, scopes=("admin", "infer")))
    disk.write(admin_file, f"{minted.secret}\n".encode(), private=True)
    state.put_value(_ADMIN, minted.key.id.encode())
    return minted.secret


def _declare(state: State, kind: Kind, name: str, *, spec: Spec, now: Micros) -> None:
    """Declare a resource where there is none of its name."""
    if state.get(kind, name) is None:
        metadata = Metadata(name=name)
        state.put(Resource(kind=kind, metadata=metadata, spec=spec, created_us=now, updated_us=now))


def load_site(state: State, vault: Vault) -> Site:
    """Read the facts that ``first_start`` made.

    Raises:
        Damaged: One is missing or does not open with this master key.
    """
    cluster, epoch, pepper = (state.value(name) for name in (_CLUSTER, _EPOCH, _PEPPER))
    if cluster is None or epoch is None or pepper is None:
        raise Damaged("the control database has no site facts: it was never started, or is damaged")
    return Site(cluster=cluster.decode(), epoch=int(epoch), pepper=vault.open(pepper, _PEPPER))


def raise_epoch(state: State, site: Site, epoch: int) -> Site:
    """Go on in a later epoch, and remember it."""
    state.put_value(_EPOCH, str(epoch).encode())
    return replace(site, epoch=epoch)
