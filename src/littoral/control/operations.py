"""Operations: every one that the admin API has, each with its policy."""

from littoral.control.api.archive import ArchiveApi
from littoral.control.api.authority import AuthorityApi
from littoral.control.api.delta import DeltaApi
from littoral.control.api.deployment import DeploymentApi
from littoral.control.api.fleet import FleetApi
from littoral.control.api.key import KeyApi
from littoral.control.api.meta import MetaApi
from littoral.control.api.metric import MetricApi
from littoral.control.api.model import ModelApi
from littoral.control.api.node import NodeApi
from littoral.control.api.quality import QualityApi
from littoral.control.api.resource import ResourceApi
from littoral.control.api.rollout import RolloutApi
from littoral.control.api.share import ShareApi
from littoral.control.api.snapshot import SnapshotApi
from littoral.control.api.store import StoreApi
from littoral.control.api.update import UpdateApi
from littoral.control.api.usage import UsageApi
from littoral.control.desk import Desk
from littoral.control.openapi import document
from littoral.control.route import Route


def routes(desk: Desk) -> tuple[Route, ...]:
    """Every operation of the admin API."""
    found: list[Route] = []
    meta = MetaApi(lambda: document(found, build=desk.build))
    apis = (
        meta,
        ResourceApi(desk),
        KeyApi(desk),
        ModelApi(desk),
        DeltaApi(desk),
        StoreApi(desk),
        RolloutApi(desk),
        UpdateApi(desk),
        DeploymentApi(desk),
        FleetApi(desk),
        MetricApi(desk),
        SnapshotApi(desk),
        UsageApi(desk),
        ArchiveApi(desk),
        ShareApi(desk),
        QualityApi(desk),
        NodeApi(desk),
        AuthorityApi(desk),
    )
    found.extend(route for api in apis for route in api.routes())
    return tuple(found)
