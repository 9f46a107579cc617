"""What the demo expects of its people: no more than is in force."""

from __future__ import annotations

from pathlib import Path

from tagmesh import approvals
from tagmesh.governance import load, read_folder

from cli.demo_accounts import Identity, Person, Place
from cli.demo_queries import _contradictions, as_in_force
from cli.demo_report import CatalogColumn, CatalogTable

ROOT = Path(__file__).parents[2]


def test_what_waits_for_approval_is_not_missed():
    files = read_folder(ROOT / "mesh")
    files["mesh.yaml"] = files["mesh.yaml"].replace("confidential,", "{value: confidential, approval: required},")
    governance = load(files)
    consumer = governance.consumer("consumer/finance")
    (principal,) = consumer.principals
    arn = f"arn:aws:iam::{consumer.account}:role/{principal.name}"
    person = Person(consumer, principal, arn, Identity(Place("http://nowhere", "eu-west-1"), "", ""))
    tags = (("domain", "hr"), ("sensitivity", "confidential"), ("pii", "financial"))
    salary = CatalogColumn("salary", "double", tags)
    table = CatalogTable("hr_people", "employees", "s3://hr/people/employees", (), (salary,))

    assert _contradictions(person, table, ())
    (asked,) = as_in_force([person], approvals.in_force(governance, (), ()))
    assert not _contradictions(asked, table, ())
    assert _contradictions(asked, table, ("salary",)), "and whoever reads it all the same is one"
