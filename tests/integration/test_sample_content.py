"""sample_content on S3: from a request to evidence, and nothing that the objects hold anywhere else."""

from __future__ import annotations

import gzip
import io
import json
import logging
import traceback
from dataclasses import dataclass
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sample_content
from content import samples

CENTRAL, PRODUCER = "555555555555", "111111111111"
GOVERNANCE, DATA = "governance", "shop-raw"
MAILS = [f"planted{n}.secret@example.org" for n in range(40)]
COLUMNS = [["value", "string"], ["who", "struct<at:string>"], ["n", "bigint"]]
RECORDS = [{"value": mail, "who": {"at": mail}, "n": 700000 + n} for n, mail in enumerate(MAILS)]


@dataclass(frozen=True)
class Context:
    """What the runtime tells a function of its invocation."""

    milliseconds: int = 300_000
    function_name = "tagmesh-sample-content"
    memory_limit_in_mb = 1769
    invoked_function_arn = "arn:aws:lambda:eu-west-1:555555555555:function:tagmesh-sample-content"
    aws_request_id = "4b1e2c1e-0c6e-4a57-9d2d-6a5f8a3c7f10"

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


@pytest.fixture(scope="module")
def s3(aws_module):
    """The central account's administrator, whom the producer's bucket admits as it admits the function's role."""
    own = aws_module.session(PRODUCER).client("s3")
    place = {"LocationConstraint": "eu-west-1"}
    own.create_bucket(Bucket=DATA, CreateBucketConfiguration=place)
    central = aws_module.session(CENTRAL).client("s3")
    central.create_bucket(Bucket=GOVERNANCE, CreateBucketConfiguration=place)
    admitted = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{DATA}", f"arn:aws:s3:::{DATA}/*"],
    }
    own.put_bucket_policy(Bucket=DATA, Policy=json.dumps({"Version": "2012-10-17", "Statement": [admitted]}))
    for key, body in OBJECTS.items():
        own.put_object(Bucket=DATA, Key=key, Body=body)
    return central


@pytest.fixture
def run(s3, monkeypatch, capsys, caplog):
    """Runs the function on a request for some tables: their evidence, and all that was said meanwhile."""
    monkeypatch.setenv("GOVERNANCE_BUCKET", GOVERNANCE)
    monkeypatch.setattr(sample_content.metrics.provider, "namespace", "tagmesh")
    monkeypatch.setattr(sample_content, "client", lambda service: s3)
    caplog.set_level(logging.INFO)

    def run(*tables: dict[str, Any], context: Context = Context(), **changes: Any) -> tuple[dict[str, Any], str]:
        request = {"unit": "data_product/shop/web", "bucket": DATA, "objects": 5, "rows": 1000, "megabytes": 8}
        request["values"] = True
        request |= {"countries": [], "tables": list(tables), **changes}
        key = "plans/data_product/shop/web/7.request.json"
        s3.put_object(Bucket=GOVERNANCE, Key=key, Body=json.dumps(request).encode())
        event = {"unit": request["unit"], "token": 7, "correlation_id": "c-1", "request": key}
        answer = sample_content.handler(event, context)
        assert answer == {**event, "sampled": "plans/data_product/shop/web/7.evidence.json"}
        written = s3.get_object(Bucket=GOVERNANCE, Key=answer["sampled"])["Body"].read().decode()
        said = capsys.readouterr()
        return json.loads(written)["tables"], written + json.dumps(answer) + said.out + said.err + caplog.text

    return run


def parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), file)
    return file.getvalue()


def avro() -> bytes:
    who = {"type": "record", "name": "who", "fields": [{"name": "at", "type": "string"}]}
    fields = [{"name": "value", "type": "string"}, {"name": "who", "type": who}, {"name": "n", "type": "long"}]
    file = io.BytesIO()
    fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, RECORDS)
    return file.getvalue()


LINES = "\n".join(map(json.dumps, RECORDS)).encode()
CSV = b"value;who;n\n" + "\n".join(f'"{mail}";x;{n}' for n, mail in enumerate(MAILS)).encode()
OBJECTS = {
    "csv/a.csv": CSV,
    "packed/a.csv.gz": gzip.compress(CSV),
    "json/a.json": LINES,
    "parquet/a.parquet": parquet(),
    "avro/a.avro": avro(),
    "few/a.json": LINES.partition(b"\n")[0],
    "partitioned/x": b"",
    **{f"partitioned/mail={mail}/a.json": b'{"n": 1}\n' for mail in MAILS},
    "broken/a.parquet": parquet()[:-30] + b"PAR1",
    "broken/b.json": b'{"value": "' + MAILS[0].encode(),
    "mixed/a.json": b"\x00",
    "mixed/b.json": LINES,
}  # fmt: skip


def table(name: str, **layout: Any) -> dict[str, Any]:
    plain = {"format": "json", "delimiter": ";", "quote": '"', "escape": None, "skipped_lines": 1}
    plain |= {"columns": COLUMNS, "partition_keys": [], "seen": "", "header": False}
    return {"table": name, "prefix": f"{name}/", **plain, **layout}


def kinds(told: dict[str, Any]) -> dict[str, list[str]]:
    return {path: sorted(shown) for path, shown in told["columns"].items()}


@pytest.mark.parametrize(("name", "format"), [("csv", "csv"), ("packed", "csv")])
def test_a_column_of_csv_shows_what_it_holds(run, name: str, format: str):
    found, _ = run(table(name, format=format))
    assert found[name]["outcome"] == "sampled"
    assert kinds(found[name]) == {"value": ["email"]}


@pytest.mark.parametrize(("name", "format"), [("json", "json"), ("parquet", "binary"), ("avro", "binary")])
def test_columns_and_fields_of_structs_show_what_they_hold(run, name: str, format: str):
    found, _ = run(table(name, format=format))
    assert kinds(found[name]) == {"value": ["email"], "who.at": ["email"]}
    assert found[name]["columns"]["value"] == {"email": {"share": 1.0, "of": 40}}


def test_a_partition_key_shows_what_the_names_of_its_folders_hold(run):
    found, _ = run(table("partitioned", partition_keys=[["mail", "string"]]))
    assert kinds(found["partitioned"]) == {"mail": ["email"]}


def test_a_small_table_shows_nothing(run):
    found, _ = run(table("few"))
    assert (found["few"]["outcome"], found["few"]["columns"]) == ("sampled", {})


def test_what_cannot_be_read_is_counted_and_the_rest_is_sampled(run):
    found, _ = run(table("broken"), table("mixed"), table("none"))
    assert (found["broken"]["outcome"], found["broken"]["skipped"]) == ("unreadable", {"unreadable": 2})
    assert (found["mixed"]["outcome"], found["mixed"]["skipped"]) == ("sampled", {"unreadable": 1})
    assert kinds(found["mixed"]) == {"value": ["email"], "who.at": ["email"]}
    assert found["none"]["outcome"] == "empty"


def test_objects_that_were_seen_are_not_read_again_until_something_changes(run, s3, aws_module):
    first, _ = run(table("json"))
    again, _ = run(table("json", seen=first["json"]["seen"]))
    assert (again["json"]["outcome"], again["json"]["columns"]) == ("unchanged", {})
    for asked in (table("json", columns=COLUMNS[:2]), table("json")):
        asked["seen"] = first["json"]["seen"]
        if asked["columns"] == COLUMNS:
            aws_module.session(PRODUCER).client("s3").put_object(Bucket=DATA, Key="json/b.json", Body=LINES)
        found, _ = run(asked)
        assert found["json"]["outcome"] == "sampled"


def test_a_bucket_that_does_not_admit_us_is_said_so(run, s3, monkeypatch, aws_module):
    own = aws_module.session(PRODUCER).client("s3")
    own.create_bucket(Bucket="closed", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    found, _ = run(table("json"), bucket="closed")
    assert found["json"]["outcome"] == "denied"


def test_what_was_found_when_the_time_is_up_is_written(run):
    found, _ = run(table("json"), context=Context(milliseconds=1000))
    assert found == {}


# ── No value gets out ───────────────────────────────────────────────────────────────────────────────────────


def test_no_value_is_in_evidence_answers_or_logs(run):
    names = ("csv", "packed", "json", "parquet", "avro", "few", "partitioned", "broken", "mixed")
    found, said = run(*(table(name, partition_keys=[["mail", "string"]]) for name in names))
    assert len(found) == len(names) and "content sampled" in said
    assert "planted" not in said and "example.org" not in said
    assert not any(f"{700000 + n}" in said for n in range(40))


def test_a_defect_says_where_it_is_and_nothing_of_what_it_met(run, monkeypatch, capsys, caplog):
    def defective(texts: Any, *_: Any) -> None:
        raise ValueError(f"no number: {list(texts)[0]}")

    monkeypatch.setattr(samples.kinds, "judge", defective)
    with pytest.raises(sample_content.SampleFailed, match=r"ValueError at test_sample_content\.py:\d+") as failed:
        run(table("json"))
    said = capsys.readouterr()
    told = "".join(traceback.format_exception(failed.value)) + said.out + said.err + caplog.text
    assert "planted" not in told
