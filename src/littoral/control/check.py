"""Whether declared specs make sense: ranges, and that what they name exists."""

import re
from collections.abc import Callable, Iterable, Mapping

from littoral.control.bounds import check_limits, check_rollout, check_site, refuse, within
from littoral.control.golden import check_items
from littoral.control.policies import check_policy
from littoral.domain.deployment import FORMATS, DeploymentSpec, UpstreamSpec
from littoral.domain.guard import Guard
from littoral.domain.ids import NAME
from littoral.domain.model import (
    WEIGHTS,
    FileSpec,
    ModelSpec,
    VersionSpec,
    VersionStatus,
)
from littoral.domain.policy import PolicySpec
from littoral.domain.project import ProjectSpec
from littoral.domain.resource import Kind, Resource, Spec
from littoral.domain.selector import Where
from littoral.domain.site import SiteSpec
from littoral.domain.snapshot import HOME_SITE

MOST_SLOTS = 4096
LEAST_CONTEXT = 128
MOST_FILES = 64
MOST_TOKENS = 16_777_216
SERVES = re.compile(r"[A-Za-z0-9._\-/:]{1,96}")
_URL = re.compile(
    r"https?://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?P<path>/[A-Za-z0-9._~/-]*)?"
)
_SOURCE = re.compile(r"(?:pypi:|file:/|https://|hf:|modelscope:)\S+")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

Specs = Mapping[tuple[Kind, str], Spec]
Statuses = Mapping[tuple[str, str], VersionStatus]


def statuses_by_version(statuses: Iterable[VersionStatus]) -> Statuses:
    """Index statuses by model and version."""
    return {(status.model, status.version): status for status in statuses}


def serves_of(name: str, spec: DeploymentSpec) -> str:
    """The model name clients ask for: as declared, else the deployment's own."""
    return name if spec.serves is None else spec.serves


def version_of(spec: DeploymentSpec, model: ModelSpec) -> VersionSpec | None:
    """The version a deployment runs: the one it names, else the model's last."""
    _, _, wanted = spec.model.partition("@")
    if not wanted:
        return model.versions[-1]
    return next((version for version in model.versions if version.name == wanted), None)


def users_of(kind: Kind, name: str, specs: Specs) -> list[str]:
    """The deployments that use a model or an upstream, by name."""
    return sorted(
        user
        for (user_kind, user), spec in specs.items()
        if user_kind == "Deployment" and isinstance(spec, DeploymentSpec)
        if (kind == "Upstream" and spec.upstream == name)
        or (kind == "Model" and needs_model(spec) and spec.model.partition("@")[0] == name)
    )


def needs_model(spec: DeploymentSpec) -> bool:
    """Whether ``model`` names a Model resource: not every engine loads weights."""
    return spec.engine in FORMATS


def check_spec(spec: Spec, specs: Specs, statuses: Statuses) -> None:
    """Check one spec against everything that is, or will be, declared.

    Args:
        spec: What to check.
        specs: All specs as they will be, this one included.
        statuses: Of every version known, by (model, version).

    Raises:
        InvalidInput: What is wrong, what is allowed; ``param`` is the path.
    """
    match spec:
        case ProjectSpec():
            within("spec.title", len(spec.title), (0, 200))
            within("spec.responses.days", spec.responses.days, (1, 3650))
            check_limits(spec.limits, at="spec.limits")
            _check_project(spec)
            _check_guard(spec.guard)
        case SiteSpec():
            check_site(spec)
        case PolicySpec():
            check_policy(spec, specs)
        case ModelSpec():
            _check_model(spec)
        case UpstreamSpec():
            _check_upstream(spec)
        case DeploymentSpec():
            _check_deployment(spec, specs, statuses)
            _check_where(spec.where, specs)


def _check_where(where: Where | None, specs: Specs) -> None:
    if where is None:
        return
    known = sorted({HOME_SITE, *(name for kind, name in specs if kind == "Site")})
    if where.site is not None and where.site not in known:
        raise refuse("spec.where.site", f"no site {where.site!r}; known: {', '.join(known)}")
    within("spec.where.labels", len(where.labels), (0, 32))
    for name, value in where.labels.items():
        within(f"spec.where.labels.{name}", len(name), (1, 63))
        within(f"spec.where.labels.{name}", len(value), (0, 256))


def _check_guard(guard: Guard) -> None:
    within("spec.guard.max_input_tokens", guard.max_input_tokens, (1, 100_000_000))
    within("spec.guard.max_output_tokens", guard.max_output_tokens, (1, 10_000_000))
    within("spec.guard.tools", len(guard.tools), (0, 1000))
    for at, name in enumerate(guard.tools):
        within(f"spec.guard.tools[{at}]", len(name), (1, 256))


def check_labels(resource: Resource) -> None:
    """Refuse labels that are too many or too long."""
    labels = resource.metadata.labels
    within("metadata.labels", len(labels), (0, 32))
    for name, value in labels.items():
        within(f"metadata.labels.{name}", len(name), (1, 63))
        within(f"metadata.labels.{name}", len(value), (0, 256))


def _matches(path: str, value: str | None, *, pattern: re.Pattern[str], allowed: str) -> None:
    if value is not None and pattern.fullmatch(value) is None:
        raise refuse(path, f"{value!r} will not do: {allowed}")


def _check_project(spec: ProjectSpec) -> None:
    within("spec.weight", spec.weight, (0.01, 100))
    if spec.cache is not None:
        within("spec.cache.ttl_s", spec.cache.ttl_s, (1, 604_800))
        semantic = spec.cache.semantic
        if semantic is not None:
            within("spec.cache.semantic.threshold", semantic.threshold, (0.5, 1))
    brownout = spec.brownout
    if brownout is not None:
        within("spec.brownout.after_s", brownout.after_s, (0.1, 600))
        within("spec.brownout.shorter", brownout.shorter, (1, MOST_TOKENS))
        allowed = "1 to 96 of letters, digits, . _ - / :"
        _matches("spec.brownout.smaller", brownout.smaller, pattern=SERVES, allowed=allowed)


def _check_model(spec: ModelSpec) -> None:
    if not spec.versions:
        raise refuse("spec.versions", "a model needs at least one version")
    names = [version.name for version in spec.versions]
    for index, version in enumerate(spec.versions):
        at = f"spec.versions[{index}]"
        allowed = "1 to 63 of a-z 0-9 . _ -, beginning and ending with a letter or digit"
        _matches(f"{at}.name", version.name, pattern=NAME, allowed=allowed)
        if names.index(version.name) != index:
            raise refuse(f"{at}.name", f"{version.name!r} is there twice")
        if version.parent is not None and version.parent not in set(names) - {version.name}:
            known = ", ".join(name for name in names if name != version.name) or "none"
            raise refuse(f"{at}.parent", f"{version.parent!r} is no other version; known: {known}")
        _check_file(at, version)
        _check_beside(at, version)


def _check_file(at: str, file: FileSpec) -> None:
    allowed = "a source begins with pypi:, file:/, https://, hf: or modelscope:"
    _matches(f"{at}.source", file.source, pattern=_SOURCE, allowed=allowed)
    for field, value in (("sha256", file.sha256), ("container_sha256", file.container_sha256)):
        allowed = "64 lower-case hexadecimal digits"
        _matches(f"{at}.{field}", value, pattern=_SHA256, allowed=allowed)
    within(f"{at}.size", file.size, (1, 2**50))


def _check_beside(at: str, version: VersionSpec) -> None:
    """Files that go with weights are pinned, as are weights in parts."""
    within(f"{at}.files", len(version.files), (0, MOST_FILES))
    names = [file.name for file in version.files]
    for index, file in enumerate(version.files):
        path = f"{at}.files[{index}]"
        allowed = "1 to 64 of letters, digits, . _ -, beginning with a letter or digit"
        _matches(f"{path}.name", file.name, pattern=_FILE, allowed=allowed)
        if file.name != WEIGHTS and names.index(file.name) != index:
            raise refuse(f"{path}.name", f"{file.name!r} is there twice")
        _check_file(path, file)
        if file.sha256 is None:
            raise refuse(f"{path}.sha256", "a file that goes with weights must be pinned")
    if WEIGHTS in names and version.sha256 is None:
        raise refuse(f"{at}.sha256", "weights in parts must be pinned, the first part too")


def _check_upstream(spec: UpstreamSpec) -> None:
    found = _URL.fullmatch(spec.url)
    if found is None:
        raise refuse(
            "spec.url",
            "give http:// or https://, a host, maybe a port and a path such as /v1; "
            "no user, password, query or fragment",
        )
    if found["port"] is not None:
        within("spec.url", int(found["port"]), (1, 65535))
    credential = spec.credential
    if credential is not None and not (credential.isascii() and credential.isprintable()):
        raise refuse("spec.credential", "only printable ASCII can be sent in a header")


def _check_deployment(spec: DeploymentSpec, specs: Specs, statuses: Statuses) -> None:
    within("spec.slots", spec.slots, (1, MOST_SLOTS))
    within("spec.context", spec.context, (LEAST_CONTEXT, MOST_TOKENS))
    within("spec.max_tokens", spec.max_tokens, (1, spec.context or MOST_TOKENS))
    within("spec.first_token_ms", spec.first_token_ms, (1, 3_600_000))
    within("spec.price_in", spec.price_in, (0, 1e9))
    within("spec.price_out", spec.price_out, (0, 1e9))
    for name, value in spec.options.items():
        if isinstance(value, float):
            within(f"spec.options.{name}", value, (-1e18, 1e18))
    check_limits(spec.limits, at="spec.limits")
    _check_same_limits(spec, specs)
    check_rollout(spec.rollout)
    check_items(spec)
    allowed = "1 to 96 of letters, digits, . _ - / :"
    _matches("spec.serves", spec.serves, pattern=SERVES, allowed=allowed)
    _CHECKS[spec.engine](spec, specs, statuses)


def _check_same_limits(spec: DeploymentSpec, specs: Specs) -> None:
    """Limits bound a served name: deployments that share one may not declare different limits."""
    deployments = [
        (serves_of(name, each), each)
        for (kind, name), each in specs.items()
        if kind == "Deployment" and isinstance(each, DeploymentSpec)
    ]
    names = {served for served, each in deployments if each == spec}
    if len({each.limits for served, each in deployments if served in names and each.limits}) > 1:
        raise refuse(
            "spec.limits",
            f"another deployment that serves {min(names)!r} declares other limits: declare them on "
            "one of them, or the same on all",
        )


def _check_upstream_engine(spec: DeploymentSpec, specs: Specs, statuses: Statuses) -> None:
    del statuses
    if spec.upstream is None:
        known = _known("Upstream", specs)
        raise refuse("spec.upstream", f"engine 'openai' needs an upstream; known: {known}")
    if ("Upstream", spec.upstream) not in specs:
        known = _known("Upstream", specs)
        raise refuse("spec.upstream", f"no upstream is named {spec.upstream!r}; known: {known}")


def _check_local_engine(spec: DeploymentSpec, specs: Specs, statuses: Statuses) -> None:
    __refuse_upstream(spec)
    name = spec.model.partition("@")[0]
    model = specs.get(("Model", name))
    if not isinstance(model, ModelSpec):
        known = _known("Model", specs)
        raise refuse("spec.model", f"no model is named {name!r}; known: {known}")
    version = version_of(spec, model)
    if version is None:
        known = ", ".join(version.name for version in model.versions)
        raise refuse("spec.model", f"{spec.model!r}: no such version; known: {known}")
    status = statuses.get((name, version.name))
    if status is not None and status.artefact is not None:
        facts = status.artefact.facts
        fitting = [engine for engine, form in FORMATS.items() if form == facts.format]
        if spec.engine not in fitting:
            what = f"engine {spec.engine!r} cannot run {facts.format} weights"
            raise refuse("spec.engine", f"{what}; {' or '.join(fitting)} can")
        within("spec.context", spec.context, (LEAST_CONTEXT, facts.context or MOST_TOKENS))


def _check_fake_engine(spec: DeploymentSpec, specs: Specs, statuses: Statuses) -> None:
    del specs, statuses
    __refuse_upstream(spec)


def __refuse_upstream(spec: DeploymentSpec) -> None:
    if spec.upstream is not None:
        raise refuse("spec.upstream", f"engine {spec.engine!r} runs here and has no upstream")


_CHECKS: Mapping[str, Callable[[DeploymentSpec, Specs, Statuses], None]] = {
    "openai": _check_upstream_engine,
    **dict.fromkeys(FORMATS, _check_local_engine),
    "fake": _check_fake_engine,
}


def _known(kind: Kind, specs: Specs) -> str:
    return ", ".join(sorted(name for of, name in specs if of == kind)) or "none"
