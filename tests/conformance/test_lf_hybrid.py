"""Hybrid access: opt-ins, whom they hold to Lake Formation, and what of it crosses accounts."""

import json

import pytest
from athena_desk import RESULTS, desk
from lab import Role, refused
from lake_calls import IAM_ALLOWED, grant, on_columns, on_database, on_table, on_tag, principal, sees, shown_database
from lf_desk import CENTRAL, a_role, lake_formation, readable

ALL_COLUMNS = ["email", "id", "total"]
READER = ["athena:*", "glue:Get*", "lakeformation:GetDataAccess"]


@pytest.fixture(scope="module", autouse=True)
def lake(lab):
    lab.lake(CENTRAL)


@pytest.fixture
def open_names(lab):
    """A database and a table that IAMAllowedPrincipals has Super on."""
    return iam_table(lab, CENTRAL)


@pytest.fixture
def reader(lab):
    return a_role(lab, "reader")


def iam_table(lab, part, location="s3://nowhere-in-particular/data"):
    database = lab.database(part)
    table = lab.table(part, database, "orders", location=location)
    for resource in (on_database(database), on_table(database, table)):
        grant(lab, part, IAM_ALLOWED, resource, "ALL")
    return database, table


def opt_in(lab, by, who, resource):
    given = {"Principal": principal(lab, who), "Resource": resource}
    lake_formation(lab, by).create_lake_formation_opt_in(**given)
    lab.at_end(lake_formation(lab, by).delete_lake_formation_opt_in, **given)


def opt_out(lab, by, who, resource):
    lake_formation(lab, by).delete_lake_formation_opt_in(Principal=principal(lab, who), Resource=resource)


def opted(lab, who=CENTRAL, **filters):
    found = lake_formation(lab, who).list_lake_formation_opt_ins(**filters)["LakeFormationOptInsInfoList"]
    return [(each["Principal"]["DataLakePrincipalIdentifier"], next(iter(each["Resource"]))) for each in found]


def lender(lab, part, bucket):
    """A role with which Lake Formation reads a bucket."""
    iam, name = lab.client("iam", part), lab.name("registration", "-")
    service = {"Effect": "Allow", "Principal": {"Service": "lakeformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [service]})
    made = Role(part, name, iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"])
    lab.at_end(iam.delete_role, RoleName=name)
    lab.allow(made, "s3:GetObject", "s3:ListBucket", resource=[f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"])
    return made


def register(lab, part, path, role, **how):
    arn = f"arn:aws:s3:::{path}"
    lake_formation(lab, part).register_resource(ResourceArn=arn, RoleArn=role.arn, **how)
    lab.at_end(lake_formation(lab, part).deregister_resource, ResourceArn=arn)


# -- registering ------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-access.hybrid-register")
def test_a_location_is_in_hybrid_mode_when_it_is_registered_or_updated_so(lab):
    bucket, role = lab.name("bucket", "-"), lab.role(CENTRAL, "registration")
    arn = f"arn:aws:s3:::{bucket}"
    lakeformation = lake_formation(lab)
    register(lab, CENTRAL, bucket, role, HybridAccessEnabled=True)

    def mode():
        return lakeformation.describe_resource(ResourceArn=arn)["ResourceInfo"]["HybridAccessEnabled"]

    assert mode() is True
    lakeformation.update_resource(ResourceArn=arn, RoleArn=role.arn)
    assert mode() is True
    lakeformation.update_resource(ResourceArn=arn, RoleArn=role.arn, HybridAccessEnabled=False)
    assert mode() is False


@pytest.mark.statement("lf-access.hybrid-service-linked")
def test_what_is_registered_with_the_service_linked_role_cannot_be_updated(lab):
    bucket, role = lab.bucket(CENTRAL), lab.role(CENTRAL, "registration")
    arn = f"arn:aws:s3:::{bucket}"
    lake_formation(lab).register_resource(ResourceArn=arn, UseServiceLinkedRole=True)
    lab.at_end(lake_formation(lab).deregister_resource, ResourceArn=arn)
    with refused("InvalidInputException", message="service-linked"):
        lake_formation(lab).update_resource(ResourceArn=arn, RoleArn=role.arn, HybridAccessEnabled=True)


@pytest.mark.statement("lf-access.hybrid-location")
def test_making_tables_in_hybrid_mode_still_needs_data_location_access(lab):
    bucket = lab.name("bucket", "-")
    register(lab, CENTRAL, bucket, lab.role(CENTRAL, "registration"), HybridAccessEnabled=True)
    maker, database = a_role(lab, "maker"), lab.database(CENTRAL)
    grant(lab, CENTRAL, maker, on_database(database), "CREATE_TABLE")
    with refused("AccessDeniedException", message="Data Location"):
        lab.table(maker, database, location=f"s3://{bucket}/orders")


# -- opting in --------------------------------------------------------------------------------------------------------


@pytest.mark.statement("lf-access.opt-in-list")
def test_opt_ins_are_made_listed_by_principal_and_resource_and_ended(lab, open_names, reader):
    database, table = open_names
    other = a_role(lab, "other")
    for who, resource in (
        (reader, on_database(database)),
        (reader, on_table(database, None)),
        (reader, on_table(database, table)),
        (reader, on_table(database, table)),
        (other, on_database(database)),
    ):
        opt_in(lab, CENTRAL, who, resource)
    mine = [(reader.arn, "Database"), (reader.arn, "Table"), (reader.arn, "Table")]
    assert sorted(opted(lab, Principal=principal(lab, reader))) == mine
    assert sorted(opted(lab, Resource=on_database(database))) == sorted([mine[0], (other.arn, "Database")])
    assert opted(lab, Principal=principal(lab, reader), Resource=on_table(database, table)) == mine[1:2]
    first = lake_formation(lab).list_lake_formation_opt_ins(Principal=principal(lab, reader), MaxResults=2)
    (shown, _), token = first["LakeFormationOptInsInfoList"], first["NextToken"]
    assert shown["LastUpdatedBy"] == lab.client("sts", CENTRAL).get_caller_identity()["Arn"]
    assert len(opted(lab, Principal=principal(lab, reader), NextToken=token)) == 1
    opt_out(lab, CENTRAL, reader, on_table(database, table))
    assert opted(lab, Principal=principal(lab, reader), Resource=on_table(database, table)) == []
    with refused("EntityNotFoundException"):
        opt_out(lab, CENTRAL, reader, on_table(database, table))


@pytest.mark.statement("lf-access.opt-in-admin")
@pytest.mark.local_only("an account with a read-only administrator")
def test_only_administrators_opt_in_and_read_only_ones_see_it(lab):
    part = lab.fresh()
    lab.lake(part)
    auditor, nobody = a_role(lab, "auditor", part=part), a_role(lab, "nobody", part=part)
    current = lake_formation(lab, part).get_data_lake_settings()["DataLakeSettings"]
    lake_formation(lab, part).put_data_lake_settings(
        DataLakeSettings={**current, "ReadOnlyAdmins": [principal(lab, auditor)]}
    )
    database = lab.database(part)
    opt_in(lab, part, nobody, on_database(database))
    for who in (auditor, nobody):
        with refused("AccessDeniedException"):
            opt_in(lab, who, who, on_database(database))
        with refused("AccessDeniedException"):
            opt_out(lab, who, nobody, on_database(database))
    assert opted(lab, auditor) == [(nobody.arn, "Database")]
    with refused("AccessDeniedException"):
        opted(lab, nobody)
    assert (nobody.arn, "Database") not in opted(lab)


@pytest.mark.statement("lf-access.opt-in-what")
def test_principals_and_resources_of_an_opt_in_must_exist(lab, open_names, reader):
    account, gone = lab.account(CENTRAL), lab.name("missing")
    for resource in (on_database(gone), on_table(gone, "t"), on_table(gone, None), on_table(open_names[0], gone)):
        with refused("EntityNotFoundException"):
            opt_in(lab, CENTRAL, reader, resource)
    for who in (f"arn:aws:iam::{account}:role/{gone}", IAM_ALLOWED, account):
        with refused("InvalidInputException"):
            opt_in(lab, CENTRAL, who, on_database(open_names[0]))


@pytest.mark.statement("lf-access.opt-in-tags")
@pytest.mark.local_only("what the local AWS does not build it refuses")
def test_opting_in_on_anything_else_is_refused(lab, open_names, reader):
    for resource in (on_columns(*open_names, "id"), on_tag("k", "v"), {"Catalog": {}}):
        with refused("LocalAwsNotSupported"):
            opt_in(lab, CENTRAL, reader, resource)


@pytest.mark.statement("lf-access.opt-in-gone")
def test_opt_ins_go_with_what_they_are_on(lab, reader):
    glue, database = lab.client("glue", CENTRAL), lab.database(CENTRAL)
    tables = [lab.table(CENTRAL, database) for _ in range(2)]
    for resource in (on_database(database), on_table(database, tables[0]), on_table(database, tables[1])):
        opt_in(lab, CENTRAL, reader, resource)
    glue.delete_table(DatabaseName=database, Name=tables[0])
    assert sorted(opted(lab, Principal=principal(lab, reader))) == [(reader.arn, "Database"), (reader.arn, "Table")]
    other = lab.database(CENTRAL)
    opt_in(lab, CENTRAL, reader, on_database(other))
    glue.delete_database(Name=database)
    assert opted(lab, Principal=principal(lab, reader)) == [(reader.arn, "Database")]


# -- who is held to Lake Formation ------------------------------------------------------------------------------------


@pytest.mark.statement("lf-access.opt-in-governs")
def test_who_is_opted_in_needs_lake_formations_permissions_and_nobody_else_does(lab, open_names, reader):
    other = a_role(lab, "other")
    assert readable(lab, reader, *open_names) == ALL_COLUMNS
    opt_in(lab, CENTRAL, reader, on_table(*open_names))
    assert sees(lab, reader, *open_names) is None and readable(lab, other, *open_names) == ALL_COLUMNS
    assert shown_database(lab, reader, open_names[0])
    grant(lab, CENTRAL, reader, on_columns(*open_names, "id"), "SELECT")
    assert readable(lab, reader, *open_names) == ["id"]
    opt_in(lab, CENTRAL, reader, on_database(open_names[0]))
    assert shown_database(lab, reader, open_names[0]) is None and shown_database(lab, other, open_names[0])
    opt_out(lab, CENTRAL, reader, on_table(*open_names))
    assert readable(lab, reader, *open_names) == ALL_COLUMNS


@pytest.mark.statement("lf-access.opt-in-governs")
def test_opting_in_on_all_tables_or_as_all_principals_holds_each_of_them(lab, open_names, reader):
    other = a_role(lab, "other")
    opt_in(lab, CENTRAL, reader, on_table(open_names[0], None))
    later = lab.table(CENTRAL, open_names[0])
    grant(lab, CENTRAL, IAM_ALLOWED, on_table(open_names[0], later), "ALL")
    assert sees(lab, reader, *open_names) is None and sees(lab, reader, open_names[0], later) is None
    assert sees(lab, other, open_names[0], later)
    opt_in(lab, CENTRAL, f"{lab.account(CENTRAL)}:IAMPrincipals", on_table(open_names[0], later))
    assert sees(lab, other, open_names[0], later) is None and sees(lab, other, *open_names)


@pytest.mark.statement("lf-access.hybrid-data", "lf-access.vending")
def test_in_hybrid_mode_queries_read_with_own_rights_unless_opted_in(lab):
    data = lab.bucket(CENTRAL)
    lab.put(CENTRAL, data, "orders/1.csv", "1,a@b,3\n")
    register(lab, CENTRAL, data, lender(lab, CENTRAL, data), HybridAccessEnabled=True)
    place = desk(lab, CENTRAL)
    columns = {"id": "string", "email": "string", "total": "string"}
    shape = {**place.descriptor("orders", columns), "Location": f"s3://{data}/orders/"}
    lab.client("glue", CENTRAL).create_table(
        DatabaseName=place.database,
        TableInput={"Name": "orders", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": shape},
    )
    for resource in (on_database(place.database), on_table(place.database, "orders")):
        grant(lab, CENTRAL, IAM_ALLOWED, resource, "ALL")
    reader = lab.role(CENTRAL, "reader", allow=READER)
    lab.allow(reader, *RESULTS, resource=[f"arn:aws:s3:::{place.bucket}", f"arn:aws:s3:::{place.bucket}/*"])
    hers, sql = place.of(reader), "SELECT id FROM orders"
    assert "denied" in hers.reason(sql).lower()
    opt_in(lab, CENTRAL, reader, on_table(place.database, "orders"))
    assert "does not exist" in hers.reason(sql)
    grant(lab, CENTRAL, reader, on_columns(place.database, "orders", "id"), "SELECT")
    assert hers.rows(sql) == [("1",)]
    opt_out(lab, CENTRAL, reader, on_table(place.database, "orders"))
    arn, role = f"arn:aws:s3:::{data}", lake_formation(lab).describe_resource(ResourceArn=f"arn:aws:s3:::{data}")
    for hybrid in (False, True):
        lake_formation(lab).update_resource(
            ResourceArn=arn, RoleArn=role["ResourceInfo"]["RoleArn"], HybridAccessEnabled=hybrid
        )
        if not hybrid:
            assert hers.rows(sql) == [("1",)]
    assert "denied" in hers.reason(sql).lower()
    lab.allow(reader, "s3:GetObject", "s3:ListBucket", resource=[f"arn:aws:s3:::{data}", f"arn:aws:s3:::{data}/*"])
    assert hers.rows("SELECT email FROM orders") == [("a@b",)]
    lake_formation(lab).deregister_resource(ResourceArn=f"arn:aws:s3:::{data}")
    assert hers.rows(sql) == [("1",)]


# -- across accounts --------------------------------------------------------------------------------------------------


@pytest.fixture
def two(lab):
    """An owner and a consumer in one organization, and the owner's table in hybrid mode, open to IAM."""
    owner, consumer = lab.fresh(), lab.fresh()
    lab.organization(owner, consumer)
    for part in (owner, consumer):
        lab.lake(part)
    bucket = lab.bucket(owner)
    register(lab, owner, bucket, lender(lab, owner, bucket), HybridAccessEnabled=True)
    return owner, consumer, *iam_table(lab, owner, f"s3://{bucket}/orders")


FRESH = pytest.mark.local_only("accounts of its own, in one organization")


@FRESH
@pytest.mark.statement("lf-access.hybrid-accounts")
def test_version_4_shares_what_is_in_hybrid_mode_with_who_is_opted_in(lab, two):
    owner, consumer, database, table = two
    catalog, reader = lab.account(owner), a_role(lab, "reader", part=consumer)
    grant(lab, owner, consumer_id := lab.account(consumer), on_table(database, table), "SELECT", options=True)
    grant(lab, owner, consumer_id, on_database(database), "DESCRIBE", options=True)
    grant(lab, consumer, reader, on_table(database, table, catalog), "SELECT")
    grant(lab, consumer, reader, on_database(database, catalog), "DESCRIBE")
    with refused("AccessDeniedException"):
        sees(lab, reader, database, table, catalog)
    assert shown_database(lab, reader, database, catalog) is None
    opt_in(lab, owner, consumer_id, on_table(database, table))
    assert sees(lab, reader, database, table, catalog) == ["id", "email", "total"]
    assert shown_database(lab, reader, database, catalog) is None
    opt_in(lab, owner, consumer_id, on_database(database))
    assert shown_database(lab, reader, database, catalog)
    opt_out(lab, owner, consumer_id, on_table(database, table))
    with refused("AccessDeniedException"):
        sees(lab, reader, database, table, catalog)


@FRESH
@pytest.mark.statement("lf-access.hybrid-all-tables")
def test_across_accounts_who_is_opted_in_on_all_tables_must_be_on_the_database_too(lab, two):
    owner, consumer, database, table = two
    catalog, consumer_id = lab.account(owner), lab.account(consumer)
    grant(lab, owner, consumer_id, on_table(database, None), "SELECT", options=True)
    opt_in(lab, owner, consumer_id, on_table(database, None))
    with refused("AccessDeniedException"):
        sees(lab, consumer, database, table, catalog)
    opt_in(lab, owner, consumer_id, on_database(database))
    assert sees(lab, consumer, database, table, catalog)


@FRESH
@pytest.mark.statement("lf-access.hybrid-accounts")
def test_below_version_4_or_outside_hybrid_mode_it_is_an_illegal_combination(lab, two):
    owner, consumer, database, table = two
    lab.lake(owner, version="3")
    for resource in (on_database(database), on_table(database, table), on_table(database, None)):
        with refused("AccessDeniedException", message="Illegal combination"):
            grant(lab, owner, lab.account(consumer), resource, "DESCRIBE")
    lab.lake(owner, version="4")
    elsewhere = iam_table(lab, owner)
    mixed = lab.table(owner, database)
    grant(lab, owner, IAM_ALLOWED, on_table(database, mixed), "ALL")
    for resource in (
        on_database(elsewhere[0]),
        on_table(*elsewhere),
        on_table(database, mixed),
        on_table(database, None),
        on_columns(*elsewhere, "id"),
    ):
        with refused("AccessDeniedException", message="Illegal combination"):
            grant(
                lab, owner, lab.account(consumer), resource, "SELECT" if "TableWithColumns" in resource else "DESCRIBE"
            )
    grant(lab, owner, lab.account(consumer), on_columns(database, table, "id"), "SELECT")


@FRESH
@pytest.mark.statement("lf-access.hybrid-accounts")
def test_what_was_shared_so_ends_with_the_version_and_with_hybrid_mode(lab, two):
    owner, consumer, database, table = two
    catalog, consumer_id = lab.account(owner), lab.account(consumer)
    for resource, permission in ((on_table(database, table), "SELECT"), (on_database(database), "DESCRIBE")):
        grant(lab, owner, consumer_id, resource, permission)
        opt_in(lab, owner, consumer_id, resource)
    assert sees(lab, consumer, database, table, catalog) and shown_database(lab, consumer, database, catalog)
    (location,) = lake_formation(lab, owner).list_resources()["ResourceInfoList"]
    for version, hybrid in (("3", True), ("4", False)):
        lab.lake(owner, version=version)
        lake_formation(lab, owner).update_resource(
            ResourceArn=location["ResourceArn"], RoleArn=location["RoleArn"], HybridAccessEnabled=hybrid
        )
        with refused("AccessDeniedException"):
            sees(lab, consumer, database, table, catalog)
        assert shown_database(lab, consumer, database, catalog) is None


@FRESH
@pytest.mark.statement("lf-access.hybrid-accounts")
def test_a_consumer_opts_in_its_own_principals_only(lab, two):
    owner, consumer, database, _ = two
    shared, reader = on_database(database, lab.account(owner)), a_role(lab, "reader", part=consumer)
    opt_in(lab, consumer, reader, shared)
    assert opted(lab, consumer) == [(reader.arn, "Database")]
    with refused("InvalidInputException"):
        opt_in(lab, consumer, lab.account(owner), shared)
