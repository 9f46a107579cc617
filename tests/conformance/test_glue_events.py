"""The catalogue's events on EventBridge."""

import json

import pytest
from lab import refused
from lake_calls import LAKE_ACTIONS

DATABASE_CHANGE, TABLE_CHANGE = (f"Glue Data Catalog {kind} State Change" for kind in ("Database", "Table"))


@pytest.fixture(scope="module")
def account(lab):
    lab.lake("central")
    return lab.account("central")


@pytest.fixture(scope="module")
def queue(lab, account):
    """The URL of a queue that gets all of Glue's events of the account."""
    events, sqs, name = lab.client("events", "central"), lab.client("sqs", "central"), lab.name("events", "-")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    lab.at_end(sqs.delete_queue, QueueUrl=url)
    arn = f"arn:aws:sqs:{lab.region}:{account}:{name}"
    admit = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [admit]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["aws.glue"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    lab.at_end(events.delete_rule, Name=name)
    lab.at_end(events.remove_targets, Rule=name, Ids=["queue"])
    return url


def _events(lab, queue, database):
    """The events about a database so far, by what changed."""
    sqs, seen = lab.client("sqs", "central"), {}

    def look():
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                if event["detail"]["databaseName"] == database:
                    seen.setdefault(event["detail"]["typeOfChange"], []).append(event)
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return seen

    return lab.eventually(look)


def _detail(events, change):
    (event,) = events[change]
    return event["detail-type"], {key: value for key, value in event["detail"].items() if key != "typeOfChange"}


@pytest.mark.statement("glue.events-database")
def test_databases_and_tables_made_and_deleted_are_database_state_changes(lab, account, queue):
    glue, name = lab.client("glue", "central"), lab.name("sales")
    glue.create_database(DatabaseInput={"Name": name.upper()})
    for table in ("one", "two", "three"):
        glue.create_table(DatabaseName=name, TableInput={"Name": table})
    glue.delete_table(DatabaseName=name, Name="ONE")
    glue.batch_delete_table(DatabaseName=name, TablesToDelete=["two", "missing", "Three"])
    glue.delete_database(Name=name)
    seen = _events(lab, queue, name)
    assert _detail(seen, "CreateDatabase") == (DATABASE_CHANGE, {"databaseName": name, "changedTables": []})
    assert _detail(seen, "DeleteDatabase") == (DATABASE_CHANGE, {"databaseName": name, "changedTables": []})
    assert _detail(seen, "DeleteTable") == (DATABASE_CHANGE, {"databaseName": name, "changedTables": ["one"]})
    changed = {"databaseName": name, "changedTables": ["two", "three"]}
    assert _detail(seen, "BatchDeleteTable") == (DATABASE_CHANGE, changed)
    created = [event["detail"]["changedTables"] for event in seen["CreateTable"]]
    assert sorted(created) == [["one"], ["three"], ["two"]]
    for events in seen.values():
        for event in events:
            assert (event["source"], event["account"], event["region"]) == ("aws.glue", account, lab.region)
    (deleted,) = seen["DeleteTable"]
    assert deleted["resources"] == [f"arn:aws:glue:{lab.region}:{account}:table/{name}/one"]
    (made,) = seen["CreateDatabase"]
    assert made["resources"] == [f"arn:aws:glue:{lab.region}:{account}:database/{name}"]


@pytest.mark.statement("glue.events-table")
def test_table_and_partition_changes_are_table_state_changes(lab, account, queue):
    glue, database = lab.client("glue", "central"), lab.database("central", "sales")
    where = {"DatabaseName": database, "TableName": lab.table("central", database, "orders", keys=("year", "month"))}
    table, given = where["TableName"], {"Values": ["2018", "01"]}
    keys = [{"Name": key, "Type": "string"} for key in ("year", "month")]
    glue.update_table(DatabaseName=database, TableInput={"Name": table, "PartitionKeys": keys})
    glue.create_partition(**where, PartitionInput=given)
    glue.update_partition(**where, PartitionValueList=["2018", "01"], PartitionInput=given)
    glue.delete_partition(**where, PartitionValues=["2018", "01"])
    both = [given, {"Values": ["2018", "02"]}]
    glue.batch_create_partition(**where, PartitionInputList=[*both, {"Values": ["2018"]}])
    glue.batch_update_partition(
        **where, Entries=[{"PartitionValueList": each["Values"], "PartitionInput": each} for each in both]
    )
    glue.batch_delete_partition(**where, PartitionsToDelete=both)
    seen, names = _events(lab, queue, database), {"databaseName": database, "tableName": table}
    assert _detail(seen, "UpdateTable") == (TABLE_CHANGE, {**names, "changedPartitions": []})
    for change in ("CreatePartition", "UpdatePartition", "DeletePartition"):
        assert _detail(seen, change) == (TABLE_CHANGE, {**names, "changedPartitions": ["2018,01"]})
    for change in ("BatchCreatePartition", "BatchUpdatePartition", "BatchDeletePartition"):
        assert _detail(seen, change) == (TABLE_CHANGE, {**names, "changedPartitions": ["2018,01", "2018,02"]})
    (event,) = seen["UpdateTable"]
    assert event["resources"] == [f"arn:aws:glue:{lab.region}:{account}:table/{database}/{table}"]


@pytest.mark.statement("glue.events-100")
@pytest.mark.local_only("batches are no larger than what an event names")
def test_an_event_names_no_more_than_a_batch_can_change(lab, account, queue):
    glue, database = lab.client("glue", "central"), lab.database("central", "sales")
    table = lab.table("central", database, "orders", keys=("n",))
    given = [{"Values": [str(n)]} for n in range(100)]
    glue.batch_create_partition(DatabaseName=database, TableName=table, PartitionInputList=given)
    _, detail = _detail(_events(lab, queue, database), "BatchCreatePartition")
    assert detail["changedPartitions"] == [str(n) for n in range(100)]


@pytest.mark.statement("glue.events-failed")
def test_what_changes_nothing_is_no_event(lab, account, queue):
    glue, database = lab.client("glue", "central"), lab.database("central", "sales")
    table = lab.table("central", database, "orders", keys=("n",))
    where = {"DatabaseName": database, "TableName": table}
    nobody = lab.client("glue", lab.role("central", "nobody", allow=LAKE_ACTIONS))
    for call in (
        lambda: glue.create_table(DatabaseName=database, TableInput={"Name": table}),
        lambda: glue.delete_table(DatabaseName=database, Name="missing"),
        lambda: nobody.delete_database(Name=database),
        lambda: glue.delete_partition(**where, PartitionValues=["1"]),
    ):
        with refused("AlreadyExistsException", "EntityNotFoundException", "AccessDeniedException"):
            call()
    glue.batch_delete_table(DatabaseName=database, TablesToDelete=["missing"])
    glue.batch_create_partition(**where, PartitionInputList=[{"Values": ["1", "2"]}])
    assert sorted(_events(lab, queue, database)) == ["CreateDatabase", "CreateTable"]
