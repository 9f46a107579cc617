"""Athena's workgroups, where they send results, and what the catalogue says through Athena."""

import pytest
from athena_desk import RESULTS, desk, workgroup
from lab import refused

INVALID = "InvalidRequestException"


@pytest.fixture(scope="module")
def here(lab):
    return desk(lab)


# -- workgroups ---------------------------------------------------------------------------------------------------


@pytest.mark.statement("athena-workgroups.life")
def test_a_workgroup_is_made_shown_changed_and_deleted(here, lab):
    athena, name = here.client(), lab.name("group", "-")
    configuration = {"EngineVersion": {"SelectedEngineVersion": "AUTO"}, "PublishCloudWatchMetricsEnabled": False}
    tags = [{"Key": "team", "Value": "x"}, {"Key": "a"}]
    athena.create_work_group(Name=name, Description="first", Tags=tags, Configuration=configuration)
    shown = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    assert (shown["Name"], shown["State"], shown["Description"]) == (name, "ENABLED", "first")
    assert shown["Configuration"]["EnforceWorkGroupConfiguration"] is True
    assert shown["Configuration"]["EngineVersion"] == {
        "SelectedEngineVersion": "AUTO",
        "EffectiveEngineVersion": "Athena engine version 3",
    }
    engine = {"SelectedEngineVersion": "Athena engine version 3"}
    updates = {"EngineVersion": engine, "PublishCloudWatchMetricsEnabled": True}
    athena.update_work_group(WorkGroup=name, ConfigurationUpdates=updates)
    athena.update_work_group(WorkGroup=name, Description="second")
    shown = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    assert (shown["Description"], shown["Configuration"]["PublishCloudWatchMetricsEnabled"]) == ("second", True)
    assert shown["Configuration"]["EngineVersion"]["SelectedEngineVersion"] == "Athena engine version 3"
    arn = f"arn:aws:athena:{lab.region}:{lab.account('producer')}:workgroup/{name}"
    tags = athena.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert tags == [{"Key": "a", "Value": ""}, {"Key": "team", "Value": "x"}]
    athena.tag_resource(ResourceARN=arn, Tags=[{"Key": "team", "Value": "y"}])
    athena.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert athena.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "y"}]
    assert name in listed(athena)
    athena.delete_work_group(WorkGroup=name)
    assert name not in listed(athena)
    for missing in (arn, arn.replace("workgroup", "datacatalog")):
        with refused("ResourceNotFoundException"):
            athena.list_tags_for_resource(ResourceARN=missing)


def listed(athena):
    found = athena.list_work_groups(MaxResults=2)
    names = [each["Name"] for each in found["WorkGroups"]]
    while found.get("NextToken"):
        found = athena.list_work_groups(NextToken=found["NextToken"])
        names += [each["Name"] for each in found["WorkGroups"]]
    return names


@pytest.mark.statement("athena-workgroups.primary")
def test_each_account_has_the_primary_workgroup_and_keeps_it(here):
    athena = here.client()
    shown = athena.get_work_group(WorkGroup="primary")["WorkGroup"]
    assert shown["Configuration"]["EnforceWorkGroupConfiguration"] is False
    assert "primary" in listed(athena)
    with refused(INVALID, message="primary"):
        athena.delete_work_group(WorkGroup="primary", RecursiveDeleteOption=True)


@pytest.mark.statement("athena-workgroups.refusals")
def test_what_a_workgroup_cannot_be_is_refused(here, lab):
    athena, name = here.client(), lab.name("group", "-")
    for given in (
        {"Name": "no spaces"},
        {"Name": name, "Configuration": {"EngineVersion": {"SelectedEngineVersion": "Athena engine version 1"}}},
        {"Name": name, "Configuration": {"ResultConfiguration": {"OutputLocation": "/tmp/x"}}},
        {"Name": name, "Configuration": {"ResultConfiguration": {"OutputLocation": "s3://"}}},
        {"Name": name, "Configuration": encrypted("SSE_KMS")},
        {"Name": here.workgroup},
    ):
        with refused(INVALID):
            athena.create_work_group(**given)
    assert name not in listed(athena)
    for call in ("get_work_group", "update_work_group", "delete_work_group"):
        with refused(INVALID, message="not found"):
            getattr(athena, call)(WorkGroup=name)
    with refused(INVALID, message="not found"):
        here.start("SELECT 1", WorkGroup=name)
    with refused(INVALID, message="not found"):
        athena.list_query_executions(WorkGroup=name)


def encrypted(option, **more):
    return {"ResultConfiguration": {"EncryptionConfiguration": {"EncryptionOption": option, **more}}}


@pytest.mark.statement("athena-workgroups.client-side-encryption")
@pytest.mark.local_only("this works on AWS")
def test_encryption_on_the_clients_side_is_not_built(here, lab):
    with refused("LocalAwsNotSupported"):
        here.client().create_work_group(Name=lab.name("group", "-"), Configuration=encrypted("CSE_KMS", KmsKey="k"))


@pytest.mark.statement("athena-workgroups.disabled", "athena-workgroups.not-empty")
def test_a_disabled_workgroup_runs_nothing_and_one_with_history_goes_only_recursively(here, lab):
    athena, name = here.client(), lab.name("group", "-")
    location = {"ResultConfiguration": {"OutputLocation": f"s3://{here.bucket}/x"}}
    athena.create_work_group(Name=name, Configuration=location)
    here.run("SELECT 1", WorkGroup=name)
    athena.update_work_group(WorkGroup=name, State="DISABLED")
    with refused(INVALID, message="disabled"):
        here.start("SELECT 1", WorkGroup=name)
    athena.update_work_group(WorkGroup=name, State="ENABLED")
    here.run("SELECT 1", WorkGroup=name)
    with refused(INVALID, message="not empty"):
        athena.delete_work_group(WorkGroup=name)
    athena.delete_work_group(WorkGroup=name, RecursiveDeleteOption=True)
    with refused(INVALID, message="not found"):
        athena.get_work_group(WorkGroup=name)


@pytest.mark.statement("athena-workgroups.cutoff")
def test_a_query_that_would_read_more_than_its_workgroup_allows_is_cancelled(here, lab):
    group = workgroup(lab, "producer", here.bucket, BytesScannedCutoffPerQuery=10_000_000)
    table = here.table({"name": "string"}, files={"1.csv": b"1" * 9_999_999 + b"\n"})
    assert here.rows(f"SELECT count(*) FROM {table}", WorkGroup=group) == [("1",)]
    here.put(f"{table}/2.csv", "1")
    status = here.ended(here.start(f"SELECT count(*) FROM {table}", WorkGroup=group))["Status"]
    assert status["State"] == "CANCELLED"
    assert "Bytes scanned limit was exceeded" in status["StateChangeReason"]
    here.client().update_work_group(WorkGroup=group, ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})
    assert here.rows(f"SELECT count(*) FROM {table}", WorkGroup=group) == [("2",)]


# -- where results go ---------------------------------------------------------------------------------------------


@pytest.mark.statement("athena-workgroups.enforced", "athena-workgroups.client-settings")
def test_an_enforced_workgroup_says_where_results_go_and_another_lets_the_client_say(here, lab):
    mine = {"OutputLocation": f"s3://{here.bucket}/mine"}
    result = {
        "OutputLocation": f"s3://{here.bucket}/group/",
        "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
        "ExpectedBucketOwner": lab.account("producer"),
    }
    group = workgroup(lab, "producer", None, ResultConfiguration=result)
    execution = here.run("SELECT 1", WorkGroup=group, ResultConfiguration=mine)
    key = f"group/{execution['QueryExecutionId']}.csv"
    assert execution["ResultConfiguration"] == {**result, "OutputLocation": f"s3://{here.bucket}/{key}"}
    assert here.client("s3").head_object(Bucket=here.bucket, Key=key)["ServerSideEncryption"] == "AES256"
    updates = {"EnforceWorkGroupConfiguration": False, "BytesScannedCutoffPerQuery": 20_000_000}
    here.client().update_work_group(WorkGroup=group, ConfigurationUpdates=updates)
    mine |= {name: result[name] for name in ("EncryptionConfiguration", "ExpectedBucketOwner")}
    for given, folder in ((mine, "mine"), ({}, "group")):
        execution = here.run("SELECT 1", WorkGroup=group, ResultConfiguration=given)
        location = execution["ResultConfiguration"]["OutputLocation"]
        assert location == f"s3://{here.bucket}/{folder}/{execution['QueryExecutionId']}.csv"


@pytest.mark.statement("athena-workgroups.no-location", "athena-workgroups.updates")
def test_without_a_location_no_query_starts(here, lab):
    group = workgroup(lab, "producer", None)
    with refused(INVALID, message="No output location provided"):
        here.start("SELECT 1", WorkGroup=group)
    athena = here.client()

    def update(**result):
        athena.update_work_group(WorkGroup=group, ConfigurationUpdates={"ResultConfigurationUpdates": result})
        return athena.get_work_group(WorkGroup=group)["WorkGroup"]["Configuration"]["ResultConfiguration"]

    owner = lab.account("producer")
    update(OutputLocation=f"s3://{here.bucket}/x/", ExpectedBucketOwner=owner)
    kept = update(EncryptionConfiguration={"EncryptionOption": "SSE_S3"})
    assert kept == {
        "OutputLocation": f"s3://{here.bucket}/x/",
        "ExpectedBucketOwner": owner,
        "EncryptionConfiguration": {"EncryptionOption": "SSE_S3"},
    }
    here.run("SELECT 1", WorkGroup=group)
    assert update(RemoveEncryptionConfiguration=True, RemoveExpectedBucketOwner=True) == {
        "OutputLocation": f"s3://{here.bucket}/x/"
    }
    with refused(INVALID):
        update(OutputLocation="nowhere")
    assert update(RemoveOutputLocation=True) == {}
    with refused(INVALID, message="No output location provided"):
        here.start("SELECT 1", WorkGroup=group)


@pytest.mark.statement("athena-workgroups.output-bucket")
def test_the_output_must_be_a_bucket_that_the_caller_can_locate(here, lab):
    group = workgroup(lab, "producer", None, EnforceWorkGroupConfiguration=False)
    gone = {"OutputLocation": f"s3://{here.bucket}-gone/"}
    with refused(INVALID, message=f"Unable to verify/create output bucket {here.bucket}-gone"):
        here.start("SELECT 1", WorkGroup=group, ResultConfiguration=gone)
    with refused(INVALID, message="not a valid S3 path"):
        here.start("SELECT 1", WorkGroup=group, ResultConfiguration={"OutputLocation": "/tmp/x"})
    there = {"OutputLocation": f"s3://{here.bucket}"}
    role = lab.role("producer", allow=["athena:*", "s3:PutObject"])
    with refused(INVALID, message="Unable to verify/create output bucket"):
        here.of(role).start("SELECT 1", WorkGroup=group, ResultConfiguration=there)
    lab.allow(role, "s3:GetBucketLocation")
    here.of(role).run("SELECT 1", WorkGroup=group, ResultConfiguration=there)


@pytest.mark.statement("athena-workgroups.expected-owner")
def test_results_go_only_to_a_bucket_of_the_expected_owner(here, lab):
    result = {"OutputLocation": f"s3://{here.bucket}/x/", "ExpectedBucketOwner": lab.account("outsider")}
    group = workgroup(lab, "producer", None, ResultConfiguration=result)
    status = here.failed("SELECT 1", WorkGroup=group)
    assert status["StateChangeReason"].startswith("Access denied when writing output to url: s3://")
    assert (status["AthenaError"]["ErrorCategory"], status["AthenaError"]["ErrorType"]) == (2, 401)


@pytest.mark.statement("athena-workgroups.kms")
def test_results_are_encrypted_with_the_workgroups_key_as_the_caller(here, lab):
    kms = lab.client("kms", "producer")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    lab.at_end(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    encryption = {"EncryptionOption": "SSE_KMS", "KmsKey": key}
    result = {"OutputLocation": f"s3://{here.bucket}/x/", "EncryptionConfiguration": encryption}
    group = workgroup(lab, "producer", None, ResultConfiguration=result)
    execution = here.run("SELECT 1", WorkGroup=group)
    head = here.client("s3").head_object(Bucket=here.bucket, Key=f"x/{execution['QueryExecutionId']}.csv")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    role = here.of(lab.role("producer", allow=["athena:*", *RESULTS]))
    assert "kms:GenerateDataKey" in role.reason("SELECT 1", WorkGroup=group)
    with refused(INVALID, message="kms:Decrypt"):
        role.client().get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    lab.allow(role.who, "kms:GenerateDataKey", "kms:Decrypt")
    assert role.rows("SELECT 1", WorkGroup=group) == [("1",)]


# -- the catalogue through Athena ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shelf(lab):
    """A database with a partitioned table, and another table."""
    made = desk(lab)
    orders = made.table({"id": "bigint", "name": "string"}, keys={"dt": "string"}, name="orders_1")
    made.partition(orders, ["2024"], {"id": "bigint"})
    made.partition(orders, ["2023"], {"id": "bigint"})
    made.table({"id": "bigint"}, name="people")
    return made


@pytest.mark.statement("athena-workgroups.show-databases")
def test_show_databases_takes_a_regular_expression(shelf):
    name = shelf.database
    assert {name} <= set(shelf.lines("SHOW DATABASES"))
    assert shelf.lines(f"SHOW SCHEMAS LIKE '{name[:-1]}.'") == [name]
    assert shelf.lines(f"show databases like '{name[:-1]}'") == []
    assert name in shelf.lines("SHOW DATABASES LIKE '*'")
    assert shelf.reason("SHOW DATABASES LIKE '('").startswith("GENERIC_USER_ERROR")


@pytest.mark.statement("athena-workgroups.show-tables")
def test_show_tables_takes_wildcards_and_alternatives(shelf):
    name = shelf.database
    assert shelf.lines("SHOW TABLES") == ["orders_1", "people"]
    assert shelf.lines(f"SHOW TABLES IN `{name.upper()}` 'p*'") == ["people"]
    assert shelf.lines("SHOW TABLES '*ord*|nobody'") == ["orders_1"]
    assert shelf.lines("SHOW TABLES 'ORDERS.1'") == ["orders_1"]
    assert shelf.reason("SHOW TABLES IN nowhere").startswith("GENERIC_USER_ERROR: EntityNotFoundException")


@pytest.mark.statement("athena-workgroups.show-columns")
def test_show_columns_and_describe_tell_columns_and_partition_keys(shelf):
    for statement in ("SHOW COLUMNS FROM orders_1", f"SHOW COLUMNS IN orders_1 FROM {shelf.database}"):
        assert [line.strip() for line in shelf.lines(statement)] == ["id", "name", "dt"]
    described = shelf.lines(f"DESCRIBE awsdatacatalog.{shelf.database}.orders_1;")
    assert described[0] == f"{'id':20}\t{'bigint':20}\t{'':20}"
    assert "# Partition Information\t \t " in described
    assert [line.split("\t")[0].strip() for line in described[:3]] == ["id", "name", "dt"]
    assert len(shelf.lines("-- a comment\nDESC people")) == 1


@pytest.mark.statement("athena-workgroups.describe-missing")
def test_show_columns_and_describe_of_a_table_that_is_not_there_do_not_start(shelf):
    for statement in ("DESCRIBE gone", "SHOW COLUMNS FROM gone"):
        with refused(INVALID, message="Entity Not Found"):
            shelf.start(statement)


@pytest.mark.statement("athena-workgroups.show-partitions")
def test_show_partitions_lists_keys_and_values(shelf):
    assert sorted(shelf.lines("SHOW PARTITIONS orders_1")) == ["dt=2023", "dt=2024"]
    assert "people is not a partitioned table" in shelf.reason("SHOW PARTITIONS people")
    assert shelf.reason("SHOW PARTITIONS other.db.gone") == "CATALOG_NOT_FOUND: Catalog 'other' does not exist"


@pytest.mark.statement("athena-workgroups.metadata")
def test_the_catalogue_is_listed_through_athena(shelf):
    athena, where = shelf.client(), {"CatalogName": "AwsDataCatalog"}
    assert athena.get_data_catalog(Name="AwsDataCatalog")["DataCatalog"]["Type"] == "GLUE"
    names, token = [], {}
    while not names or token:
        page = athena.list_databases(**where, MaxResults=1, **token)
        names += [each["Name"] for each in page["DatabaseList"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else {}
    assert shelf.database in names
    assert athena.get_database(**where, DatabaseName=shelf.database)["Database"] == {"Name": shelf.database}
    table = athena.get_table_metadata(**where, DatabaseName=shelf.database, TableName="orders_1")["TableMetadata"]
    assert table["Columns"] == [{"Name": "id", "Type": "bigint"}, {"Name": "name", "Type": "string"}]
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    assert table["Parameters"]["location"] == f"s3://{shelf.bucket}/orders_1/"
    assert table["Parameters"]["inputformat"] == "org.apache.hadoop.mapred.TextInputFormat"
    assert table["Parameters"]["serde.serialization.lib"].endswith("LazySimpleSerDe")
    page = athena.list_table_metadata(**where, DatabaseName=shelf.database, MaxResults=1)
    more = athena.list_table_metadata(**where, DatabaseName=shelf.database, NextToken=page["NextToken"])
    names = [each["Name"] for each in page["TableMetadataList"] + more["TableMetadataList"]]
    assert names == ["orders_1", "people"]
    found = athena.list_table_metadata(**where, DatabaseName=shelf.database, Expression="p.*")
    assert [each["Name"] for each in found["TableMetadataList"]] == ["people"]
    assert len(athena.list_table_metadata(**where, DatabaseName=shelf.database)["TableMetadataList"]) == 2


@pytest.mark.statement("athena-workgroups.metadata")
def test_what_the_catalogue_has_not_is_an_error_through_athena(shelf):
    athena, where = shelf.client(), {"CatalogName": "AwsDataCatalog", "DatabaseName": "nowhere"}
    for call in (athena.get_database, athena.list_table_metadata):
        with refused("MetadataException"):
            call(**where)
    with refused("MetadataException"):
        athena.get_table_metadata(**where, TableName="gone")
    with refused(INVALID, message="was not found"):
        athena.get_data_catalog(Name="other")
    for call, more in (
        (athena.list_databases, {}),
        (athena.get_database, {"DatabaseName": shelf.database}),
        (athena.list_table_metadata, {"DatabaseName": shelf.database}),
        (athena.get_table_metadata, {"DatabaseName": shelf.database, "TableName": "people"}),
    ):
        with refused(INVALID, message="was not found"):
            call(CatalogName="other", **more)


@pytest.mark.statement("athena-workgroups.as-caller")
def test_show_and_describe_ask_glue_as_the_caller(shelf, lab):
    role = lab.role("producer", allow=["athena:*", *RESULTS, "glue:GetTable", "glue:GetDatabase"])
    theirs = shelf.of(role)
    assert theirs.lines("SHOW COLUMNS FROM people")[0].strip() == "id"
    assert "glue:GetTables" in theirs.reason("SHOW TABLES")
    assert "glue:GetDatabases" in theirs.reason("SHOW DATABASES")
    assert "glue:GetPartitions" in theirs.reason("SHOW PARTITIONS orders_1")
    nobody = shelf.of(lab.role("producer", allow=["athena:*", *RESULTS]))
    assert "glue:GetTable" in nobody.reason("DESCRIBE people")
    with refused("MetadataException", message="glue:GetTable"):
        where = {"CatalogName": "AwsDataCatalog", "DatabaseName": shelf.database}
        nobody.client().get_table_metadata(**where, TableName="people")


@pytest.mark.statement("athena-workgroups.authorised")
def test_iam_allows_queries_by_workgroup(here, lab):
    arn = f"arn:aws:athena:{lab.region}:{lab.account('producer')}:workgroup/{here.workgroup}"
    role = lab.role("producer", allow=list(RESULTS))
    lab.allow(role, "athena:*", resource=arn)
    theirs = here.of(role)
    query_id = theirs.run("SELECT 1")["QueryExecutionId"]
    assert theirs.all_rows(query_id) == [("_col0",), ("1",)]
    other = workgroup(lab, "producer", here.bucket)
    with refused("AccessDeniedException"):
        theirs.start("SELECT 1", WorkGroup=other)
    elsewhere = here.run("SELECT 1", WorkGroup=other)["QueryExecutionId"]
    for call in ("get_query_execution", "get_query_results", "stop_query_execution"):
        with refused("AccessDeniedException"):
            getattr(theirs.client(), call)(QueryExecutionId=elsewhere)
    with refused("AccessDeniedException"):
        theirs.client().batch_get_query_execution(QueryExecutionIds=[query_id, elsewhere])
    stranger = lab.role("outsider")
    lab.allow(stranger, "athena:*", resource=f"arn:aws:athena:{lab.region}:{lab.account('outsider')}:workgroup/primary")
    with refused(INVALID, message="was not found"):
        lab.client("athena", stranger).get_query_execution(QueryExecutionId=elsewhere)
    assert query_id in theirs.client().list_query_executions(WorkGroup=here.workgroup)["QueryExecutionIds"]
