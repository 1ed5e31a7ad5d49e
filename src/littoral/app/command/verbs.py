"""The table of all commands: name, where its code is, group, examples."""

from typing import Literal, NamedTuple, TypeAlias

Group: TypeAlias = Literal["run", "serve", "use", "watch"]
HOME = "littoral.app.command"


class Verb(NamedTuple):
    """One command: ``target`` is ``module:function`` under this package."""

    name: str
    target: str
    group: Group
    examples: tuple[str, ...]


VERBS: tuple[Verb, ...] = (
    Verb(
        "up",
        "up:up",
        "run",
        (
            "littoral up",
            "littoral up --model smollm2-135m",
            "littoral up --detach --port 8090 --data-dir ~/littoral-test",
        ),
    ),
    Verb(
        "node join",
        "join:join",
        "run",
        (
            "littoral node join https://cloud.example:8444 --token litj1.<...>",
            "littoral node join https://cloud.example:8444 --token litj1.<...> --detach",
            "sudo littoral node join https://cloud.example:8444 --token litj1.<...> --install",
        ),
    ),
    Verb("node leave", "join:leave", "run", ("littoral node leave --yes",)),
    Verb("node status", "join:status", "run", ("littoral node status",)),
    Verb("node check", "selfcheck:check", "run", ("littoral node check",)),
    Verb("down", "down:down", "run", ("littoral down", "littoral down --timeout 60")),
    Verb("status", "status:status", "run", ("littoral status", "littoral status --json")),
    Verb(
        "logs",
        "logs:logs",
        "run",
        ("littoral logs", "littoral logs gateway -n 100", "littoral logs node -f"),
    ),
    Verb("doctor", "doctor:doctor", "run", ("littoral doctor", "littoral doctor --json")),
    Verb("version", "version:version", "run", ("littoral version",)),
    Verb("openapi", "openapi:openapi", "run", ("littoral openapi > openapi.json",)),
    Verb(
        "models pull",
        "pull:pull",
        "serve",
        (
            "littoral models pull smollm2-135m",
            "littoral models pull file:/srv/weights/model.gguf --name mine",
            "littoral models pull https://host/model.gguf --name mine --sha256 <64 hex>",
        ),
    ),
    Verb("models list", "models:list_models", "serve", ("littoral models list",)),
    Verb("models show", "models:show", "serve", ("littoral models show smollm2-135m",)),
    Verb("models remove", "models:remove", "serve", ("littoral models remove mine --yes",)),
    Verb("models cancel", "models:cancel", "serve", ("littoral models cancel mine",)),
    Verb("rollout status", "rollout:status", "serve", ("littoral rollout status",)),
    Verb("rollout pause", "rollout:pause", "serve", ("littoral rollout pause chat",)),
    Verb("rollout resume", "rollout:resume", "serve", ("littoral rollout resume chat",)),
    Verb(
        "rollout undo",
        "rollout:undo",
        "serve",
        ("littoral rollout undo chat", "littoral rollout undo chat --local"),
    ),
    Verb("rollout promote", "rollout:promote", "serve", ("littoral rollout promote chat",)),
    Verb("releases add", "releases:add", "serve", ("littoral releases add ./dist/*.whl",)),
    Verb("releases list", "releases:list_releases", "serve", ("littoral releases list",)),
    Verb("releases remove", "releases:remove", "serve", ("littoral releases remove 0.2.0",)),
    Verb(
        "update start",
        "update:start",
        "serve",
        (
            "littoral update start 0.2.0",
            "littoral update start 0.2.0 --canary 10% --site harbour --minutes 30",
        ),
    ),
    Verb("update status", "update:status", "serve", ("littoral update status",)),
    Verb("update pause", "update:pause", "serve", ("littoral update pause",)),
    Verb("update resume", "update:resume", "serve", ("littoral update resume",)),
    Verb(
        "update undo",
        "update:undo",
        "serve",
        ("littoral update undo", "littoral update undo --local"),
    ),
    Verb(
        "models prune",
        "models:prune",
        "serve",
        ("littoral models prune --dry-run", "littoral models prune"),
    ),
    Verb("models delta", "models:delta", "serve", ("littoral models delta smol@1 smol@2",)),
    Verb("models catalogue", "models:catalogue", "serve", ("littoral models catalogue",)),
    Verb(
        "deploy",
        "deploy:deploy",
        "serve",
        (
            "littoral deploy smollm2-135m",
            "littoral deploy smollm2-135m --name small --slots 4 --context 4096",
            "littoral deploy gpt-x --engine openai --upstream office --serves chat",
            "littoral deploy echo --engine fake --option tpot_ms=20 --dry-run",
        ),
    ),
    Verb(
        "apply",
        "apply:apply",
        "serve",
        (
            "littoral apply -f site.yaml",
            "littoral apply -f site/ --dry-run",
            "cat x | littoral apply -f -",
        ),
    ),
    Verb("diff", "apply:diff", "serve", ("littoral diff -f site.yaml",)),
    Verb(
        "get",
        "get:get",
        "serve",
        ("littoral get deployments", "littoral get deployment smollm2-135m -o yaml"),
    ),
    Verb(
        "delete",
        "delete:delete",
        "serve",
        ("littoral delete deployment smollm2-135m", "littoral delete -f site.yaml --yes"),
    ),
    Verb(
        "cost edge",
        "cost:edge",
        "use",
        ("littoral cost edge --tokens-in 99 --tokens-out 50 --prefill-ms 3 --step-ms 9",),
    ),
    Verb(
        "cost cloud",
        "cost:cloud",
        "use",
        ("littoral cost cloud --tokens-in 99 --tokens-out 50 --prefill-ms 1 --step-ms 9",),
    ),
    Verb(
        "chat",
        "chat:chat",
        "use",
        (
            "littoral chat",
            'littoral chat smollm2-135m "Why is the sky blue?"',
            "cat letter.txt | littoral chat smollm2-135m --system 'Summarise in one sentence.'",
        ),
    ),
    Verb("deferred list", "deferred:list_deferred", "use", ("littoral deferred list",)),
    Verb("deferred show", "deferred:show", "use", ("littoral deferred show dfr_<id>",)),
    Verb("deferred result", "deferred:result", "use", ("littoral deferred result dfr_<id>",)),
    Verb("deferred cancel", "deferred:cancel", "use", ("littoral deferred cancel dfr_<id>",)),
    Verb(
        "keys create",
        "keys:create",
        "use",
        (
            "littoral keys create alice",
            "littoral keys create ci --models smollm2-135m --rpm 60 --expires 30d",
            "littoral keys create nightly --tpm 20000 --concurrent 4 --budget 20/month",
            "littoral keys create ops --scope read,write",
        ),
    ),
    Verb("keys list", "keys:list_keys", "use", ("littoral keys list",)),
    Verb(
        "keys tag",
        "keys:tag",
        "use",
        ("littoral keys tag nightly batch", "littoral keys tag ABCDEFGHIJ"),
    ),
    Verb("keys revoke", "keys:revoke", "use", ("littoral keys revoke ABCDEFGHIJ --yes",)),
    Verb(
        "bench run",
        "bench:run",
        "use",
        (
            "littoral bench run --rate 5 --slo ttft=0.5,tpot=50ms --html a.html",
            "littoral bench run small --trace conversations.csv --duration 5m",
            "littoral bench run m --url http://127.0.0.1:8000 --concurrency 16",
        ),
    ),
    Verb(
        "bench sweep",
        "bench_sweep:sweep",
        "use",
        ("littoral bench sweep --slo ttft=0.5,tpot=50ms --duration 60s --html a.html",),
    ),
    Verb(
        "bench compare",
        "bench:compare",
        "use",
        ("littoral bench compare before.json after.json",),
    ),
    Verb(
        "lab fleet",
        "lab:fleet",
        "use",
        (
            "littoral lab fleet --edges 1000 --hours 1",
            "littoral lab fleet --seed 7 --faults cut,kill,power --trace seed-7.txt",
        ),
    ),
    Verb(
        "usage",
        "usage:usage",
        "watch",
        ("littoral usage", "littoral usage --by key,model --since 7d", "littoral usage --json"),
    ),
    Verb(
        "shares",
        "shares:shares",
        "watch",
        ("littoral shares", "littoral shares --limit project:team-a", "littoral shares --json"),
    ),
    Verb("route explain", "route:explain", "watch", ("littoral route explain <x-request-id>",)),
    Verb(
        "route simulate",
        "route:simulate",
        "watch",
        ("littoral route simulate -f policy.yaml", "littoral route simulate -f - --limit 2000"),
    ),
    Verb(
        "placement report",
        "placement:report",
        "watch",
        (
            "littoral placement report",
            "littoral placement report --since 30d --html placement.html",
        ),
    ),
    Verb(
        "placement records",
        "placement:records",
        "watch",
        (
            "littoral placement records --since 1h",
            "littoral placement records --since 2026-11-01 --model tiny --csv > records.csv",
        ),
    ),
    Verb(
        "placement quality",
        "quality:quality",
        "watch",
        ("littoral placement quality", "littoral placement quality --json"),
    ),
    Verb("requests show", "requests:show", "watch", ("littoral requests show <x-request-id>",)),
    Verb(
        "nodes invite",
        "nodes:invite",
        "serve",
        (
            "littoral nodes invite",
            "littoral nodes invite --site harbour --label class=small --minutes 30",
        ),
    ),
    Verb(
        "nodes drain",
        "roster:drain",
        "serve",
        ("littoral nodes drain kiosk", "littoral nodes drain kiosk --timeout 120"),
    ),
    Verb("nodes cordon", "roster:cordon", "serve", ("littoral nodes cordon kiosk",)),
    Verb("nodes uncordon", "roster:uncordon", "serve", ("littoral nodes uncordon kiosk",)),
    Verb(
        "nodes label",
        "roster:label",
        "serve",
        ("littoral nodes label kiosk class=small", "littoral nodes label kiosk class="),
    ),
    Verb("nodes revoke", "roster:revoke", "serve", ("littoral nodes revoke kiosk --yes",)),
    Verb("nodes remove", "roster:remove", "serve", ("littoral nodes remove kiosk --yes",)),
    Verb(
        "nodes do",
        "roster:do",
        "serve",
        (
            "littoral nodes do kiosk probe",
            "littoral nodes do kiosk log_tail role=gateway lines=50",
            "littoral nodes do kiosk restart_engine deployment=small",
        ),
    ),
    Verb("sites list", "sites:list_sites", "serve", ("littoral sites list",)),
    Verb("sites show", "sites:show", "serve", ("littoral sites show harbour",)),
    Verb(
        "sites add",
        "sites:add",
        "serve",
        ("littoral sites add harbour --title 'Pier 4' --metered",),
    ),
    Verb("sites remove", "sites:remove", "serve", ("littoral sites remove harbour --yes",)),
    Verb("ca show", "sites:show_roots", "serve", ("littoral ca show",)),
    Verb(
        "ca rotate",
        "sites:rotate",
        "serve",
        ("littoral ca rotate", "littoral ca rotate --overlap-days 7"),
    ),
    Verb("nodes list", "nodes:list_nodes", "watch", ("littoral nodes list",)),
    Verb("nodes show", "nodes:show", "watch", ("littoral nodes show local",)),
    Verb(
        "nodes metrics",
        "metrics:metrics",
        "watch",
        ("littoral nodes metrics kiosk", "littoral nodes metrics kiosk --minutes 1440 --json"),
    ),
    Verb("events", "events:events", "watch", ("littoral events", "littoral events -f")),
)
"""In the order in which people need them."""
