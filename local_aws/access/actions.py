"""What a call needs: the IAM actions and the resources that a caller must be allowed.

Source: AWS service authorization reference; for Glue "Specifying AWS Glue resource ARNs". A service without an entry
needs `<prefix>:<Operation>` on `*`, which only policies that say `*` allow.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from local_aws.access import actions_s3, lookup
from local_aws.access.need import Asked, Need
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World


PREFIXES = {
    "stepfunctions": "states",
    "resourcegroupstaggingapi": "tag",
    "sso-admin": "sso",
    "dynamodbstreams": "dynamodb",
}
"""The IAM prefix of a service, where it is not botocore's name."""

FREE = {("sts", "GetCallerIdentity")}
"""Operations that need no permission."""


def needs(world: World, caller: Caller, service: str, operation: str, params: dict[str, Any]) -> list[Need]:
    """The permissions that a call needs, all of them."""
    if (service, operation) in FREE:
        return []
    asked = Asked(world, caller, operation, params)
    if service in SERVICES:
        needed = SERVICES[service](asked)
    else:
        needed = [Need(f"{PREFIXES.get(service, service)}:{operation}", "*")]
    return needed + _passed_roles(service, asked)


# -- roles passed to services -------------------------------------------------------------------------------------

PASSED: dict[tuple[str, str], tuple[str, ...]] = {
    ("lambda", "CreateFunction"): ("Role",),
    ("lambda", "UpdateFunctionConfiguration"): ("Role",),
    ("stepfunctions", "CreateStateMachine"): ("roleArn",),
    ("stepfunctions", "UpdateStateMachine"): ("roleArn",),
    ("events", "PutRule"): ("RoleArn",),
    ("events", "PutTargets"): ("Targets", "RoleArn"),
    ("scheduler", "CreateSchedule"): ("Target", "RoleArn"),
    ("scheduler", "UpdateSchedule"): ("Target", "RoleArn"),
    ("glue", "CreateCrawler"): ("Role",),
    ("glue", "UpdateCrawler"): ("Role",),
    ("lakeformation", "RegisterResource"): ("RoleArn",),
    ("lakeformation", "UpdateResource"): ("RoleArn",),
    ("cloudformation", "CreateStack"): ("RoleARN",),
    ("cloudformation", "UpdateStack"): ("RoleARN",),
    ("cloudformation", "DeleteStack"): ("RoleARN",),
    ("cloudformation", "CreateChangeSet"): ("RoleARN",),
}
"""Operation -> path to the role in its parameters."""


def _passed_roles(service: str, asked: Asked) -> list[Need]:
    principal = f"{PREFIXES.get(service, service)}.amazonaws.com"
    needed = []
    for role in _at(asked.params, PASSED.get((service, asked.operation), ())):
        # Glue takes a name too, with or without its path.
        arn = role if role.startswith("arn:") else asked.arn("iam", f"role/{role.lstrip('/')}", region="")
        if arn.split(":")[4] != asked.caller.account:
            raise AwsError("AccessDeniedException", "Cross-account pass role is not allowed.", 403)
        needed.append(Need("iam:PassRole", arn, {"iam:PassedToService": principal}))
    return needed


def _at(params: Any, path: tuple[str, ...]) -> list[str]:
    """The values at a path through structures and lists."""
    if isinstance(params, list):
        return [value for item in params for value in _at(item, path)]
    if not path:
        return [params] if isinstance(params, str) and params else []
    value = params.get(path[0]) if isinstance(params, dict) else None
    return _at(value, path[1:]) if value is not None and (len(path) > 1 or isinstance(value, str)) else []


# -- queues, topics, keys, parameters, logs, metrics --------------------------------------------------------------


def _sqs(asked: Asked) -> list[Need]:
    action = f"sqs:{asked.operation.removesuffix('Batch')}"
    if asked.operation == "ListQueues":
        return [Need(action, "*")]
    if "QueueUrl" not in asked.params:
        owner = asked.params.get("QueueOwnerAWSAccountId", asked.caller.account)
        return [Need(action, f"arn:aws:sqs:{asked.caller.region}:{owner}:{asked.params['QueueName']}")]
    owner, name = lookup.queue_of_url(asked.params["QueueUrl"], asked.caller.account)
    needed = [Need(action, f"arn:aws:sqs:{asked.caller.region}:{owner}:{name}")]
    if key := lookup.queue_key(owner, asked.caller.region, name):
        arn = lookup.key_arn(owner, asked.caller.region, key)
        if action == "sqs:SendMessage":
            needed.append(Need("kms:GenerateDataKey", arn))
        if action in ("sqs:SendMessage", "sqs:ReceiveMessage"):
            needed.append(Need("kms:Decrypt", arn))
    return needed


def _sns(asked: Asked) -> list[Need]:
    action = f"sns:{asked.operation}"
    if topic := asked.first("TopicArn", "ResourceArn"):
        return [Need(action, topic)]
    if subscription := asked.first("SubscriptionArn"):
        return [Need(action, subscription.rpartition(":")[0])]
    return [Need(action, asked.arn("sns", asked.params["Name"]) if "Name" in asked.params else "*")]


def _kms(asked: Asked) -> list[Need]:
    action = f"kms:{asked.operation}"
    needed = []
    if alias := asked.params.get("AliasName"):
        needed.append(Need(action, asked.arn("kms", alias)))
    key = asked.first("KeyId", "TargetKeyId")
    if asked.operation == "Decrypt" and not key:
        key = lookup.key_of_ciphertext(asked.params["CiphertextBlob"])
    if key:
        needed.append(Need(action, lookup.key_arn(asked.caller.account, asked.caller.region, key)))
    return needed or [Need(action, "*")]


def _ssm(asked: Asked) -> list[Need]:
    action = f"ssm:{asked.operation}"
    names = asked.params.get("Names") or [asked.first("Name", "Path", "ResourceId")]
    return [Need(action, asked.arn("ssm", f"parameter/{name.lstrip('/')}") if name else "*") for name in names]


def _logs(asked: Asked) -> list[Need]:
    """Log groups are judged by the ARN of their streams, so that a policy must end in `:*`."""
    action = f"logs:{asked.operation}"
    if arn := asked.params.get("resourceArn"):
        return [Need(action, arn)]
    group = asked.first("logGroupName", "logGroupNamePrefix") or ""
    if not group and asked.operation not in ("DescribeLogGroups",):
        return [Need(action, "*")]
    return [Need(action, asked.arn("logs", f"log-group:{group}:log-stream:{asked.params.get('logStreamName', '')}"))]


def _cloudwatch(asked: Asked) -> list[Need]:
    action = f"cloudwatch:{asked.operation}"
    if asked.operation == "PutMetricData":
        return [Need(action, "*", {"cloudwatch:namespace": asked.params["Namespace"]})]
    if "Alarm" in asked.operation:
        names = asked.params.get("AlarmNames") or [asked.params.get("AlarmName", "*")]
        return [Need(action, asked.arn("cloudwatch", f"alarm:{name}")) for name in names]
    if "Dashboard" in asked.operation:
        names = asked.params.get("DashboardNames") or [asked.params.get("DashboardName", "*")]
        return [Need(action, asked.arn("cloudwatch", f"dashboard/{name}", region="")) for name in names]
    return [Need(action, asked.first("ResourceARN") or "*")]


# -- DynamoDB -----------------------------------------------------------------------------------------------------

TRANSACT = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def _dynamodb(asked: Asked) -> list[Need]:
    def need(action: str, name: str, *keyed: dict[str, Any]) -> Need:
        arn = name if name.startswith("arn:") else asked.arn("dynamodb", f"table/{name}")
        return Need(f"dynamodb:{action}", arn, keys=_leading_keys(asked, name, keyed))

    params = asked.params
    if asked.operation == "TransactWriteItems":
        items = [pair for item in params["TransactItems"] for pair in item.items()]
        return [need(TRANSACT[kind], what["TableName"], what) for kind, what in items]
    if asked.operation == "TransactGetItems":
        return [need("GetItem", item["Get"]["TableName"], item["Get"]) for item in params["TransactItems"]]
    action = asked.operation
    if "RequestItems" in params:
        return [need(action, name, *_requested(of_table)) for name, of_table in params["RequestItems"].items()]
    if "ResourceArn" in params:
        return [Need(f"dynamodb:{action}", params["ResourceArn"], keys=_NO_KEY)]
    if "TableName" not in params:
        return [Need(f"dynamodb:{action}", "*", keys=_NO_KEY)]
    of_table = need(action, params["TableName"], params)
    index = f"/index/{params['IndexName']}" if params.get("IndexName") else ""
    return [Need(of_table.action, of_table.resource + index, keys=of_table.keys)]


_NO_KEY: dict[str, Any] = {"dynamodb:LeadingKeys": None}


def _requested(of_table: Any) -> list[dict[str, Any]]:
    """What a batch asks of one table, each with its Key or Item."""
    if isinstance(of_table, dict):
        return [{"Key": key} for key in of_table.get("Keys", ())]
    return [request for each in of_table for request in each.values()]


def _leading_keys(asked: Asked, table: str, keyed: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """The partition keys of what is asked for; of a query, of the table or index that it reads. None where a request
    names none, as a Scan (DynamoDB guide, "Using IAM policy conditions for fine-grained access control")."""
    found = []
    for each in keyed:
        name = lookup.partition_key(asked.caller.account, asked.caller.region, table, each.get("IndexName"))
        value = (each.get("Key") or each.get("Item") or _queried(each)).get(name or "")
        if value:
            found += [str(text) for text in value.values()]
    return {"dynamodb:LeadingKeys": found or None}


def _queried(request: dict[str, Any]) -> dict[str, Any]:
    """The attributes that a query's key condition holds equal to something: name -> typed value."""
    names = request.get("ExpressionAttributeNames") or {}
    values = request.get("ExpressionAttributeValues") or {}
    equal = re.findall(r"([#\w.-]+)\s*=\s*(:\w+)", request.get("KeyConditionExpression") or "")
    return {names.get(name, name): values[value] for name, value in equal if value in values}


# -- IAM and STS --------------------------------------------------------------------------------------------------


def _iam(asked: Asked) -> list[Need]:
    action = f"iam:{asked.operation}"
    params = asked.params
    keys = {"iam:PermissionsBoundary": params.get("PermissionsBoundary")}
    if "RoleName" in params or "UserName" in params:
        kind, name = ("role", params["RoleName"]) if "RoleName" in params else ("user", params["UserName"])
        arn = lookup.iam_arn(asked.caller.account, kind, name, params.get("Path", "/"))
        return [Need(action, arn, keys | {"iam:PolicyARN": params.get("PolicyArn")})]
    if arn := asked.first("PolicyArn", "PolicySourceArn"):
        return [Need(action, arn)]
    if "PolicyName" in params:
        return [Need(action, asked.arn("iam", f"policy{params.get('Path', '/')}{params['PolicyName']}", region=""))]
    return [Need(action, "*")]


def _sts(asked: Asked) -> list[Need]:
    keys = {
        "sts:ExternalId": asked.params.get("ExternalId"),
        "sts:RoleSessionName": asked.params.get("RoleSessionName"),
    }
    return [Need(f"sts:{asked.operation}", asked.params.get("RoleArn", "*"), keys)]


# -- events, schedules, state machines, functions, stacks ---------------------------------------------------------


def _events(asked: Asked) -> list[Need]:
    action = f"events:{asked.operation}"
    params = asked.params

    def bus(name: str) -> str:
        return name if name.startswith("arn:") else asked.arn("events", f"event-bus/{name}")

    if asked.operation == "PutEvents":
        return [
            Need(
                action,
                bus(entry.get("EventBusName") or "default"),
                {"events:source": entry.get("Source"), "events:detail-type": entry.get("DetailType")},
            )
            for entry in params["Entries"]
        ]
    if arn := params.get("ResourceARN"):
        return [Need(action, arn)]
    if "EventBus" in asked.operation or "Permission" in asked.operation:
        name = params.get("EventBusName") or params.get("Name")
        if name is None and asked.operation in ("ListEventBuses", "CreateEventBus"):
            return [Need(action, "*")]
        return [Need(action, bus(name or "default"))]
    rule = params.get("Rule") or (params.get("Name") if "Rule" in asked.operation else None)
    if rule is None:
        return [Need(action, "*")]
    owner, _, name = bus(params.get("EventBusName") or "default").partition(":event-bus/")  # another account's, maybe
    arn = f"{owner}:rule/{rule}" if name == "default" else f"{owner}:rule/{name}/{rule}"
    return [Need(action, arn, _rule_keys(asked, arn))]


def _rule_keys(asked: Asked, arn: str) -> dict[str, Any]:
    """The condition keys of a rule: who made it and, when it is put, what its pattern asks for in plain words."""
    engine = asked.world.engines.get("events")
    keys: dict[str, Any] = {"events:creatorAccount": engine.rule_creator(arn) if engine else None}
    for key, field in (("events:source", "source"), ("events:detail-type", "detail-type")):
        keys[key] = None
        with contextlib.suppress(ValueError, AttributeError):
            listed = json.loads(asked.params.get("EventPattern") or "{}").get(field) or []
            keys[key] = listed if listed and all(isinstance(each, str) for each in listed) else None
    return keys


def _scheduler(asked: Asked) -> list[Need]:
    action = f"scheduler:{asked.operation}"
    if arn := asked.params.get("ResourceArn"):
        return [Need(action, arn)]
    if asked.operation.startswith("List"):
        return [Need(action, "*")]
    if "ScheduleGroup" in asked.operation:
        return [Need(action, asked.arn("scheduler", f"schedule-group/{asked.params['Name']}"))]
    group = asked.params.get("GroupName", "default")
    return [Need(action, asked.arn("scheduler", f"schedule/{group}/{asked.params['Name']}"))]


def _states(asked: Asked) -> list[Need]:
    action = f"states:{asked.operation}"
    if asked.operation == "CreateStateMachine":
        return [Need(action, asked.arn("states", f"stateMachine:{asked.params['name']}"))]
    return [Need(action, asked.first("executionArn", "stateMachineArn", "resourceArn", "mapRunArn") or "*")]


def _lambda(asked: Asked) -> list[Need]:
    names = {"Invoke": "InvokeFunction", "InvokeAsync": "InvokeFunction"}
    action = f"lambda:{names.get(asked.operation, asked.operation)}"
    params = asked.params
    if "Resource" in params:
        return [Need(action, params["Resource"])]
    if "EventSourceMapping" in asked.operation:
        if "UUID" in params:
            return [Need(action, asked.arn("lambda", f"event-source-mapping:{params['UUID']}"))]
        function = params.get("FunctionName")
        keys = {"lambda:FunctionArn": _function(asked, function) if function else None}
        return [Need(action, "*", keys)]
    if "FunctionName" not in params:
        return [Need(action, "*")]
    qualifier = f":{params['Qualifier']}" if params.get("Qualifier") else ""
    return [Need(action, _function(asked, params["FunctionName"]) + qualifier)]


def _function(asked: Asked, name: str) -> str:
    """A function's ARN from its name, its partial ARN (`account:function:name`) or its ARN."""
    if name.startswith("arn:"):
        return name
    account, _, rest = name.partition(":function:") if ":function:" in name else (asked.caller.account, "", name)
    return f"arn:aws:lambda:{asked.caller.region}:{account}:function:{rest}"


def _cloudformation(asked: Asked) -> list[Need]:
    action = f"cloudformation:{asked.operation}"
    name = asked.first("StackName")
    if name is None and str(asked.first("ChangeSetName") or "").startswith("arn:"):
        return [Need(action, asked.params["ChangeSetName"])]
    if name is None:
        return [Need(action, "*")]
    return [Need(action, name if name.startswith("arn:") else asked.arn("cloudformation", f"stack/{name}/*"))]


# -- the catalogue, queries, shares -------------------------------------------------------------------------------


def _glue(asked: Asked) -> list[Need]:
    """A call on a table needs its action on the catalog, the database and the table."""
    action = f"glue:{asked.operation}"
    params = asked.params
    catalog = f"arn:aws:glue:{asked.caller.region}:{params.get('CatalogId') or asked.caller.account}"
    if arn := params.get("ResourceArn"):
        return [Need(action, arn)]
    if "Classifier" in asked.operation:
        return [Need(action, "*")]
    if "Crawl" in asked.operation:
        names = params.get("CrawlerNames") or [asked.first("Name", "CrawlerName")]
        return [Need(action, f"{catalog}:crawler/{name}" if name else "*") for name in names]
    database, tables = _glue_names(asked)
    resources = ["catalog"]
    resources += [f"database/{database}"] if database else []
    resources += [f"table/{database}/{table}" for table in tables]
    if asked.operation == "DeleteDatabase":
        resources.append(f"userDefinedFunction/{database}/*")
    return [Need(action, f"{catalog}:{resource}") for resource in resources]


def _glue_names(asked: Asked) -> tuple[str | None, list[str]]:
    """The database and the tables that a call of the Data Catalog is about; `*` for all of them."""
    params = asked.params
    operation = asked.operation
    if operation in ("GetDatabases", "SearchTables"):
        return "*", ["*"] if operation == "SearchTables" else []
    if operation in ("GetTables", "DeleteDatabase"):
        return asked.first("DatabaseName", "Name"), ["*"]
    if "Database" in operation:
        return asked.first("Name") or (params.get("DatabaseInput") or {}).get("Name"), []
    if "TablesToDelete" in params:
        return params.get("DatabaseName"), params["TablesToDelete"]
    if "Table" in operation or "Partition" in operation or "Column" in operation:
        table = asked.first("TableName", "Name") or (params.get("TableInput") or {}).get("Name")
        return params.get("DatabaseName"), [table] if table else []
    return None, []


def _athena(asked: Asked) -> list[Need]:
    action = f"athena:{asked.operation}"
    params = asked.params
    if arn := params.get("ResourceARN"):
        return [Need(action, arn)]
    if catalog := asked.first("CatalogName") or (params.get("Name") if "DataCatalog" in asked.operation else None):
        return [Need(action, asked.arn("athena", f"datacatalog/{catalog}"))]
    if asked.operation in ("ListWorkGroups", "ListDataCatalogs", "ListEngineVersions"):
        return [Need(action, "*")]
    groups = [params["WorkGroup"]] if params.get("WorkGroup") else []
    if "WorkGroup" in asked.operation and params.get("Name"):
        groups = [params["Name"]]
    queries = params.get("QueryExecutionIds") or [params.get("QueryExecutionId")]
    engine = asked.world.engines.get("athena")
    if not groups and queries[0] and hasattr(engine, "workgroup_of"):
        groups = [engine.workgroup_of(asked.caller.account, asked.caller.region, each) for each in queries]
    return [Need(action, asked.arn("athena", f"workgroup/{group or 'primary'}")) for group in groups or ["primary"]]


def _ram(asked: Asked) -> list[Need]:
    arns = asked.first("resourceShareInvitationArn", "resourceShareArn", "resourceShareArns") or "*"
    keys = {"ram:ResourceShareName": asked.params.get("name"), "ram:Principal": asked.params.get("principals")}
    return [Need(f"ram:{asked.operation}", arn, keys) for arn in ([arns] if isinstance(arns, str) else arns)]


SERVICES: dict[str, Callable[[Asked], list[Need]]] = {
    "athena": _athena,
    "cloudformation": _cloudformation,
    "cloudwatch": _cloudwatch,
    "dynamodb": _dynamodb,
    "events": _events,
    "glue": _glue,
    "iam": _iam,
    "kms": _kms,
    "lambda": _lambda,
    "logs": _logs,
    "ram": _ram,
    "s3": actions_s3.needs,
    "scheduler": _scheduler,
    "sns": _sns,
    "sqs": _sqs,
    "ssm": _ssm,
    "stepfunctions": _states,
    "sts": _sts,
}
