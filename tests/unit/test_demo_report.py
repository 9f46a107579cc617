"""What the demo tells people: the tables, the reasons, the JSON, and what it uploads."""

import io
import json
from pathlib import Path

import pytest
from tagmesh.catalog import Finding
from tagmesh.governance import load

from cli import demo_report as reports
from cli.demo_queries import why_closed
from cli.demo_report import Access, CatalogColumn, CatalogTable, Event, Execution, Failure, Refusal, Report
from cli.demo_upload import DataFolderError, plan_uploads

GOVERNANCE = {
    "mesh.yaml": """
version: 1
lf_tags:
  domain: {values: [sales, hr, unassigned], default: unassigned}
  sensitivity: {values: [public, internal, confidential, unclassified], ordered: true, default: unclassified}
""",
    "producers/sales.yaml": """
producer: sales
account: "111111111111"
data_products:
  - {name: orders, location: "s3://sales-raw/in/orders/", tags: {domain: sales}}
  - {name: stock, location: "s3://sales-raw/in/stock/", tags: {domain: sales}}
""",
    "consumers/analytics.yaml": """
consumer: analytics
account: "333333333333"
subscriptions:
  - {name: narrow, tags: {domain: [hr], sensitivity: [public]}, principals: [{role: Analyst}]}
  - {name: wide, tags: {domain: [sales], sensitivity: [public, internal]}, principals: [{role: Analyst}]}
""",
}


@pytest.fixture(scope="module")
def governance():
    return load(GOVERNANCE)


def column(name, **tags):
    return CatalogColumn(name, "string", tuple(sorted(tags.items())))


# ── Why a column is closed ──────────────────────────────────────────────────────────────────────────────────


def test_the_nearest_subscription_explains_what_it_does_not_reach(governance):
    subscriptions = governance.consumers[0].subscriptions
    email = column("email", domain="sales", sensitivity="confidential")

    assert why_closed([email], subscriptions, frozenset()) == "wide does not reach sensitivity=confidential"


def test_a_default_is_explained_as_not_classified(governance):
    defaults = frozenset((key.name, key.default) for key in governance.lf_tags)
    note = column("note", domain="sales", sensitivity="unclassified")

    reason = why_closed([note], governance.consumers[0].subscriptions, defaults)

    assert reason == "wide does not reach sensitivity=unclassified (nobody classified it)"


def test_of_a_whole_table_only_what_all_its_columns_share_is_told(governance):
    staff = [
        column("salary", domain="hr", sensitivity="confidential"),
        column("team", domain="hr", sensitivity="internal"),
    ]

    reason = why_closed(staff, governance.consumers[0].subscriptions[1:], frozenset())

    assert reason == "wide does not reach domain=hr"


def test_a_principal_without_a_subscription_is_told_so():
    assert "no subscription" in why_closed([column("email", sensitivity="public")], [], frozenset())


# ── Text and JSON ───────────────────────────────────────────────────────────────────────────────────────────

WHO = ("analytics", "333333333333", "role", "Analyst")


def sample_report():
    columns = tuple(column(f"a_rather_long_column_name_{n}", sensitivity="public") for n in range(6))
    return Report(
        tables=[CatalogTable("sales_orders", "orders", "s3://sales-raw/in/orders/orders/", (), columns)],
        access=[Access(*WHO, "sales_orders", "orders", tuple(c.name for c in columns), 300)],
        refused=[
            Refusal(*WHO, "sales_orders", "orders", ("email",), "COLUMN_NOT_FOUND: wide does not reach pii=contact"),
            Refusal(*WHO, "hr_people", "staff", ("salary",), "TABLE_NOT_FOUND: wide does not reach domain=hr"),
        ],
        timeline=[Event("crawl", "sales_orders", 1.5)],
        calls={"glue:StartCrawler": 1, "athena:StartQueryExecution": 3},
        executions=[Execution("tagmesh-crawl", "SUCCEEDED")],
        findings=[Finding("undescribed-folder", "lab", "no file describes it", "write one")],
        errors=[Failure("query", "analytics/Analyst", "it broke")],
    )


def printed(renderable):
    output = io.StringIO()
    reports.make_console(file=output).print(renderable)
    return output.getvalue()


def test_the_tables_fit_into_eighty_columns_without_colours_when_piped():
    text = printed(reports.access_tables(sample_report()))

    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_each_principal_sees_what_it_reads_how_much_and_what_was_refused():
    text = " ".join(printed(reports.access_tables(sample_report())).replace("|", " ").split())

    assert "analytics, role Analyst (account 333333333333)" in text
    assert "300" in text
    assert "a_rather_long_column_name_5" in text
    assert "refused email: COLUMN_NOT_FOUND: wide does not reach pii=contact" in text
    assert "- refused: TABLE_NOT_FOUND: wide does not reach" in text


def test_names_in_brackets_are_not_taken_for_markup():
    assert "[undescribed-folder]" in printed(reports.findings_text(sample_report().findings))


def test_the_report_is_json_with_tags_as_objects():
    told = json.loads(json.dumps(reports.to_json(sample_report())))

    assert list(told) == [
        "tables",
        "access",
        "refused",
        "timeline",
        "calls",
        "executions",
        "findings",
        "errors",
    ]
    assert told["tables"][0]["columns"][0]["lf_tags"] == {"sensitivity": "public"}
    assert told["access"][0]["principal"] == "Analyst"
    assert told["access"][0]["rows"] == 300
    assert told["timeline"] == [{"stage": "crawl", "subject": "sales_orders", "seconds": 1.5}]
    assert told["findings"][0]["mend"] == "write one"


# ── What is uploaded ────────────────────────────────────────────────────────────────────────────────────────


def drop(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a,b\n1,2\n", encoding="utf-8")


def test_files_keep_their_path_below_the_data_product(tmp_path, governance):
    drop(tmp_path, "sales/orders/orders/year=2025/a b+c%.csv", "sales/orders/orders/year=2025/.hidden", "README.md")

    uploads, findings = plan_uploads(tmp_path, governance)

    assert [(u.data_product.bucket, u.key) for u in uploads] == [("sales-raw", "in/orders/orders/year=2025/a b+c%.csv")]
    assert uploads[0].folder == "s3://sales-raw/in/orders/orders/"
    assert findings == []


def test_folders_that_nobody_describes_are_findings_and_the_others_are_uploaded(tmp_path, governance):
    drop(tmp_path, "sales/orders/orders/a.csv", "sales/unknown/t/a.csv", "lab/trials/t/a.csv")

    uploads, findings = plan_uploads(tmp_path, governance)

    assert [u.key for u in uploads] == ["in/orders/orders/a.csv"]
    assert [(f.code, f.subject) for f in findings] == [
        ("undescribed-folder", "lab"),
        ("undescribed-folder", "sales/unknown"),
    ]
    assert "producers/lab.yaml" in findings[0].mend


def test_files_beside_the_data_products_are_findings(tmp_path, governance):
    drop(tmp_path, "sales/orders/orders/a.csv", "sales/stray.csv")

    _, findings = plan_uploads(tmp_path, governance)

    assert [(f.code, f.subject) for f in findings] == [("stray-file", "sales/stray.csv")]


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_a_folder_without_data_is_refused(tmp_path, governance, folder):
    with pytest.raises(DataFolderError, match="producer"):
        plan_uploads(tmp_path / folder, governance)
