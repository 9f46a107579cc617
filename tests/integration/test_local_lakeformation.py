"""Lake Formation of the local AWS, inside: what it tells query engines, and that every allowed operation is answered.

What it does for clients is shown by the conformance suite.
"""

import pytest
import yaml
from lake_scene import lake_world, on_columns, on_policy

from local_aws import allowed
from local_aws.allowed import entries


@pytest.fixture
def lake():
    with lake_world() as world:
        yield world


def test_the_longest_registered_prefix_lends_its_role(lake):
    account, admin = lake.governed()
    wide, narrow = lake.role(account, "wide"), lake.role(account, "narrow")
    for path, role in (("data", wide), ("data/sales/", narrow)):
        lake.call(admin, "lakeformation:RegisterResource", ResourceArn=f"arn:aws:s3:::{path}", RoleArn=role)
    engine = lake.world.engines["lakeformation"]
    assert engine.registration_for("s3://data/sales/orders/part.csv") == narrow
    assert engine.registration_for("s3://data/sales") == narrow
    assert engine.registration_for("s3://data/salesforce") == wide
    assert engine.registration_for("s3://database") is None
    assert engine.registration_for("s3://data/sales/orders", lake.account()) is None


def test_partition_keys_are_readable_with_any_column(lake):
    account, admin = lake.governed()
    by_name, by_tag = lake.role(account, "by-name"), lake.role(account, "by-tag")
    lake.tag(admin, "pii", "none", "contact")
    lake.database(admin, "sales")
    lake.table(admin, "sales", "daily", keys=("day",))
    lake.grant(admin, by_name, on_columns("sales", "daily", "id", "total"), "SELECT")
    assert lake.reads(by_name, "sales", "daily") == {"id", "total", "day"}
    lake.grant(admin, by_tag, on_policy("TABLE", pii=["none"]), "SELECT")
    assert lake.reads(by_tag, "sales", "daily") == set()
    lake.assign(admin, on_columns("sales", "daily", "id"), pii="none")
    lake.assign(admin, on_columns("sales", "daily", "day"), pii="contact")
    assert lake.reads(by_tag, "sales", "daily") == {"id", "day"}
    lake.assign(admin, on_columns("sales", "daily", "id"), pii="contact")
    assert lake.reads(by_tag, "sales", "daily") == set()
    lake.assign(admin, on_columns("sales", "daily", "day"), pii="none")
    assert lake.reads(by_tag, "sales", "daily") == {"day"}, "a key that matches by itself"


def test_every_allowed_operation_is_answered_by_its_engine(aws):
    for service in ("lakeformation", "ram"):
        for operation in allowed.operations(service):
            assert aws.world.handler(service, operation), f"{service}:{operation} would fall through to moto"
    glue = yaml.safe_load((entries.FOLDER / "glue.yaml").read_text("utf-8"))["operations"]
    assert all(hasattr(aws.world.engines["glue"], operation) for operation in glue)
