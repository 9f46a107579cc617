"""What may happen to a mesh, as steps that a test strings together; and what it must come to."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from convergence.doubles import CENTRAL, REGION
from convergence.ends import allowed_now, recover
from convergence.mesh_in_process import MeshInProcess, Schema
from tagmesh.governance import Governance, load

from local_aws.access.identity import Caller
from local_aws.faults import error_of
from local_aws.wire import AwsError

MESH_FILE = """
version: 1
region: eu-west-1
lf_tags:
  domain:      {values: [sales, hr, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, unclassified], ordered: true, default: unclassified}
  pii:         {values: [none, contact, multiple, unknown], default: unknown}
"""
RULES = {
    "amount": "clear: {pii: none, sensitivity: internal}",
    "city": "clear: {pii: none, sensitivity: public}",
    "email": "raise: {pii: contact, sensitivity: confidential}",
    "note": "assign: {pii: contact, sensitivity: internal}",
}
STRICT = {**RULES, "amount": "clear: {pii: none, sensitivity: confidential}"}
SWAPPED = {
    **RULES,
    "city": "assign: {pii: contact, sensitivity: internal}",
    "note": "clear: {pii: none, sensitivity: public}",
}
FEWER = {name: RULES[name] for name in ("amount", "email")}
RULE_SETS = {"usual": RULES, "strict": STRICT, "swapped": SWAPPED, "fewer": FEWER}

SUBSCRIPTIONS = {
    "open": "{name: open, tags: {domain: [sales], sensitivity: [public, internal], pii: [none]}",
    "contacts": "{name: contacts, tags: {domain: [sales], sensitivity: [internal, confidential], pii: [contact, none]}",
    "all": "{name: all, tags: {domain: [sales, hr], sensitivity: [public, internal, confidential]}",
}
ACCOUNTS = {"analytics": "333333333333", "finance": "444444444444"}
PRODUCTS = {"orders": "sales", "customers": "sales", "people": "hr"}
COLUMNS = ("amount", "city", "email", "note", "mystery")
TYPES = {"amount": "float64", "city": "string", "email": "string", "note": "string", "mystery": "string"}
FOLDERS = ("first", "second")


@dataclass
class Wanted:
    """What the governance files are to say."""

    rules: str = "usual"
    products: tuple[str, ...] = ("orders", "customers")
    subscriptions: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"analytics": ("open",)})
    dropped: tuple[str, ...] = ()
    """Of the others than `products`."""

    def files(self) -> dict[str, str]:
        files = {"mesh.yaml": MESH_FILE}
        rules = "\n".join(
            f"  - {{id: test.{name}, when: {{column: {{words_any: [{name}]}}}}, {effect}, because: a test, "
            f"examples: {{match: [{name}], no_match: [other]}}}}"
            for name, effect in RULE_SETS[self.rules].items()
        )
        files["rules/all.yaml"] = f"rules:\n{rules}\n"
        for producer, account in (("sales", "111111111111"), ("hr", "222222222222")):
            own = {name: "active" for name in self.products if PRODUCTS[name] == producer}
            own |= {name: "dropped" for name in self.dropped if PRODUCTS[name] == producer}
            if own:
                listed = "\n".join(
                    f"  - {{name: {name}, location: 's3://{producer}-raw/{name}/', tags: {{domain: {producer}}}, "
                    f"state: {state}}}"
                    for name, state in own.items()
                )
                head = f'producer: {producer}\naccount: "{account}"\nowner: a@example.com\ndata_products:\n'
                files[f"producers/{producer}.yaml"] = f"{head}{listed}\n"
        for consumer, names in self.subscriptions.items():
            if names:
                listed = "\n".join(
                    f"  - {SUBSCRIPTIONS[name]}, principals: [{{role: {consumer}-{name}}}]}}" for name in names
                )
                head = f'consumer: {consumer}\naccount: "{ACCOUNTS[consumer]}"\nowner: a@example.com\nsubscriptions:\n'
                files[f"consumers/{consumer}.yaml"] = f"{head}{listed}\n"
        return files


class Exposure:
    """Checked after every call of deployed code: nobody reads what the governance in force denies, unless it was
    readable before it came in force, or before a person did something by hand; and what is closed stays closed."""

    def __init__(self, mesh: MeshInProcess) -> None:
        self.mesh = mesh
        self.calls = 0
        self.governance: Governance | None = None
        self.tolerated: set[tuple[str, str, str]] = set()
        self.opened: set[tuple[str, str]] = set()
        """(database.table, column) that a person has opened and no run of ours has tagged since: grants reach them."""
        self.loosened: set[str] = set()
        """Databases that a person has tagged and no run of ours since: columns without tags of their own inherit it."""
        mesh.after_call.append(self._after)

    def _after(self, service: str, operation: str, params: dict, caller: Caller) -> None:
        if service == "dynamodb" and operation == "UpdateItem" and params["Key"]["unit"]["S"] == "governance":
            self.look_again()
            return
        if operation == "AddLFTagsToResource" and (tagged := params["Resource"].get("TableWithColumns")):
            named = f"{tagged['DatabaseName']}.{tagged['Name']}"
            self.opened -= {(named, column) for column in tagged["ColumnNames"]}
        if operation == "AddLFTagsToResource" and (tagged := params["Resource"].get("Database")):
            self.loosened.discard(tagged["Name"])
        if service in ("lakeformation", "glue", "ram") and not operation.startswith(("Get", "List", "Search")):
            self.check(f"{service}:{operation} {params}")

    def look_again(self) -> None:
        """Something else than our own work has changed: what is open now is not its fault."""
        in_force = self.mesh.tables.items("units").get(("governance",), {}).get("version", {}).get("S", "")
        if in_force and (self.governance is None or self.governance.digest != in_force):
            body = self.mesh.objects.buckets["tagmesh-governance"][f"versions/{in_force}.json"]
            self.governance = _loaded(body)
        self.tolerated = self._denied()

    def check(self, call: str) -> None:
        self.calls += 1
        denied = self._denied()
        fresh = {each for each in denied - self.tolerated if not self._by_hand(*each[1:])}
        if fresh:
            # Noted, not raised: deployed code catches what its calls raise.
            self.mesh.wrong.append(f"{sorted(fresh)} can be read after {call[:300]}")
        self.tolerated = denied & (self.tolerated | fresh)

    def _by_hand(self, table: str, column: str) -> bool:
        return (table, column) in self.opened or table.partition(".")[0] in self.loosened

    def _denied(self) -> set[tuple[str, str, str]]:
        read = self.mesh.readable()
        if not read:
            return read
        return read - (allowed_now(self.mesh, self.governance) if self.governance else set())


_LOADED: dict[bytes, Governance] = {}


def _loaded(body: bytes) -> Governance:
    if body not in _LOADED:
        _LOADED[body] = load(json.loads(body)["files"])
    return _LOADED[body]


class History:
    """A mesh, what its files are to say, and the steps that may happen to it."""

    def __init__(self, mesh: MeshInProcess, chance: random.Random) -> None:
        self.mesh, self.chance = mesh, chance
        self.wanted = Wanted()
        self.exposure = Exposure(mesh)
        self.told: list[str] = []
        mesh.provide(load(Wanted("usual", tuple(PRODUCTS), dict.fromkeys(ACCOUNTS, tuple(SUBSCRIPTIONS))).files()))
        self.govern()
        if chance.random() < 0.8:  # most begin with a mesh at work
            for product in load(self.wanted.files()).data_products:
                for folder in FOLDERS:
                    mesh.upload(product, folder, tuple(TYPES.items()))
            self.rest()

    def step(self) -> None:
        """One random thing that happens, and some of the work under way."""
        name, step = self.chance.choice(STEPS)
        self.told.append(name)
        step(self)
        for _ in range(self.chance.choice((0, 0, 1, 2, 5, 50))):
            self.work()

    def work(self) -> None:
        """Lets one thing happen that is under way, any."""
        waiting = [each for each in (self.mesh.executions, self.mesh.events, self.mesh.crawls) if each]
        if waiting:
            some = self.chance.choice(waiting)
            some.pop(self.chance.randrange(len(some)))()

    # -- steps

    def govern(self) -> None:
        self.mesh.apply(self.wanted.files())

    def edit_rules(self) -> None:
        self._other_rules()
        self.govern()

    def edit_consumers(self) -> None:
        self._other_consumers()
        self.govern()

    def edit_products(self) -> None:
        self._other_products()
        self.govern()

    def edit_all(self) -> None:
        """One version that takes away here and gives there."""
        self._other_rules()
        self._other_consumers()
        if self.chance.random() < 0.3:
            self._other_products()
        self.govern()

    def _other_rules(self) -> None:
        self.wanted.rules = self.chance.choice([name for name in RULE_SETS if name != self.wanted.rules])

    def _other_consumers(self) -> None:
        consumer = self.chance.choice(list(ACCOUNTS))
        names = [name for name in SUBSCRIPTIONS if self.chance.random() < 0.4]
        self.wanted.subscriptions = {**self.wanted.subscriptions, consumer: tuple(names)}

    def _other_products(self) -> None:
        """Some leave the files, some are dropped, and some come back."""
        self.wanted.products = tuple(name for name in PRODUCTS if self.chance.random() < 0.7) or ("orders",)
        gone = [name for name in PRODUCTS if name not in self.wanted.products]
        self.wanted.dropped = tuple(name for name in gone if self.chance.random() < 0.5)

    def upload(self) -> None:
        governance = load(self.wanted.files())
        product = self.chance.choice(governance.data_products)
        names = self.chance.sample(COLUMNS, self.chance.randint(1, len(COLUMNS)))
        schema: Schema = tuple((name, TYPES[name]) for name in names)
        told = self.chance.choice((0, 1, 1, 1, 3))
        self.mesh.upload(product, self.chance.choice(FOLDERS), schema, told=told)

    def lose_events(self) -> None:
        self.mesh.events.clear()

    def pass_time(self) -> None:
        self.mesh.wait(self.chance.choice((1, 60, 901, 4000)))

    def rest(self) -> None:
        """Everything comes to an end before the next thing happens."""
        self.mesh.settle()
        self.mesh.wait(1000)
        self.mesh.sweep()

    def schedule(self) -> None:
        self.mesh._start("tagmesh-sweep", f"sweep-{self.chance.random()}", {"reason": "schedule"})

    # -- by hand

    def by_hand(self, service: str, operation: str, account: str = CENTRAL, **params: Any) -> dict | None:
        """What a person does as the administrator of an account; None if AWS refuses it."""
        name = "tagmesh-automation" if account == CENTRAL else "tagmesh-consumer"
        arn = f"arn:aws:iam::{account}:role/{name}"
        handler = self.mesh.world.handler(service, operation)
        try:
            return handler(Caller(account, REGION, arn, arn), **params)
        except AwsError:
            return None
        finally:
            self.exposure.look_again()

    def _table(self) -> Any:
        tables = [table for database in self.mesh._databases() for table in database.tables.values()]
        return self.chance.choice(tables) if tables else None

    def open_by_hand(self) -> None:
        if table := self._table():
            columns = self.chance.sample(table.column_names, self.chance.randint(1, len(table.column_names)))
            named = {"DatabaseName": table.database, "Name": table.name, "ColumnNames": columns}
            tags = [
                {"TagKey": key, "TagValues": [value]} for key, value in (("sensitivity", "public"), ("pii", "none"))
            ]
            self.exposure.opened |= {(f"{table.database}.{table.name}", column) for column in columns}
            self.by_hand("lakeformation", "AddLFTagsToResource", Resource={"TableWithColumns": named}, LFTags=tags)

    def untag_by_hand(self) -> None:
        if table := self._table():
            column = self.chance.choice(table.column_names)
            key = self.chance.choice(("sensitivity", "pii"))
            named = {"DatabaseName": table.database, "Name": table.name, "ColumnNames": [column]}
            for value in ("public", "internal", "confidential", "none", "contact"):
                tags = [{"TagKey": key, "TagValues": [value]}]
                named_too = {"TableWithColumns": named}
                self.by_hand("lakeformation", "RemoveLFTagsFromResource", Resource=named_too, LFTags=tags)

    def drop_table(self) -> None:
        if table := self._table():
            self.by_hand("glue", "DeleteTable", DatabaseName=table.database, Name=table.name)

    def drop_database(self) -> None:
        databases = list(self.mesh._databases())
        if databases:
            self.by_hand("glue", "DeleteDatabase", Name=self.chance.choice(databases).name)

    def drop_link(self) -> None:
        account = self.chance.choice(list(ACCOUNTS.values()))
        links = [each for each in self.mesh.world.engines["glue"].lookup.databases(account) if each.is_link]
        if links:
            self.by_hand("glue", "DeleteDatabase", account, Name=self.chance.choice(links).name)

    def revoke_by_hand(self) -> None:
        account = self.chance.choice([CENTRAL, *ACCOUNTS.values()])
        listed = self.by_hand("lakeformation", "ListPermissions", account, CatalogId=CENTRAL) or {}
        rows = [
            row
            for row in listed.get("PrincipalResourcePermissions", [])
            if "LFTagPolicy" in row["Resource"] or "LFTag" in row["Resource"]
        ]
        if rows:
            row = self.chance.choice(rows)
            given = {key: row[key] for key in ("Principal", "Resource", "Permissions", "PermissionsWithGrantOption")}
            self.by_hand("lakeformation", "RevokePermissions", account, CatalogId=CENTRAL, **given)

    def tag_database_by_hand(self) -> None:
        databases = list(self.mesh._databases())
        if databases:
            name = self.chance.choice(databases).name
            named = {"Database": {"Name": name}}
            tags = [{"TagKey": "sensitivity", "TagValues": ["confidential"]}]
            if self.by_hand("lakeformation", "AddLFTagsToResource", Resource=named, LFTags=tags) is not None:
                self.exposure.loosened.add(name)

    def break_a_call(self) -> None:
        """One of the next calls of deployed code fails."""
        after, fault = self.chance.randint(0, 60), self.chance.choice(("throttle", "error", "concurrent"))
        counted = 0

        def fail(service: str, operation: str, params: dict, caller: Caller) -> None:
            nonlocal counted
            counted += 1
            if counted > after and service != "lambda":
                self.mesh.on_call.remove(fail)
                raise error_of(fault, service, operation, caller.principal)

        self.mesh.on_call.append(fail)

    def end(self) -> None:
        """No more happens; whatever is under way goes on, and the sweep does the rest."""
        recover(self.mesh, sweeps=4)


STEPS: list[tuple[str, Callable[[History], None]]] = [
    (step.__name__, step)
    for step, weight in (
        (History.upload, 5),
        (History.edit_rules, 2),
        (History.edit_consumers, 2),
        (History.edit_all, 4),
        (History.edit_products, 1),
        (History.lose_events, 1),
        (History.pass_time, 2),
        (History.schedule, 2),
        (History.rest, 3),
        (History.open_by_hand, 3),
        (History.untag_by_hand, 2),
        (History.drop_table, 2),
        (History.drop_database, 1),
        (History.drop_link, 2),
        (History.revoke_by_hand, 2),
        (History.tag_database_by_hand, 1),
        (History.break_a_call, 2),
    )
    for _ in range(weight)
]
