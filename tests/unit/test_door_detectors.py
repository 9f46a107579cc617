"""What of bucket policies, settings, grants and locations is a door."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from tagmesh import doors, doors_granted, doors_policies, doors_settings
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
    assert codes(doors_policies.of_bucket_policy(PRODUCT, policy(**statement), CENTRAL)) == [
        ("door", "bucket-readable")
    ]


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
    assert codes(doors_policies.of_bucket_policy(PRODUCT, policy(**statement), CENTRAL)) == []


def test_a_bucket_without_a_policy_lets_nobody_else_in():
    assert codes(doors_policies.of_bucket_policy(PRODUCT, None, CENTRAL)) == []


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
    assert codes(doors_settings.of_locations([PRODUCT], CENTRAL, [location], ROLE, ())) == expected


def row(principal, resource, *permissions):
    identified = {"DataLakePrincipalIdentifier": principal}
    return from_api({"Principal": identified, "Resource": resource, "Permissions": permissions}, CENTRAL)


def test_the_two_rows_of_a_table_are_one_door_that_is_mended_whole():
    table = {"DatabaseName": PRODUCT.database, "Name": "Orders"}
    rows = [
        row("IAM_ALLOWED_PRINCIPALS", {"TableWithColumns": {**table, "ColumnWildcard": {}}}, "SELECT"),
        row("IAM_ALLOWED_PRINCIPALS", {"Table": table}, "ALL", "ALTER", "DROP"),
    ]
    (door,) = doors_granted.of_grants(GOVERNANCE, CENTRAL, rows, ())
    assert (door.subject, door.unit) == (f"{PRODUCT.database}.orders", PRODUCT.unit)
    assert door.fix.grant.resource.kind == "Table" and door.fix.grant.permissions == {"ALL"}
    assert doors.blocking([door]) == {PRODUCT.unit: (door.finding,)}


def test_databases_that_no_file_names_are_none_of_ours():
    rows = [row("IAM_ALLOWED_PRINCIPALS", {"Database": {"Name": "theirs"}}, "ALL")]
    assert codes(doors_granted.of_grants(GOVERNANCE, CENTRAL, rows, ())) == []


def test_tag_policies_of_the_ledger_are_ours_and_a_wildcard_reaches_any_value():
    tags = AssignedTags({"domain": "sales", "pii": "contact", "sensitivity": "confidential"})
    tables = [(Table(PRODUCT.database, "orders", (Column("email"),)), tags)]
    everything = tag_policy(CENTRAL, "TABLE", [("domain", ["sales"]), ("pii", ["*"])])
    grant = row("arn:x", {"LFTagPolicy": everything.content}, "SELECT")
    assert codes(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [grant], tables)) == []
    assert codes(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [], tables)) == [
        ("door", "foreign-tag-policy")
    ]
    on_database = row("arn:x", {"Database": database(CENTRAL, "sales_orders").content}, "ALL")
    assert codes(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [on_database], [], tables)) == []


def test_a_broken_schema_in_the_properties_spells_out_nothing():
    for literal in ("{", "[]", "null", '{"fields": [1]}'):
        table = Table(PRODUCT.database, "t", (Column("email"),), parameters={"avro.schema.literal": literal})
        assert codes(doors_settings.of_tables(GOVERNANCE, CENTRAL, [(table, AssignedTags({"domain": "sales"}))])) == []


def test_a_glue_policy_that_lets_ram_share_is_none_and_one_that_lets_accounts_in_is_told():
    def of(principal):
        return doors_policies.of_catalogue_policy(policy(Principal=principal, Action="glue:*"), CENTRAL)

    assert codes(of({"Service": "ram.amazonaws.com"})) == codes(of({"Service": ["ram.amazonaws.com"]})) == []
    assert codes(of({"AWS": f"arn:aws:iam::{CENTRAL}:root"})) == []
    assert codes(of({"AWS": "444444444444"})) == [("notice", "catalogue-policy")]
    assert codes(of("*")) == [("notice", "catalogue-policy")]


def test_who_is_named_alone_or_by_a_pattern_that_means_one_is_let_in_as_by_a_condition():
    account = f"arn:aws:iam::{CENTRAL}:root"
    fine = [
        {"Principal": {"AWS": ROLE}},
        {"Principal": {"AWS": account}, "Condition": {"ArnLike": {"aws:PrincipalArn": ROLE}}},
        {"Principal": {"AWS": account}, "Condition": {"StringLike": {"aws:PrincipalArn": [ROLE]}}},
        {"Principal": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{PRODUCT.account}:role/x"}}},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": PRODUCT.account}}},
    ]
    for each in fine:
        assert codes(doors_policies.of_bucket_policy(PRODUCT, policy(Action="s3:GetObject", **each), CENTRAL)) == [], (
            each
        )
    open_ones = [
        {"Principal": {"AWS": [ROLE, "444444444444"]}},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalAccount": [PRODUCT.account, "444444444444"]}}},
        {"Principal": "*", "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/x"}}},
        {"Principal": "*", "Condition": {"StringNotEquals": {"aws:PrincipalArn": ROLE}}},
        {"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}},
    ]
    for each in open_ones:
        found = doors_policies.of_bucket_policy(PRODUCT, policy(Action="s3:GetObject", **each), CENTRAL)
        assert codes(found) == [("door", "bucket-readable")], each


def test_only_what_a_statement_says_of_the_data_products_own_objects_counts():
    def found(**statement):
        return codes(doors_policies.of_bucket_policy(PRODUCT, policy(Principal="*", **statement), CENTRAL))

    bucket, door = f"arn:aws:s3:::{PRODUCT.bucket}", [("door", "bucket-readable")]
    assert found(Action="s3:GetObject", Resource=f"{bucket}/elsewhere/*") == []
    assert found(Action="s3:*", Resource=bucket) == []
    assert found(Action="s3:GetObject", Resource=[bucket, f"{bucket}/{PRODUCT.prefix}orders/*"]) == door
    assert found(Action="s3:GetObject", Resource=f"{bucket}/*.csv") == door
    assert found(Action="s3:GetObject", Resource="*") == door
    assert found(Action="s3:GetObjectVersion") == door  # version "null" of any object
    assert found(NotAction=["s3:Get*"]) == []
    assert found(NotAction=["s3:GetObject"]) == door


def test_a_tag_policy_by_a_saved_expression_or_with_more_than_we_granted_is_found():
    tags = AssignedTags({"domain": "sales", "pii": "contact"})
    tables = [(Table(PRODUCT.database, "orders", (Column("email"),)), tags)]
    saved = {"LFTagPolicy": {"ResourceType": "TABLE", "ExpressionName": "All Sales"}}
    grant = row("arn:x", saved, "SELECT")
    expressions = {"All Sales": (("domain", ("sales",)),)}
    found = list(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [], tables, expressions))
    assert codes(found) == [("door", "foreign-tag-policy")]
    assert "All Sales" in found[0].message
    assert codes(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [grant], [], tables, {})) == []  # it is gone

    policy_ = tag_policy(CENTRAL, "TABLE", [("domain", ["sales"])]).content
    ours, theirs = (row("arn:x", {"LFTagPolicy": policy_}, *each) for each in (["DESCRIBE"], ["DESCRIBE", "SELECT"]))
    assert codes(doors_granted.of_tag_policies(GOVERNANCE, CENTRAL, [theirs], [ours], tables)) == [
        ("door", "foreign-tag-policy")
    ]


def test_a_grant_on_a_data_cells_filter_is_a_door():
    content = {"TableCatalogId": CENTRAL, "DatabaseName": PRODUCT.database, "TableName": "orders", "Name": "All"}
    (door,) = doors_granted.of_grants(GOVERNANCE, CENTRAL, [row("arn:x", {"DataCellsFilter": content}, "SELECT")], ())
    assert (door.code, door.subject, door.unit) == ("cells-grant", f"{PRODUCT.database}.orders", PRODUCT.unit)
    assert "All" in door.message and doors.blocking([door]) == {}


def test_a_reader_whom_the_bucket_policy_of_his_own_account_names_reads_without_any_iam_policy():
    reader = f"arn:aws:iam::{PRODUCT.account}:role/analyst"

    def found(readers, **statement):
        return codes(
            doors_policies.of_bucket_policy(PRODUCT, policy(Action="s3:GetObject", **statement), CENTRAL, readers)
        )

    in_account = {"StringEquals": {"aws:PrincipalAccount": PRODUCT.account}}
    assert found([reader], Principal={"AWS": reader}) == [("door", "bucket-readable")]
    assert found([reader], Principal="*", Condition=in_account) == [("door", "bucket-readable")]
    assert found([], Principal={"AWS": reader}) == found([], Principal="*", Condition=in_account) == []
    # The account itself is let in: IAM decides who of it, which is asked of IAM.
    assert found([reader], Principal={"AWS": f"arn:aws:iam::{PRODUCT.account}:root"}) == []


@pytest.mark.slow
def test_what_closes_a_data_product_of_ten_thousand_open_tables_fits_with_it():
    def found(*numbers):
        rows = [
            row("IAM_ALLOWED_PRINCIPALS", {"Table": {"DatabaseName": PRODUCT.database, "Name": f"t{n:05}"}}, "ALL")
            for n in numbers
        ]
        named = row("arn:x", {"Table": {"DatabaseName": PRODUCT.database, "Name": "t00000"}}, "SELECT")
        return doors.blocking(doors_granted.of_grants(GOVERNANCE, CENTRAL, [named, *rows], ()))[PRODUCT.unit]

    many = found(*range(10_000))
    # Kept twice, as doors and as findings, in one item of 400 KB, which has other things in it.
    assert 2 * len(json.dumps([asdict(finding) for finding in many]).encode()) < 40_000
    assert {finding.code for finding in many} == {"open-to-iam", "named-grant"}
    assert "9980 more" in " ".join(finding.message for finding in many)
    assert many == found(*reversed(range(10_000)))
    assert many != found(*range(9_999)) and len(found(*range(20))) == 21


def test_results_are_shared_by_all_of_an_account_that_subscribes_as_a_whole():
    place = {"ResultConfiguration": {"OutputLocation": "s3://results/"}, "EnforceWorkGroupConfiguration": True}
    groups = [{"Name": "tagmesh", "Configuration": place}]

    def found(*readers):
        return [
            (door.code, door.message.split(" send")[0]) for door in doors_settings.of_workgroups("1", groups, readers)
        ]

    assert found("1:IAMPrincipals") == [("shared-results", "all of the account's principals")]
    assert found("arn:a", "arn:b") == [("shared-results", "2 principals")]
    assert found("arn:a") == found() == []


def test_what_an_administrator_passed_on_is_told_as_it_was_granted():
    by_tag = tag_policy(CENTRAL, "TABLE", [("domain", ["sales"])]).content
    rows = [
        row("arn:x", {"LFTagPolicy": by_tag}, "SELECT", "DESCRIBE"),
        row("arn:y", {"Catalog": {"Id": CENTRAL}}, "ALL"),
    ]
    told = [door.message for door in doors_granted.of_regrants("1", rows, [])]

    assert [message.split("passed on to it ")[1].split(", and")[0] for message in told] == [
        "DESCRIBE+SELECT on tables with domain=sales",
        "ALL on Catalog",
    ]
