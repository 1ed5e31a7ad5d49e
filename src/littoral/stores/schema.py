"""Tables of control: SQLAlchemy Core composes, APSW executes; and the steps that made them.

The tables are what statements are composed from, ``..._STEPS`` is what runs on a file: each step
expands the one before it and is never edited once released. A test holds the two together.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import REAL

from littoral.stores.sqlite import META, Step

BIG = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere; STRICT tables refuse the name BIGINT."""
FLOAT = Double[float]().with_variant(REAL, "sqlite")

_DIALECT = dialect.dialect(paramstyle="named")


def compiled(statement: ClauseElement) -> str:
    """The statement as SQLite's SQL with named parameters."""
    return str(statement.compile(dialect=_DIALECT))


CONTROL = MetaData()
COUNTER = Table(
    "counter",
    CONTROL,
    Column("name", Text, primary_key=True, nullable=False),
    Column("value", BIG, nullable=False),
    sqlite_strict=True,
)
RESOURCE = Table(
    "resource",
    CONTROL,
    Column("kind", Text, primary_key=True, nullable=False),
    Column("name", Text, primary_key=True, nullable=False),
    Column("version", BIG, nullable=False),
    Column("labels", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_us", BIG, nullable=False),
    Column("updated_us", BIG, nullable=False),
    sqlite_strict=True,
)
KEY = Table(
    "api_key",
    CONTROL,
    Column("id", Text, primary_key=True, nullable=False),
    Column("created_us", BIG, nullable=False),
    Column("body", Text, nullable=False),
    Column("secret", LargeBinary),
    sqlite_strict=True,
)
FACT = Table(
    "fact",
    CONTROL,
    Column("name", Text, primary_key=True, nullable=False),
    Column("value", LargeBinary, nullable=False),
    sqlite_strict=True,
)

LEDGER = MetaData()
CURSOR = Table(
    "cursor",
    LEDGER,
    Column("node", Text, primary_key=True, nullable=False),
    Column("outbox", Text, primary_key=True, nullable=False),
    Column("stored", BIG, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("safe", BIG, nullable=False),
    sqlite_strict=True,
)
LINE = Table(
    "line",
    LEDGER,
    Column("node", Text, nullable=False),
    Column("outbox", Text, nullable=False),
    Column("seq", BIG, nullable=False),
    Column("day", BIG, nullable=False),
    Column("request", Text, nullable=False),
    Column("attempt", BIG, nullable=False),
    Column("project", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("deployment", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("streamed", BIG, nullable=False),
    Column("estimated", BIG, nullable=False),
    Column("tokens_in", BIG, nullable=False),
    Column("tokens_cached", BIG, nullable=False),
    Column("tokens_out", BIG, nullable=False),
    Column("at_us", BIG, nullable=False),
    Column("first_us", BIG, nullable=False),
    Column("total_us", BIG, nullable=False),
    Column("predicted_us", BIG, nullable=False),
    Column("predicted_p90_us", BIG, nullable=False),
    Column("cost", FLOAT, nullable=False),
    Column("tag", Text, nullable=False),
    Column("decided", BIG, nullable=False),
    UniqueConstraint("request", "attempt"),
    Index("line_at", "at_us"),
    sqlite_strict=True,
)

CONTROL_STEPS: tuple[Step, ...] = (
    (
        META,
        "create table counter(name text not null primary key, value integer not null) strict",
        """\
create table resource(
  kind text not null, name text not null, version integer not null, labels text not null,
  spec text not null, created_us integer not null, updated_us integer not null,
  primary key(kind, name)
) strict""",
        """\
create table api_key(
  id text not null primary key, created_us integer not null, body text not null, secret blob
) strict""",
        "create table fact(name text not null primary key, value blob not null) strict",
    ),
    (
        """\
update api_key set body = json_remove(
  json_set(body, '$.limits', json_object(
    'requests_per_minute', json_extract(body, '$.requests_per_minute'))),
  '$.requests_per_minute')
where json_extract(body, '$.requests_per_minute') is not null""",
    ),
)
LEDGER_STEPS: tuple[Step, ...] = (
    (
        META,
        """\
create table cursor(
  node text not null, outbox text not null, stored integer not null, primary key(node, outbox)
) strict""",
        """\
create table line(
  node text not null, outbox text not null, seq integer not null, day integer not null,
  request text not null, attempt integer not null, project text not null, key text not null,
  model text not null, deployment text not null, endpoint text not null, status text not null,
  streamed integer not null, estimated integer not null, tokens_in integer not null,
  tokens_cached integer not null, tokens_out integer not null, at_us integer not null,
  first_us integer not null, total_us integer not null, predicted_us integer not null,
  predicted_p90_us integer not null, cost real not null,
  unique(request, attempt)
) strict""",
        "create index line_at on line(at_us)",
    ),
    (
        "alter table cursor add column mac blob not null default x''",
        "alter table cursor add column safe integer not null default 0",
    ),
    ("alter table line add column tag text not null default ''",),
    ("alter table line add column decided integer not null default 0",),
)
