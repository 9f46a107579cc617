"""Carries out the planned LF-Tag assignments, and asks for the shares that they change."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from tagmesh import expressions
from tagmesh.aws import decisions, events, governance_store, lakeformation, ledger, plans, published, runs, units
from tagmesh.aws.session import client
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import Consumer, DataProduct, Governance

logger = Logger()
metrics = Metrics()

SPARE = 60  # seconds of the function's time that are left for what comes after the last tag call


@logger.inject_lambda_context
@metrics.log_metrics
def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """`{unit, token, correlation_id, plan}` in; `{unit, calls, shares}` out."""
    logger.set_correlation_id(event["correlation_id"])
    dynamodb = client("dynamodb")
    lease = units.Lease(event["unit"], event["token"])
    try:
        units.advance(dynamodb, lease, "publishing", tagged={"BOOL": True})
        with units.freed_on_failure(dynamodb, lease):
            planned = plans.read(client("s3"), event["plan"])

            def seconds_left() -> float:
                return context.get_remaining_time_in_millis() / 1000

            return publish(dynamodb, lease, planned, event["correlation_id"], seconds_left)
    except units.LeaseLost as lost:
        logger.info("superseded", extra={"reason": str(lost)})
        return {"unit": lease.unit, "calls": 0, "shares": [], "reason": str(lost)}
    except governance_store.GovernanceChanged as changed:
        runs.start_publish(dynamodb, client("stepfunctions"), lease.unit, event["correlation_id"])
        return {"unit": lease.unit, "calls": 0, "shares": [], "reason": str(changed)}


def publish(
    dynamodb: Any,
    lease: units.Lease,
    planned: Mapping[str, Any],
    correlation_id: str,
    seconds_left: Callable[[], float],
) -> dict[str, Any]:
    """Applies the plan, records why, frees the data product, and sets going what follows from it.

    What a new version opens waits until what it takes away from consumers is taken: then this run is asked for again.
    So it is where there are more calls than time: the next run plans what is left.
    """
    governance = governance_store.current(client("s3"), dynamodb)
    governance_store.check_planned(governance, planned)
    product = governance.data_product(lease.unit)
    if product is None:
        raise governance_store.GovernanceChanged(f"{lease.unit} has left the governance files")
    known = units.read_all(dynamodb)
    before = known.get(lease.unit, units.Unit(lease.unit))
    units.holds(dynamodb, lease)
    if planned["actions"] or before.version != governance.version_of(lease.unit):
        units.begin_changes(dynamodb, lease, "publishing", before, governance.version_of(lease.unit))
    settled = record(dynamodb, lease, before.whole, planned, correlation_id)
    settled.add((product.database, None))
    if before.version != governance.version_of(lease.unit):
        settled.clear()  # it is a new version that asks for something else
    waits_for = units.not_revoked(known, governance)
    calls, in_time = apply(dynamodb, lease, governance, planned, close_only=bool(waits_for), seconds_left=seconds_left)
    whole = calls == len(planned["actions"])
    carried = carried_tables(governance, product, planned["decisions"])
    if whole:
        published.write(client("s3"), product, carried)
    # Asked for before this run ends: if it breaks off here, it is done again and asks again.
    changed = [consumer for consumer in governance.consumers if reads_otherwise(dynamodb, product, consumer, carried)]
    for consumer in changed:
        units.request(dynamodb, consumer.unit, correlation_id)
    unit = units.finish(
        dynamodb,
        lease,
        # A folder that is found without a table is crawled once more: its table may have been dropped since the crawl.
        covered=planned["covered"] and whole and before.bare.issuperset(planned["bare"]),
        findings=planned["findings"],
        doubted=not whole,
        version=governance.version_of(lease.unit) if whole else "",
        recheck=planned["recheck"],
        # What is missing without a crawl somebody dropped: the sweep has it crawled again.
        tables=[decided["table"] for decided in planned["decisions"]] if whole and planned["covered"] else None,
        bare=planned["bare"],
        misfits=planned["misfits"],
        failures=0 if planned["covered"] else None,
    )
    metrics.add_metric("TagCalls", MetricUnit.Count, calls)
    waits = "tags closed; opening waits for revocations" if in_time else "some tags applied; the next run goes on"
    logger.info(
        "tags applied" if whole else waits,
        extra={"unit": lease.unit, "calls": calls, "shares": [consumer.name for consumer in changed]},
    )
    drifted = repaired(planned, calls, settled)
    events.drift_repaired(client("events"), product.unit, governance.digest, drifted, correlation_id)
    if in_time or calls:  # a run that had no time for a single call is not repeated at once
        go_on(dynamodb, governance, product, unit, changed, correlation_id, in_time)
    return {"unit": lease.unit, "calls": calls, "shares": [consumer.name for consumer in changed]}


def go_on(
    dynamodb: Any,
    governance: Governance,
    product: DataProduct,
    unit: units.Unit,
    changed: list[Consumer],
    correlation_id: str,
    in_time: bool,
) -> None:
    """Starts what this run has made possible, where nobody else is at it; whatever fails here, the sweep finds."""
    sfn, known = client("stepfunctions"), units.read_all(dynamodb)
    for consumer in changed:
        runs.start_share(dynamodb, sfn, consumer.unit, correlation_id)
    runs.start_waiting_shares(dynamodb, sfn, governance, known, correlation_id)
    behind = unit.version != governance.version_of(unit.name) and not units.not_revoked(known, governance)
    if behind or not in_time:
        runs.start_publish(dynamodb, sfn, product.unit, correlation_id)
    elif runs.crawl_is_due(product, unit):
        runs.start_crawl(dynamodb, sfn, product, unit.correlation_id)


def apply(
    dynamodb: Any,
    lease: units.Lease,
    governance: Governance,
    planned: Mapping[str, Any],
    *,
    close_only: bool,
    seconds_left: Callable[[], float],
) -> tuple[int, bool]:
    """The planned calls in order, up to the first that is more than closing where only that is safe yet, or as many as
    there is time for; how many, and whether there was.

    Before each one that may open something, the lease and the governance version are checked: also before those that
    are meant for what is closed: another run may have opened it meanwhile, or it was seen as it had been before.

    Raises:
        LeaseLost: another run holds the data product.
        GovernanceChanged: another version is in force.
    """
    lf = client("lakeformation")
    defaults = {key.name: key.default for key in governance.lf_tags}
    for done, action in enumerate(planned["actions"]):
        if seconds_left() < SPARE:
            return done, False
        if any(value != defaults.get(key) for key, value in action["tags"].items()):
            if close_only:
                return done, True
            units.holds(dynamodb, lease)
            governance_store.check_in_force(dynamodb, governance)
        if action["table"] is None:
            lakeformation.tag_database(lf, action["database"], action["tags"])
        elif action["columns"]:
            lakeformation.tag_columns(lf, action["database"], action["table"], action["columns"], action["tags"])
        else:
            lakeformation.tag_table(lf, action["database"], action["table"], action["tags"])
    return len(planned["actions"]), True


def repaired(
    planned: Mapping[str, Any], calls: int, settled: Container[tuple[str, str | None]]
) -> list[dict[str, Any]]:
    """What the calls put right that somebody had changed: whatever they did to what had been as it is to be."""
    columns: dict[tuple[str, str | None], set[str]] = {}
    for action in planned["actions"][:calls]:
        where = (action["database"], action["table"])
        if where in settled:
            columns.setdefault(where, set()).update(action["columns"])
    return [events.tags_repaired(*where, sorted(names)) for where, names in columns.items()]


def record(
    dynamodb: Any, lease: units.Lease, whole: int, planned: Mapping[str, Any], correlation_id: str
) -> set[tuple[str, str | None]]:
    """Keeps, for each table, what was decided and why, where it differs from what the ledger has.

    Args:
        whole: the token of the last run that was carried out whole.

    Returns:
        (database, table) of those for which a run that was carried out whole had decided the same.
    """
    settled: set[tuple[str, str | None]] = set()
    known = ledger.made_by(dynamodb, lease.unit)
    for decided in planned["decisions"]:
        made = ledger.tags_of(decided["database"], decided["table"])
        digest, created = decisions.digest(decided), planned["created"].get(decided["table"])
        before = known.get(made, {}).get("detail", {})
        same = before.get("digest") == digest
        if same and before["token"] <= whole:
            settled.add((decided["database"], decided["table"]))
        if same and before.get("created") == created:
            continue
        key = plans.write(client("s3"), f"decisions/{decided['database']}/{decided['table']}/{digest}.json", decided)
        detail = {"digest": digest, "created": created, "decisions": key, "token": lease.token}
        detail |= ledger.written_before(before, whole)
        ledger.record(dynamodb, lease.unit, made, "tags", detail, "classification", planned["version"])
        if same:
            continue
        said = {"version": planned["version"], "correlation_id": correlation_id, "decisions": key}
        ledger.remember(dynamodb, decided["database"], decided["table"], lease.token, said)
    return settled


def carried_tables(
    governance: Governance, product: DataProduct, decided: Iterable[Mapping[str, Any]]
) -> list[tuple[Table, AssignedTags]]:
    """The tables of a plan's decisions, with the LF-Tags that they carry when it is carried out."""
    carried = []
    for table in decided:
        tags = {column: {key: made["value"] for key, made in keys.items()} for column, keys in table["columns"].items()}
        named = Table(
            table["database"],
            table["table"],
            tuple(Column(name) for name in tags if name not in table["partition_keys"]),
            tuple(Column(name) for name in table["partition_keys"]),
        )
        carried.append((named, AssignedTags(expressions.database_tags(governance, product), {}, tags)))
    return carried


def reads_otherwise(
    dynamodb: Any, product: DataProduct, consumer: Consumer, carried: Iterable[tuple[Table, AssignedTags]]
) -> bool:
    """Whether the consumer can read something else of the data product than it was last told."""
    readable = expressions.readable(carried, consumer.subscriptions).get(product.database, {})
    told = units.read(dynamodb, consumer.unit).published
    return told.get(product.unit, expressions.fingerprint({})) != expressions.fingerprint(readable)
