"""Tables: conditions, updates, batches, transactions, pages, indexes, and many writers at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from lab import refused
from policies import allow, root, trust, trusting

PART = "central"


@pytest.fixture(scope="module")
def dynamodb(lab):
    return lab.client("dynamodb", PART)


def made(lab, dynamodb, sort=False, **more):
    """A new table's name, with the key `k` and, if it is sorted, `s`."""
    name = lab.name("table")
    names = ["k", "s"] if sort else ["k"]
    dynamodb.create_table(
        **{
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": each, "AttributeType": "S"} for each in names],
            "KeySchema": [
                {"AttributeName": each, "KeyType": kind} for each, kind in zip(names, ("HASH", "RANGE"), strict=False)
            ],
            "BillingMode": "PAY_PER_REQUEST",
            **more,
        }
    )
    lab.at_end(dynamodb.delete_table, TableName=name)
    lab.eventually(lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE")
    return name


@pytest.fixture(scope="module")
def table(lab, dynamodb):
    return made(lab, dynamodb)


def key(text):
    return {"k": {"S": text}}


@pytest.mark.statement("services.conditions")
def test_a_write_whose_condition_does_not_hold_changes_nothing_and_can_say_what_is_there(dynamodb, table):
    absent = {"ConditionExpression": "attribute_not_exists(k)"}
    dynamodb.put_item(TableName=table, Item={**key("a"), "n": {"N": "1"}}, **absent)
    with refused("ConditionalCheckFailedException") as caught:
        dynamodb.put_item(TableName=table, Item=key("a"), **absent, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Item"]["n"] == {"N": "1"}
    values = {"ExpressionAttributeNames": {"#n": "n"}, "ExpressionAttributeValues": {":two": {"N": "2"}}}
    with refused("ConditionalCheckFailedException"):
        dynamodb.delete_item(TableName=table, Key=key("a"), ConditionExpression="#n = :two", **values)
    with refused("ConditionalCheckFailedException"):
        dynamodb.update_item(
            TableName=table, Key=key("a"), UpdateExpression="SET #n = :two", ConditionExpression="#n = :two", **values
        )
    assert dynamodb.get_item(TableName=table, Key=key("a"), ConsistentRead=True)["Item"]["n"] == {"N": "1"}
    dynamodb.update_item(
        TableName=table, Key=key("a"), UpdateExpression="SET #n = :two", ConditionExpression="#n < :two", **values
    )
    gone = dynamodb.delete_item(
        TableName=table, Key=key("a"), ConditionExpression="#n = :two", ReturnValues="ALL_OLD", **values
    )
    assert gone["Attributes"]["n"] == {"N": "2"}
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("a"))


@pytest.mark.statement("services.updates")
def test_an_update_makes_the_item_and_returns_what_is_asked_for(dynamodb, table):
    def update(expression, returned, **values):
        given = {f":{name}": value for name, value in values.items()}
        return dynamodb.update_item(
            TableName=table, Key=key("u"), UpdateExpression=expression, ReturnValues=returned,
            **({"ExpressionAttributeValues": given} if given else {}),
        ).get("Attributes")  # fmt: skip

    assert update("ADD hits :one", "UPDATED_NEW", one={"N": "1"}) == {"hits": {"N": "1"}}
    assert update("ADD hits :one SET a = :a", "ALL_NEW", one={"N": "1"}, a={"S": "x"})["hits"] == {"N": "2"}
    assert update("ADD seen :s", "UPDATED_NEW", s={"SS": ["x", "y"]}) == {"seen": {"SS": ["x", "y"]}}
    assert update("DELETE seen :s", "UPDATED_NEW", s={"SS": ["x"]}) == {"seen": {"SS": ["y"]}}
    assert update("SET a = if_not_exists(b, :b)", "UPDATED_OLD", b={"S": "z"}) == {"a": {"S": "x"}}
    assert "a" not in update("REMOVE a", "ALL_NEW")
    with refused("ValidationException"):
        update("SET k = :x", "NONE", x={"S": "another key"})


@pytest.mark.statement("services.parallel-updates")
def test_of_parallel_additions_none_is_lost(lab, dynamodb, table):
    clients = [lab.session(PART).client("dynamodb") for _ in range(8)]

    def add(client):
        for _ in range(30):
            client.update_item(
                TableName=table, Key=key("counter"), UpdateExpression="ADD hits :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )  # fmt: skip

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, clients))
    kept = dynamodb.get_item(TableName=table, Key=key("counter"), ConsistentRead=True)["Item"]
    assert kept["hits"] == {"N": "240"}


@pytest.mark.statement("services.conditions")
def test_of_many_who_take_a_lease_one_gets_it(lab, dynamodb, table):
    def take(_):
        try:
            dynamodb.put_item(TableName=table, Item=key("lease"), ConditionExpression="attribute_not_exists(k)")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConditionalCheckFailedException"
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(24))) == 1


@pytest.mark.statement("services.transactions")
def test_a_transaction_is_all_or_nothing(dynamodb, table):
    one = {"TableName": table}
    check = {**one, "Key": key("t0"), "ConditionExpression": "attribute_exists(k)"}
    writes = [{"Put": {**one, "Item": key("t1")}}, {"Put": {**one, "Item": key("t2")}}]
    with refused("TransactionCanceledException") as caught:
        dynamodb.transact_write_items(TransactItems=[*writes, {"ConditionCheck": check}])
    reasons = [each["Code"] for each in caught.value.response["CancellationReasons"]]
    assert reasons == ["None", "None", "ConditionalCheckFailed"]
    assert "Item" not in dynamodb.get_item(TableName=table, Key=key("t1"))
    dynamodb.put_item(TableName=table, Item=key("t0"))
    update = {"Update": {
        **one, "Key": key("t3"), "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "1"}},
    }}  # fmt: skip
    dynamodb.transact_write_items(
        TransactItems=[*writes, {"ConditionCheck": check}, update], ClientRequestToken="conformance-token"
    )
    got = dynamodb.transact_get_items(TransactItems=[{"Get": {**one, "Key": key(each)}} for each in ("t1", "none")])
    assert ["Item" in each for each in got["Responses"]] == [True, False]
    dynamodb.transact_write_items(TransactItems=[{"Delete": {**one, "Key": key("t1")}}])
    with refused("ValidationException"):
        dynamodb.transact_write_items(TransactItems=[writes[0], writes[0]])


@pytest.mark.statement("services.batches")
def test_batches_write_and_read_several_items(dynamodb, table):
    puts = [{"PutRequest": {"Item": key(f"b{n}")}} for n in range(25)]
    assert dynamodb.batch_write_item(RequestItems={table: puts})["UnprocessedItems"] == {}
    keys = {table: {"Keys": [key("b0"), key("b24"), key("none")]}}
    assert len(dynamodb.batch_get_item(RequestItems=keys)["Responses"][table]) == 2
    dynamodb.batch_write_item(RequestItems={table: [{"DeleteRequest": {"Key": key("b0")}}]})
    assert len(dynamodb.batch_get_item(RequestItems=keys)["Responses"][table]) == 1
    for wrong in ([*puts, {"PutRequest": {"Item": key("b25")}}], [puts[0], puts[0]]):
        with refused("ValidationException"):
            dynamodb.batch_write_item(RequestItems={table: wrong})


@pytest.mark.statement("services.queries")
def test_queries_are_in_order_filtered_after_reading_and_in_pages(lab, dynamodb):
    name = made(
        lab, dynamodb, sort=True,
        GlobalSecondaryIndexes=[{
            "IndexName": "by_s", "KeySchema": [{"AttributeName": "s", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
    )  # fmt: skip
    for number in range(6):
        item = {**key("unit"), "s": {"S": f"s{number}"}, "n": {"N": str(number)}}
        dynamodb.put_item(TableName=name, Item=item)
    asked = {
        "TableName": name, "KeyConditionExpression": "k = :k", "ExpressionAttributeValues": {":k": {"S": "unit"}},
    }  # fmt: skip

    def sorts(answer):
        return [each["s"]["S"] for each in answer["Items"]]

    assert sorts(dynamodb.query(**asked)) == [f"s{n}" for n in range(6)]
    assert sorts(dynamodb.query(**asked, ScanIndexForward=False, Limit=2)) == ["s5", "s4"]
    first = dynamodb.query(**asked, Limit=4, ConsistentRead=True)
    second = dynamodb.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert sorts(first) + sorts(second) == [f"s{n}" for n in range(6)]
    assert "LastEvaluatedKey" not in second
    filtered = {**asked, "ExpressionAttributeValues": {":k": {"S": "unit"}, ":n": {"N": "4"}}}
    answer = dynamodb.query(**filtered, FilterExpression="#n >= :n", ExpressionAttributeNames={"#n": "n"})
    assert (sorts(answer), answer["ScannedCount"]) == (["s4", "s5"], 6)
    assert dynamodb.query(**asked, Select="COUNT")["Count"] == 6
    (projected,) = dynamodb.query(
        TableName=name, IndexName="by_s", KeyConditionExpression="s = :s", ProjectionExpression="n",
        ExpressionAttributeValues={":s": {"S": "s3"}},
    )["Items"]  # fmt: skip
    assert projected == {"n": {"N": "3"}}
    parts = [dynamodb.scan(TableName=name, Segment=n, TotalSegments=2)["Items"] for n in range(2)]
    assert sum(map(len, parts)) == 6
    scanned = dynamodb.scan(TableName=name, FilterExpression="n > :n", ExpressionAttributeValues={":n": {"N": "4"}})
    assert (scanned["Count"], scanned["ScannedCount"]) == (1, 6)
    page = dynamodb.scan(TableName=name, Limit=4)
    rest = dynamodb.scan(TableName=name, ExclusiveStartKey=page["LastEvaluatedKey"], ConsistentRead=True)
    assert (page["Count"], rest["Count"]) == (4, 2)
    with refused("ValidationException"):
        dynamodb.query(TableName=name, KeyConditionExpression="s = :s", ExpressionAttributeValues={":s": {"S": "s3"}})


@pytest.mark.statement("services.tables")
def test_tables_are_made_once_protected_and_gone_when_deleted(lab, dynamodb):
    name = made(lab, dynamodb, DeletionProtectionEnabled=True)
    with refused("ResourceInUseException"):
        made(lab, dynamodb, TableName=name)
    with refused("ValidationException"):
        dynamodb.delete_table(TableName=name)
    dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
    assert name in [each for page in dynamodb.get_paginator("list_tables").paginate() for each in page["TableNames"]]
    dynamodb.delete_table(TableName=name)
    if lab.is_local:
        for call, params in (
            (dynamodb.describe_table, {}),
            (dynamodb.get_item, {"Key": key("a")}),
            (dynamodb.put_item, {"Item": key("a")}),
            (dynamodb.scan, {}),
        ):
            with refused("ResourceNotFoundException"):
                call(TableName=name, **params)


@pytest.mark.statement("services.items")
def test_items_have_their_tables_key_and_values_of_the_types(dynamodb, table):
    with refused("ValidationException"):
        dynamodb.put_item(TableName=table, Item={"other": {"S": "x"}})
    with refused("ValidationException"):
        dynamodb.put_item(TableName=table, Item={"k": {"N": "1"}})
    with refused("ValidationException"):
        dynamodb.put_item(TableName=table, Item={"k": {"S": ""}})
    with refused("ValidationException"):
        dynamodb.put_item(TableName=table, Item={**key("big"), "text": {"S": "x" * 400 * 1024}})
    everything = {
        "s": {"S": ""}, "n": {"N": "-1.5"}, "b": {"B": b"\x00\xff"}, "t": {"BOOL": True}, "z": {"NULL": True},
        "l": {"L": [{"S": "a"}, {"N": "1"}]}, "m": {"M": {"x": {"S": "y"}}}, "ns": {"NS": ["1"]},
    }  # fmt: skip
    dynamodb.put_item(TableName=table, Item={**key("types"), **everything})
    got = dynamodb.get_item(
        TableName=table, Key=key("types"), ProjectionExpression="#m.x, l[0]", ExpressionAttributeNames={"#m": "m"}
    )
    assert got["Item"] == {"m": {"M": {"x": {"S": "y"}}}, "l": {"L": [{"S": "a"}]}}
    assert dynamodb.get_item(TableName=table, Key=key("types"))["Item"] == {**key("types"), **everything}


@pytest.mark.statement("services.ttl")
@pytest.mark.local_only("time passes; AWS deletes within days")
def test_the_time_to_live_of_items_is_kept_and_deletes_nothing(lab, dynamodb):
    name = made(lab, dynamodb)
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
    kept = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (kept["TimeToLiveStatus"], kept["AttributeName"]) == ("ENABLED", "until")
    dynamodb.put_item(TableName=name, Item={**key("old"), "until": {"N": "1"}})
    lab.aws.world.advance(3 * 86_400)
    assert "Item" in dynamodb.get_item(TableName=name, Key=key("old"))


@pytest.mark.statement("iam.leading-keys")
def test_items_are_opened_to_a_role_by_their_partition_keys(lab, dynamodb):
    number = {"AttributeName": "n", "KeyType": "HASH"}
    index = {"IndexName": "byn", "KeySchema": [number], "Projection": {"ProjectionType": "ALL"}}
    table = made(
        lab,
        dynamodb,
        AttributeDefinitions=[
            {"AttributeName": "k", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[index],
    )
    arn = f"arn:aws:dynamodb:{lab.region}:{lab.account(PART)}:table/{table}"
    own = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["ours", "7"]}}
    may = allow("dynamodb:*", [arn, f"{arn}/index/*"], Condition=own)
    db = lab.client("dynamodb", trusting(lab, PART, trust(root(lab, PART)), may=(may,)))

    def query(text):
        condition = {"KeyConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "k"}}
        return db.query(TableName=table, **condition, ExpressionAttributeValues={":k": {"S": text}})

    def by_number(text):
        condition = {"IndexName": "byn", "KeyConditionExpression": "n = :n"}
        return db.query(TableName=table, **condition, ExpressionAttributeValues={":n": {"N": text}})

    def item(text):
        return {**key(text), "n": {"N": "7"}}

    lab.eventually(lambda: db.put_item(TableName=table, Item=item("ours")))
    assert db.get_item(TableName=table, Key=key("ours"))["Item"] == query("ours")["Items"][0]
    lab.eventually(lambda: by_number("7")["Count"] == 1)
    db.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item("ours")}}])
    puts = [{"Put": {"TableName": table, "Item": item(text)}} for text in ("ours", "theirs")]
    for ask in (
        lambda: db.put_item(TableName=table, Item=item("theirs")),
        lambda: db.get_item(TableName=table, Key=key("theirs")),
        lambda: db.update_item(TableName=table, Key=key("theirs"), UpdateExpression="REMOVE a"),
        lambda: db.delete_item(TableName=table, Key=key("theirs")),
        lambda: query("theirs"),
        lambda: by_number("8"),
        lambda: db.transact_write_items(TransactItems=puts),
        lambda: db.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": key("theirs")}}]),
        lambda: db.batch_get_item(RequestItems={table: {"Keys": [key("ours"), key("theirs")]}}),
        lambda: db.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item("theirs")}}]}),
    ):
        with refused("AccessDeniedException", message="because no identity-based policy allows"):
            ask()
    assert db.scan(TableName=table)["Count"] == 1, "it names no key, and ForAllValues holds of none"
