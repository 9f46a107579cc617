"""What of bucket policies, settings, grants and locations is a door."""

from __future__ import annotations

import pytest
from tagmesh import doors
from tagmesh.catalog import AssignedTags, Column, Table
from tagmesh.governance import load, read_folder
from tagmesh.grants import database, from_api, tag_policy

CENTRAL = "555555555555"
GOVERNANCE = load(read_folder("mesh"))
PRODUCT = GOVERNANCE.data_product("data_product/sales/orders")
ROLE = f"arn:aws:iam::{CENTRAL}:role/tagmesh-registration"
OBJECTS = f"arn:aws:s3:::{PRODUCT.bucket}/*"


def codes(found):
    return [(door.severity, door.code) for door in found]


def policy(**statement):
    return {"Statement": {"Effect": "Allow", "Resource": OBJECTS, **statement}}


@pytest.mark.parametrize(
    "statement",
    [
        {"Principal": "*", "Action": "s3:GetObject"},
        {"Principal": {"AWS": "*"}, "Action": "*"},
        {"Principal": {"AWS": ["444444444444"]}, "Action": ["s3:PutObject", "s3:getobject"]},
        {"Principal": {"AWS": "arn:aws:iam::444444444444:role/x"}, "NotAction": "s3:DeleteObject"},
        {"NotPrincipal": {"AWS": "444444444444"}, "Action": "s3:*"},
        {"Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"}, "Action": "s3:GetObject"},
        {
            "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"},
            "Action": "s3:GetObject",
            "Condition": {"ArnEquals": {"aws:PrincipalArn": [ROLE, f"arn:aws:iam::{CENTRAL}:role/other"]}},
        },
        {
            "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"},
            "Action": "s3:GetObject",
            "Condition": {"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{CENTRAL}:role/*"}},
        },
    ],
)
def test_a_bucket_policy_that_lets_others_read_is_a_door(statement):
    assert codes(doors.of_bucket_policy(PRODUCT, policy(**statement), CENTRAL)) == [("door", "bucket-readable")]


@pytest.mark.parametrize(
    "statement",
    [
        {"Principal": "*", "Action": "s3:*", "Effect": "Deny"},
        {"Principal": {"AWS": "444444444444"}, "Action": "s3:PutObject"},
        {"Principal": {"AWS": f"arn:aws:iam::{PRODUCT.account}:role/owner"}, "Action": "s3:GetObject"},
        {
            "Principal": {"AWS": f"arn:aws:iam::{CENTRAL}:root"},
            "Action": "s3:GetObject",
            "Condition": {"ArnEquals": {"AWS:PrincipalArn": ROLE}},
        },
    ],
)
def test_what_the_mesh_needs_and_what_reads_nothing_is_none(statement):
    assert codes(doors.of_bucket_policy(PRODUCT, policy(**statement), CENTRAL)) == []


def test_a_bucket_without_a_policy_lets_nobody_else_in():
    assert codes(doors.of_bucket_policy(PRODUCT, None, CENTRAL)) == []


@pytest.mark.parametrize(
    ("registered", "expected"),
    [
        ({"RoleArn": ROLE}, []),
        ({"RoleArn": ROLE, "HybridAccessEnabled": True}, [("door", "hybrid-location")]),
        (
            {"RoleArn": f"arn:aws:iam::{CENTRAL}:role/aws-service-role/lakeformation.amazonaws.com/X"},
            [("door", "service-linked-location")],
        ),
        ({"RoleArn": "arn:aws:iam::555555555555:role/other"}, [("door", "foreign-location")]),
        ({}, [("door", "foreign-location")]),
        ({"RoleArn": ROLE, "path": ""}, [("notice", "overlapping-location")]),
        ({"RoleArn": ROLE, "path": f"{PRODUCT.prefix}orders"}, [("notice", "overlapping-location")]),
        ({"RoleArn": "x", "path": "another/"}, []),
        ({"RoleArn": "x", "path": f"{PRODUCT.prefix.rstrip('/')}2/"}, []),
    ],
)
def test_locations(registered, expected):
    path = registered.pop("path", PRODUCT.prefix.rstrip("/"))
    location = {"ResourceArn": f"arn:aws:s3:::{PRODUCT.bucket}/{path}".rstrip("/"), **registered}
    assert codes(doors.of_locations([PRODUCT], CENTRAL, [location], ROLE, ())) == expected


def row(principal, resource, *permissions):
    identified = {"DataLakePrincipalIdentifier": principal}
    return from_api({"Principal": identified, "Resource": resource, "Permissions": permissions}, CENTRAL)


def test_the_two_rows_of_a_table_are_one_door_that_is_mended_whole():
    table = {"DatabaseName": PRODUCT.database, "Name": "Orders"}
    rows = [
        row("IAM_ALLOWED_PRINCIPALS", {"TableWithColumns": {**table, "ColumnWildcard": {}}}, "SELECT"),
        row("IAM_ALLOWED_PRINCIPALS", {"Table": table}, "ALL", "ALTER", "DROP"),
    ]
    (door,) = doors.of_grants(GOVERNANCE, CENTRAL, rows, ())
    assert (door.subject, door.unit) == (f"{PRODUCT.database}.orders", PRODUCT.unit)
    assert door.fix.grant.resource.kind == "Table" and door.fix.grant.permissions == {"ALL"}
    assert doors.blocking([door]) == {PRODUCT.unit: (door.finding,)}


def test_databases_that_no_file_names_are_none_of_ours():
    rows = [row("IAM_ALLOWED_PRINCIPALS", {"Database": {"Name": "theirs"}}, "ALL")]
    assert codes(doors.of_grants(GOVERNANCE, CENTRAL, rows, ())) == []


def test_tag_policies_of_the_ledger_are_ours_and_a_wildcard_reaches_any_value():
    tags = AssignedTags({"domain": "sales", "pii": "contact", "sensitivity": "confidential"})
    tables = [(Table(PRODUCT.database, "orders", (Column("email"),)), tags)]
    everything = tag_policy(CENTRAL, "TABLE", [("domain", ["sales"]), ("pii", ["*"])])
    grant = row("arn:x", {"LFTagPolicy": everything.content}, "SELECT")
    assert codes(doors.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [grant], tables)) == []
    assert codes(doors.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [], tables)) == [("door", "foreign-tag-policy")]
    on_database = row("arn:x", {"Database": database(CENTRAL, "sales_orders").content}, "ALL")
    assert codes(doors.of_tag_policies(GOVERNANCE, CENTRAL, [on_database], [], tables)) == []


def test_a_broken_schema_in_the_properties_spells_out_nothing():
    for literal in ("{", "[]", "null", '{"fields": [1]}'):
        table = Table(PRODUCT.database, "t", (Column("email"),), parameters={"avro.schema.literal": literal})
        assert codes(doors.of_tables(GOVERNANCE, CENTRAL, [(table, AssignedTags({"domain": "sales"}))])) == []


def test_a_glue_policy_that_lets_ram_share_is_none_and_one_that_lets_accounts_in_is_told():
    def of(principal):
        return doors.of_catalogue_policy(policy(Principal=principal, Action="glue:*"), CENTRAL)

    assert codes(of({"Service": "ram.amazonaws.com"})) == []
    assert codes(of({"AWS": f"arn:aws:iam::{CENTRAL}:root"})) == []
    assert codes(of({"AWS": "444444444444"})) == [("notice", "catalogue-policy")]
    assert codes(of("*")) == [("notice", "catalogue-policy")]
