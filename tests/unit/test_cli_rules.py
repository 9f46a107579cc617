"""The commands about rules, on files: what they print, and how they end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from tagmesh.governance import load
from typer.testing import CliRunner

from cli.main import app

ROOT = Path(__file__).parents[2]
MESH = ROOT / "mesh"
COLUMNS = """database,table,column,type,comment
shop,customers,email,varchar(255),
shop,orders,order_status,string,
shop,customers,zorb,text,what nobody knows
sales_orders,orders,order_total,"decimal(10,2)",
shop,orders,order_id,uuid,
shop,customers,Name,citext,
shop,orders,zorb_tags,string[],
"""


def run(*arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def columns(tmp_path: Path) -> Path:
    return written(tmp_path, COLUMNS)


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "columns.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


# ---- classify ----------------------------------------------------------------------------------------------------


def classified(file: Path) -> list[dict[str, str]]:
    code, out, _ = run("classify", file, "--governance", MESH, "--format", "csv")
    assert code == 0
    return list(csv.DictReader(io.StringIO(out)))


def test_csv_keeps_order_and_columns_and_adds_one_for_each_lf_tag_and_outcome_and_rules(columns: Path):
    found = classified(columns)

    given = list(csv.DictReader(io.StringIO(COLUMNS)))
    assert [{name: row[name] for name in given[0]} for row in found] == given
    assert list(found[0])[5:] == ["domain", "sensitivity", "pii", "outcome", "rules"]
    assert (found[0]["sensitivity"], found[0]["pii"], found[0]["outcome"]) == ("confidential", "contact", "raised")
    assert "contact.email" in found[0]["rules"].split(";")
    assert [row["outcome"] for row in found] == [
        "raised", "cleared", "default", "cleared", "cleared", "raised", "default",
    ]  # fmt: skip
    assert (found[2]["sensitivity"], found[2]["pii"], found[2]["rules"]) == ("unclassified", "unknown", "")


def test_a_database_of_a_data_product_has_its_tags(columns: Path):
    assert [row["domain"] for row in classified(columns)][2:4] == ["unassigned", "sales"]


def test_rows_of_a_table_are_decided_together_wherever_they_stand(tmp_path: Path):
    apart = "database,table,column\nd,t,name\nd,other,name\nd,t,date_of_birth\n"
    found = classified(written(tmp_path, apart))

    assert [row["outcome"] for row in found] == ["raised", "default", "raised"]


def test_further_columns_a_byte_order_mark_and_crlf_are_kept_and_types_may_be_unknown(tmp_path: Path):
    text = '\ufeffid,database,table,column,type\r\n7,d,t,email,zorb<\r\n8,d,t,email,"a,b"\r\n'
    found = classified(written(tmp_path, text))

    assert [(row["id"], row["type"], row["outcome"]) for row in found] == [
        ("7", "zorb<", "raised"),
        ("8", "a,b", "raised"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "columns.csv:1: the first line names no database and no table and no column"),
        ("", "columns.csv:1: the first line names no database"),
        ("database,table,column\nd,t,\n", "columns.csv:2: no column is written"),
        ("database,table,column\nd,t,c,x\n", "columns.csv:2: more values"),
        ("database,table,column,column\nd,t,c,x\n", "columns.csv:1: a name stands twice"),
        (b"database,table,column\nd,t,\xff\n", "columns.csv:2: not UTF-8"),
        ('database,table,column\nd,t,"c\n', "not CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(tmp_path: Path, text: str | bytes, said: str):
    code, out, errors = run("classify", written(tmp_path, text), "--governance", MESH)

    assert (code, out) == (2, "")
    assert said in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere.csv", "--governance", MESH),
        (),
        ("columns.csv", "--from-catalog"),
        ("--from-catalog", "--port", 1),
    ],
)
def test_arguments_that_lead_nowhere_are_a_usage_error(arguments: tuple):
    code, out, errors = run("classify", *arguments)

    assert (code, out) == (2, "")
    assert errors.startswith("tagmesh: ")


def test_json_holds_the_whole_reason(columns: Path):
    code, out, _ = run("classify", columns, "--governance", MESH, "--json")

    first = json.loads(out)["columns"][0]
    assert code == 0
    assert first["decisions"]["pii"]["winners"][0]["matched"] == ["column word email"]
    assert json.loads(out)["version"] == load_mesh().digest


def load_mesh():
    from tagmesh.governance import read_folder

    return load(read_folder(MESH))


def test_a_table_for_people_has_a_line_for_each_column(columns: Path):
    code, out, _ = run("classify", columns, "--governance", MESH)

    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]][:2] == [
        "shop.customers.email",
        "shop.orders.order_status",
    ]


# ---- validate ----------------------------------------------------------------------------------------------------


def folder(tmp_path: Path, **rules: str) -> Path:
    """The sample governance with other rules."""
    for file in MESH.rglob("*.yaml"):
        if file.parent.name != "rules":
            target = tmp_path / "mesh" / file.relative_to(MESH)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file.read_text("utf-8"), "utf-8")
    (tmp_path / "mesh" / "rules").mkdir()
    for name, text in rules.items():
        (tmp_path / "mesh" / "rules" / f"{name}.yaml").write_text(text, "utf-8")
    return tmp_path / "mesh"


EMAIL = """rules:
  - id: email
    raise: {sensitivity: confidential, pii: contact}
    when: {column: {words_any: [email]}}
    because: an address
    examples: {match: [email], no_match: [phone]}
"""


def test_the_sample_governance_has_nothing_to_be_said_of():
    code, out, errors = run("validate", MESH)

    assert (code, out) == (0, "")
    assert errors.startswith("fine: ")


def test_a_mistake_is_told_with_its_place_and_mend(tmp_path: Path):
    bad = folder(tmp_path, a=EMAIL.replace("pii: contact", "pii: contakt"))
    code, out, errors = run("validate", bad)

    assert code == 1
    assert "rules/a.yaml:3:45: `contakt` is no value of the LF-Tag pii; did you mean `contact`?; mend: " in out
    assert "1 mistake:" in errors
    assert json.loads(run("validate", bad, "--json")[1])["errors"][0]["line"] == 3


def test_what_makes_no_sense_is_a_warning_and_exit_code_1(tmp_path: Path):
    code, out, _ = run("validate", folder(tmp_path, a=EMAIL.replace("    because: an address\n", "")), "--json")
    assert code == 1
    assert [each["code"] for each in json.loads(out)["warnings"]] == ["no-reason"]


def test_rules_that_hit_no_column_of_a_file_are_named(tmp_path: Path, columns: Path):
    more = EMAIL + EMAIL.removeprefix("rules:\n").replace("id: email", "id: fax").replace("[email]", "[fax]")
    code, out, _ = run("validate", folder(tmp_path, a=more), "--columns", columns, "--json")

    assert code == 1
    assert [(each["code"], each["message"]) for each in json.loads(out)["warnings"]] == [
        ("never-hit", "fax speaks about no column")
    ]


def test_a_folder_that_is_not_there(tmp_path: Path):
    code, _, errors = run("validate", tmp_path / "none")

    assert code == 2
    assert f"there is no folder {tmp_path / 'none'}: give the one that holds mesh.yaml" in errors


# ---- explain -----------------------------------------------------------------------------------------------------


def test_a_raised_column_is_explained_with_rules_words_places_and_what_would_change_it(columns: Path):
    code, out, _ = run("explain", "shop.customers.EMAIL", "--from", columns, "--governance", MESH)

    assert code == 0
    assert "shop.customers.email (varchar(255))" in out
    assert "sensitivity = confidential: raised, because a person's e-mail address" in out
    assert "by contact.email (rules/contact.yaml:" in out
    assert "matching column word email" in out
    assert "over: contact.email" in out
    assert f"governance version {load_mesh().digest[:12]}" in out


def test_a_column_that_nobody_decided_says_what_to_do(columns: Path):
    _, out, _ = run("explain", "shop.customers.zorb", "--from", columns, "--governance", MESH)

    assert "sensitivity = unclassified: default" in out
    assert "tagmesh coverage" in out


def test_losers_say_why_they_lost(tmp_path: Path, columns: Path):
    rules = EMAIL + EMAIL.removeprefix("rules:\n").replace("id: email", "id: open").replace(
        "raise: {sensitivity: confidential, pii: contact}", "clear: {sensitivity: public, pii: none}"
    )
    _, out, _ = run("explain", "shop.customers.email", "--from", columns, "--governance", folder(tmp_path, a=rules))

    assert "not by open (rules/a.yaml:7), which clears it to public, matching column word email: " in out
    assert "a clear counts only where no rule raises" in out


def test_a_whole_table_and_json(columns: Path):
    _, out, _ = run("explain", "shop.orders", "--from", columns, "--governance", MESH, "--json")

    found = json.loads(out)
    assert list(found["columns"]) == ["order_status", "order_id", "zorb_tags"]
    assert found["columns"]["order_id"]["decisions"]["sensitivity"]["value"] == "internal"
    assert set(found["rules"]) >= {"harmless.id_of_a_thing"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shop", "is no DATABASE.TABLE"),
        ("shop..x", "is no DATABASE.TABLE"),
        ("shop.customer", "no table shop.customer; it has shop.customers"),
        ("shop.customers.emial", "no column emial; it has email"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are(columns: Path, name: str, said: str):
    code, out, errors = run("explain", name, "--from", columns, "--governance", MESH)

    assert (code, out) == (2, "")
    assert said in errors


# ---- coverage ----------------------------------------------------------------------------------------------------


def test_coverage_counts_names_what_is_left_and_suggests_rules_that_load_and_decide_it(tmp_path: Path, columns: Path):
    code, out, _ = run("coverage", "--from", columns, "--governance", MESH, "--json")

    found = json.loads(out)
    assert code == 1
    assert found["databases"] == {
        "sales_orders": {"cleared": 1},
        "shop": {"raised": 2, "cleared": 2, "default": 2},
    }
    assert found["left"] == ["shop.customers.zorb", "shop.orders.zorb_tags"]
    (suggestion,) = found["suggestions"]
    assert (suggestion["word"], suggestion["types"]) == ("zorb", ["array", "string"])
    with_it = folder(tmp_path, a="rules:\n" + suggestion["rule"].replace('because: ""', "because: known now"))
    after = json.loads(run("coverage", "--from", columns, "--governance", with_it, "--json")[1])
    assert not set(found["left"]) & set(after["left"])


def test_coverage_of_what_is_all_decided_is_fine(tmp_path: Path):
    file = written(tmp_path, "database,table,column,type\nd,t,email,string\n")
    code, out, _ = run("coverage", "--from", file, "--governance", MESH)

    assert code == 0
    assert out.endswith("every column is decided\n")


def test_coverage_for_people_can_be_pasted(columns: Path):
    _, out, _ = run("coverage", "--from", columns, "--governance", MESH)

    assert "2 columns that nobody reads until somebody decides" in out
    assert "  - id: new.zorb\n" in out
