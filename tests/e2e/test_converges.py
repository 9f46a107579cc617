"""What tests/convergence shows in one process, in small on a deployed mesh: over HTTP, with IAM, and with functions in
processes of their own. Whatever fails, in the end everybody reads exactly the columns that the governance says, and on
the way nobody reads what neither the old version nor the new one lets them."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from demo_run import run_demo, tagmesh
from deployed import CENTRAL, SALES, Mesh, role
from tagmesh.governance import read_folder

from cli import local
from cli.athena_client import QueryRefused, query
from cli.project import ROOT
from local_aws.faults import OF_EVENTS

pytestmark = pytest.mark.slow

USUAL = read_folder(ROOT / "mesh")
OVERRIDES = """overrides:
  - {data_product: sales/customers, table: customers, column: email, author: ann, approved_by: bo,
     reason: a survey, tags: {pii: none, sensitivity: internal}}
  - {data_product: sales/customers, table: customers, column: segment, author: ann, approved_by: bo,
     reason: it names persons after all, tags: {pii: identity, sensitivity: confidential}}
"""
WORKFORCE = "pii: [none, contact, identity]"
SWAPPED = {
    **USUAL,
    "overrides/swapped.yaml": OVERRIDES,
    "consumers/people_insights.yaml": USUAL["consumers/people_insights.yaml"].replace(
        WORKFORCE, "pii: [none, contact, financial]"
    ),
}
"""Takes `segment` from those who read sales, and names from PeopleAnalyst; gives `email`, and salaries."""
VERSIONS = {"usual": USUAL, "swapped": SWAPPED}

PEOPLE = {
    "Analyst": "333333333333",
    "FinanceAnalyst": "444444444444",
    "PeopleAnalyst": "222222222222",
}
SALES_READ = {
    "sales_orders.products": "product_code product_name category list_price stock_quantity",
    "sales_customers.customers": "segment created_at",
    "hr_people.employees": "",
}
WANTED = {
    "usual": {
        "Analyst": SALES_READ,
        "FinanceAnalyst": SALES_READ | {"hr_people.employees": "salary department hired_on"},
        "PeopleAnalyst": {
            "sales_orders.products": "",
            "sales_customers.customers": "",
            "hr_people.employees": "employee_id full_name work_email department hired_on",
        },
    },
    "swapped": {
        "Analyst": SALES_READ | {"sales_customers.customers": "email created_at"},
        "FinanceAnalyst": SALES_READ
        | {"sales_customers.customers": "email created_at", "hr_people.employees": "salary department hired_on"},
        "PeopleAnalyst": {
            "sales_orders.products": "",
            "sales_customers.customers": "",
            "hr_people.employees": "work_email salary department hired_on",
        },
    },
}
NEW_COLUMNS = b"order_id,email,quantity,unheard_of\n1,someone@example.com,2,x\n"
NEW_READ = {"Analyst": "order_id quantity", "FinanceAnalyst": "order_id quantity", "PeopleAnalyst": ""}
"""What is to be read of a table of sales/orders that has NEW_COLUMNS, under either version."""


def wanted(version, new_tables=()):
    """(person, database.table, column) of all that may be read in the tables that are looked at."""
    tables = {person: {**read} for person, read in WANTED[version].items()}
    for person, columns in NEW_READ.items():
        tables[person] |= {f"sales_orders.{table}": columns for table in new_tables}
    return {
        (person, table, column)
        for person, read in tables.items()
        for table, columns in read.items()
        for column in columns.split()
    }


class Trial:
    """A deployed mesh to which things happen, and what people read of it."""

    def __init__(self, port):
        self.mesh = Mesh(port)
        self.server = local.Server(0, "", port)
        self.version = "usual"
        self.new_tables = []
        """Tables made by these tests, each with NEW_COLUMNS; the last of them is looked at."""

    # -- what happens

    def fault(self, **fault):
        local.tell(self.server, "POST", "faults", fault)

    def heal(self):
        """No fault happens any more; those that never did."""
        missed = self.to_strike()
        local.tell(self.server, "DELETE", "faults", {})
        return missed

    def to_strike(self):
        """The faults that have not happened yet."""
        asked = local.ask(self.server, "faults")
        return [
            (each["fault"], each["operation"] or each["event"], each["principal"]) for each in asked if not each["hits"]
        ]

    def other(self):
        """The version that is not in force."""
        return "swapped" if self.version == "usual" else "usual"

    def upload(self, table):
        self.new_tables.append(table)
        self.mesh.upload(*SALES, f"orders/{table}/a.csv", NEW_COLUMNS)

    def put(self, version):
        """A version is uploaded; it comes in force when the mesh comes to it."""
        body = json.dumps({"files": VERSIONS[version]}).encode()
        bucket = f"tagmesh-governance-{CENTRAL}-eu-west-1"
        self.mesh.client(CENTRAL, "s3").put_object(Bucket=bucket, Key="governance.json", Body=body)

    def settle(self, *versions):
        """Waits until nothing is under way, and lets time pass for what waits for it; asks meanwhile that nobody reads
        more than the versions let them."""
        for look in range(1, 40):
            idle = local.tell(self.server, "POST", "idle", {"timeout": 2}, timeout=30)["idle"]
            self.harmless(*versions)
            if idle:
                return
            if look % 3 == 0:
                self.mesh.pass_time(700)
        raise AssertionError("the mesh did not come to rest")

    def swap(self, table):
        """Data comes, and a version that takes away and gives; time passes until each fault has struck, or an hour."""
        old, new = self.version, self.other()
        self.upload(table)
        self.put(new)
        self.settle(old, new)
        for _ in range(3):
            self.mesh.pass_time(1000)
            self.settle(old, new)
            if not self.to_strike():
                break
        self.version = new
        return old, new

    def recover(self, *versions):
        """Nothing goes wrong any more: dead letters are replayed, and some sweeps do the rest."""
        self.settle(*versions)
        told = tagmesh("replay", "--port", self.mesh.port)
        assert told.returncode in (0, 1), told.stdout
        for _ in range(3):
            self.mesh.pass_time(7 * 3600, skip=True)
            self.mesh.pass_time(1000)
            self.settle(*versions)
            if self.read() == wanted(self.version, self.new_tables[-1:]) and not self.behind():
                break

    # -- what people read

    def read(self):
        """(person, database.table, column) that Athena answers with, in the tables that are looked at."""
        tables = [*WANTED["usual"]["Analyst"], *(f"sales_orders.{table}" for table in self.new_tables[-1:])]
        asked = [(person, table) for person in PEOPLE for table in tables]
        # Assumed anew each time: hours pass here, and credentials live for one.
        athena = {person: role(self.mesh.place, PEOPLE[person], person).client("athena") for person in PEOPLE}
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(lambda each: _columns(athena[each[0]], each[1]), asked)
        return {(*each, column) for each, columns in zip(asked, answers, strict=True) for column in columns}

    def harmless(self, *versions):
        read = self.read()
        too_much = read - set().union(*(wanted(version, self.new_tables[-1:]) for version in versions))
        assert not too_much, f"nobody may read {sorted(too_much)}"
        return read

    def holds(self):
        """Everybody reads exactly what the version says; no unit has anything left to do or to mend."""
        read, expected = self.read(), wanted(self.version, self.new_tables[-1:])
        assert read == expected, f"too much: {sorted(read - expected)}, too little: {sorted(expected - read)}"
        assert not self.behind()

    def behind(self):
        """The units that have not come to their version, with what keeps them."""
        return {name: unit.findings for name, unit in self.mesh.settle().items() if unit.behind}

    def tables(self):
        """table -> its columns with types and LF-Tags, of the data product that these tests add tables to."""
        return {
            each.table: tuple((column.name, column.type, column.lf_tags) for column in each.all_columns)
            for each in self.mesh.catalogue()
            if each.database == "sales_orders"
        }

    def grants(self):
        """What is granted in the central catalogue to whom, without what says when it was granted."""
        lake = self.mesh.client(CENTRAL, "lakeformation")
        rows, token = [], {}
        while True:
            page = lake.list_permissions(**token)
            rows += page["PrincipalResourcePermissions"]
            if not page.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        given = ("Principal", "Resource", "Permissions", "PermissionsWithGrantOption")
        return {json.dumps([row.get(name) for name in given], sort_keys=True) for row in rows}

    def writes(self, before):
        """Calls since `before` (counts) that change something, by operation."""
        reads = ("Get", "List", "Search", "Describe", "BatchGet", "Scan", "Query", "AssumeRole")
        return {
            operation: count - before.get(operation, 0)
            for operation, count in self.mesh.counts().items()
            if operation.startswith(("lakeformation:", "glue:", "ram:", "s3:", "dynamodb:", "events:"))
            and not operation.partition(":")[2].startswith(reads)
            and count > before.get(operation, 0)
        }


def _columns(athena, table):
    """The columns of a table that Athena shows somebody; none where it refuses."""
    database, _, name = table.partition(".")
    try:
        return query(athena, f"SELECT * FROM {name} LIMIT 0", database).columns
    except QueryRefused:
        return ()


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    run = run_demo(tmp_path_factory.mktemp("converges"), "--keep")
    assert run.code == 0, run.printed
    yield Trial(run.port)
    tagmesh("local", "down", "--port", run.port)


# ── Whatever fails ──────────────────────────────────────────────────────────────────────────────────────────

TAG, GRANT = "lakeformation:AddLFTagsToResource", "lakeformation:BatchGrantPermissions"
REVOKE, CONSUMER = "lakeformation:BatchRevokePermissions", "tagmesh-consumer/"
ROUNDS = (
    (
        ("throttle", "tagmesh-record-uploads", "dynamodb:UpdateItem", 2),
        ("throttle", "tagmesh-prepare-crawl", "dynamodb:UpdateItem", 2),
        ("error", "tagmesh-crawl-machine", "glue:StartCrawler", 2),
        ("timeout_before", "tagmesh-classify-tables", "glue:GetTables", 1),
        ("failures", "tagmesh-apply-tags", TAG, 1),
        ("timeout_after", "tagmesh-grant-access", GRANT, 1),
        ("crash_before", "tagmesh-link-consumer", "sts:AssumeRole", 1),
        ("partial", CONSUMER, GRANT, 1),
        ("crash_after", "tagmesh-load-governance", "dynamodb:UpdateItem", 1),
        ("lose", "", "Glue Crawler State Change", 1),
    ),
    (
        ("crash_after", "tagmesh-record-uploads", "dynamodb:UpdateItem", 1),
        ("denied", "tagmesh-prepare-crawl", "dynamodb:UpdateItem", 1),
        ("error", "tagmesh-classify-tables", "s3:PutObject", 2),
        ("concurrent", "tagmesh-apply-tags", TAG, 12),
        ("crash_before", "tagmesh-grant-access", GRANT, 1),
        ("timeout_before", "tagmesh-link-consumer", "sts:AssumeRole", 1),
        ("failures", CONSUMER, REVOKE, 1),
        ("denied", "tagmesh-load-governance", "s3:GetObject", 1),
        ("duplicate", "", "*", 0),
    ),
    (
        ("timeout_after", "tagmesh-record-uploads", "dynamodb:UpdateItem", 1),
        ("timeout_after", "tagmesh-prepare-crawl", "dynamodb:UpdateItem", 1),
        ("throttle", "tagmesh-crawl-machine", "glue:StartCrawler", 2),
        ("crash_before", "tagmesh-classify-tables", "s3:PutObject", 1),
        ("crash_after", "tagmesh-apply-tags", TAG, 1),
        ("failures", "tagmesh-grant-access", REVOKE, 1),
        ("error", "tagmesh-link-consumer", "sts:AssumeRole", 2),
        ("concurrent", CONSUMER, REVOKE, 3),
        ("error", "tagmesh-sweep-mesh", "dynamodb:Scan", 2),
        ("delay", "", "Object Created", 0),
    ),
    (
        ("denied", "tagmesh-record-uploads", "dynamodb:UpdateItem", 1),
        ("crash_before", "tagmesh-sweep-mesh", "dynamodb:Scan", 1),
        ("denied", "tagmesh-crawl-machine", "glue:StartCrawler", 1),
        ("partial", "tagmesh-apply-tags", TAG, 1),
        ("denied", "tagmesh-apply-tags", TAG, 1),
        ("partial", "tagmesh-grant-access", REVOKE, 1),
        ("throttle", "tagmesh-link-consumer", "sts:AssumeRole", 2),
        ("crash_after", CONSUMER, GRANT, 1),
        ("timeout_after", "tagmesh-load-governance", "dynamodb:UpdateItem", 1),
        ("stale", "tagmesh-classify-tables", "glue:GetTables", 0),
        ("stale", "tagmesh-grant-access", "lakeformation:ListPermissions", 0),
        ("stale", CONSUMER, "glue:GetDatabases", 0),
        ("lose", "", "DataProductPublished", 1),
    ),
)
"""What happens in a life of the mesh: the fault, who makes the call, the operation (or the event), and how often; 0 is
always. From one life to the next a function is struck by other faults; where one keeps a crawl from starting, nothing
that comes after a crawl is."""


@pytest.mark.parametrize("number", range(len(ROUNDS)))
def test_everybody_reads_what_the_version_says_whatever_failed(trial, number):
    for kind, who, what, times in ROUNDS[number]:
        about = {"event": what} if kind in OF_EVENTS else {"operation": what, "principal": who}
        seconds = {"stale": 60.0, "delay": 400.0}.get(kind, 0.0)
        trial.fault(fault=kind, times=times, seconds=seconds, **about)

    versions = trial.swap(f"new_{number}")
    missed = trial.heal()
    trial.recover(*versions)

    trial.holds()
    assert not missed, "these never happened"


# ── A version that takes away and gives ─────────────────────────────────────────────────────────────────────


def test_a_version_that_is_taken_back_half_way_leaves_what_was_readable_before(trial):
    """The half that is done: what it takes away. What it gives does not come for the time being."""
    old, new = trial.version, trial.other()
    for who, operation in (("tagmesh-apply-tags", TAG), (CONSUMER, GRANT)):
        trial.fault(fault="denied", operation=operation, principal=who, skip=1, times=0)
    trial.put(new)
    trial.settle(old, new)
    half = trial.harmless(old, new)
    assert half != wanted(new, trial.new_tables[-1:]), "it is half way"

    trial.put(old)
    trial.settle(old, new)
    trial.heal()
    trial.recover(old)

    trial.holds()
    assert trial.version == old


def test_a_version_whose_gifts_fail_has_taken_away_and_gives_when_they_work(trial):
    old, new = trial.version, trial.other()
    trial.fault(fault="denied", operation=GRANT, principal="tagmesh-grant-access", times=0)
    trial.fault(fault="denied", operation=GRANT, principal=CONSUMER, times=0)
    trial.put(new)
    trial.settle(old, new)
    people = {each for each in trial.read() if each[0] == "PeopleAnalyst"}
    taken = wanted(old) - wanted(new)
    assert not people & taken
    assert any(each[0] == "PeopleAnalyst" for each in taken)

    trial.heal()
    trial.version = new
    trial.recover(old, new)

    trial.holds()


# ── A burst ─────────────────────────────────────────────────────────────────────────────────────────────────


LONGEST_WAIT = 3000
"""Seconds: a data product is crawled at most every half hour, and what is due is found within a quarter of one."""


def test_a_burst_of_duplicated_shuffled_and_lost_events_ends_as_quiet_uploads_do(trial):
    folders, files = 4, 20
    before = set(trial.tables())
    for folder in range(folders):
        trial.mesh.upload(*SALES, f"orders/quiet_{folder}/0.csv", NEW_COLUMNS)
    trial.settle(trial.version)
    trial.mesh.pass_time(LONGEST_WAIT)
    trial.settle(trial.version)
    quiet, grants = trial.tables(), trial.grants()

    chance = random.Random(5)
    uploads = [(folder, file) for folder in range(folders) for file in range(files)]
    chance.shuffle(uploads)
    for folder, file in uploads:
        kind = chance.choice(("lose", "duplicate", "duplicate", "delay", "delay"))
        # On the producer's bus and once more on the mesh's: what is duplicated on both comes four times.
        trial.fault(fault=kind, event="Object Created", times=2, seconds=float(chance.randint(1, 900)))
        trial.mesh.upload(*SALES, f"orders/burst_{folder}/{file}.csv", NEW_COLUMNS)
    trial.new_tables.append("burst_0")
    trial.settle(trial.version)
    trial.heal()
    trial.mesh.pass_time(LONGEST_WAIT)
    trial.settle(trial.version)

    tables = trial.tables()
    assert set(tables) - set(quiet) == {f"burst_{folder}" for folder in range(folders)}
    assert set(quiet) - before == {f"quiet_{folder}" for folder in range(folders)}
    for folder in range(folders):
        assert tables[f"burst_{folder}"] == quiet[f"quiet_{folder}"]
    assert trial.grants() == grants
    trial.holds()
    assert trial.mesh.query("Analyst", "SELECT COUNT(order_id) FROM burst_0").rows == ((str(files),),)


# ── Nothing left to do ──────────────────────────────────────────────────────────────────────────────────────


def test_after_all_that_sweeps_write_nothing(trial):
    trial.mesh.settle()
    before, swept = trial.mesh.counts(), len(trial.mesh.runs("tagmesh-sweep"))

    trial.mesh.pass_time(2000)
    trial.mesh.settle()

    assert trial.mesh.runs("tagmesh-sweep")[swept:] == ["SUCCEEDED"] * 2
    assert trial.writes(before) == {}
    trial.holds()
    assert local.ask(trial.server, "calls")["failures"] == []
