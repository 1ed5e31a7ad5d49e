"""``littoral get``: declared resources as table, JSON or YAML."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Literal, TypeAlias, cast

from cyclopts import Parameter

from littoral.app.command import documents
from littoral.app.command.encoding import plain
from littoral.app.command.figures import moment
from littoral.app.command.kinds import kind_of
from littoral.app.command.reach import HERE, Reach
from littoral.app.command.screen import screen
from littoral.app.command.site import admin
from littoral.domain.deployment import DeploymentSpec, UpstreamSpec
from littoral.domain.model import ModelSpec
from littoral.domain.resource import Resource

Form: TypeAlias = Literal["table", "json", "yaml"]


def get(
    kind: str,
    name: str | None = None,
    /,
    *,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    reach: Reach = HERE,
) -> None:
    """Show resources of one kind.

    Args:
        kind: projects, models, upstreams or deployments.
        name: Only this one.
        output: As a table, JSON, or YAML that apply takes back.
        reach: Which instance.
    """
    as_json = reach.json or output == "json"
    shown = screen(as_json=as_json)
    wanted = kind_of(kind)
    with admin(reach) as control:
        found: Sequence[Resource] = (
            control.resources(wanted) if name is None else [control.resource(wanted, name)]
        )
    if as_json:
        shown.json(plain(found[0]) if name is not None else {"resources": plain(found)})
    elif output == "yaml":
        shown.raw(documents.dump([_declared(each) for each in found]))
    elif not found:
        shown.note("get.none", kind=wanted)
    else:
        rows = [
            (each.metadata.name, str(each.version), moment(each.updated_us), about(each))
            for each in found
        ]
        shown.rows((wanted.upper(), "VERSION", "CHANGED", "WHAT"), rows, right=(1,))


def _declared(resource: Resource) -> object:
    metadata: dict[str, object] = {"name": resource.metadata.name}
    if resource.metadata.labels:
        metadata["labels"] = dict(resource.metadata.labels)
    told = cast("dict[str, object]", plain(resource.spec))
    usual = {each.name: each.default for each in fields(resource.spec)}
    spec = {key: value for key, value in told.items() if value not in (usual[key], {})}
    return {"kind": resource.kind, "metadata": metadata, "spec": spec}


def about(resource: Resource) -> str:
    """A resource's most telling fields in a few words."""
    spec = resource.spec
    if isinstance(spec, ModelSpec):
        return ", ".join(f"{each.name}: {each.source}" for each in spec.versions)
    if isinstance(spec, DeploymentSpec):
        served = f" as {spec.serves}" if spec.serves else ""
        return f"{spec.model} on {spec.engine}{served}"
    if isinstance(spec, UpstreamSpec):
        return spec.url
    return spec.title
