"""The tables of a query: found and permitted as the caller, read as Lake Formation lets Athena read them.

A table is looked up in the caller's catalogue, through resource links; IAM must allow the Glue calls on the
link and on its target. Data below a registered location is read with that location's role, for which the
caller needs lakeformation:GetDataAccess; other data with the caller's own rights on S3. Sources: Lake
Formation developer guide, "Underlying data access control"; Amazon Athena user guide, "Access to databases
and tables in the AWS Glue Data Catalog".
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from local_aws.access import actions, authorization, identity, lookup
from local_aws.access.actions import Need
from local_aws.access.callers import credentials_of
from local_aws.athena.athena_sql import CATALOG, TableName
from local_aws.athena.athena_translate import Input, Relation
from local_aws.athena.athena_types import SqlError
from local_aws.conform import scalar_of_text
from local_aws.crawlers.crawl import holds_data, split_s3
from local_aws.files.hive_types import UnknownType, arrow_type
from local_aws.files.serdes import BadData, Serde, read
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

LAKE_FORMATION = "lakeformation.amazonaws.com"
HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
QUICK = Config(request_checksum_calculation="when_required", retries={"total_max_attempts": 1})
"""Results are small and the server is near: no checksum, which would send them in chunks; nothing to retry."""

KEPT_BYTES = 256 * 1024 * 1024
"""How much decoded data is kept for later queries."""

COERCIBLE = {("tinyint", "smallint"), ("tinyint", "int"), ("smallint", "int"), ("int", "bigint"), ("float", "double")}
"""Types of a partition's column that Athena reads as another type of the table's."""


class NotPermitted(PermissionError):
    """A query that its caller may not run. `str()` is Athena's StateChangeReason."""

    def __str__(self) -> str:
        return f"Insufficient permissions to execute the query. {self.args[0]}"


@dataclass(frozen=True)
class Found:
    """A table as Lake Formation resolved it for the caller, and as the SQL translation wants it."""

    resolved: Any
    relation: Relation


@dataclass(frozen=True)
class Part:
    """Files to read alike: a partition, or a whole table that has none."""

    location: str
    serde: Serde
    values: tuple[str, ...] = ()


@dataclass
class Scan:
    """What a query has read so far."""

    bytes: int = 0
    limit: int | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


class ScanLimit(Exception):
    """A query that would read more than its workgroup allows."""


class Cancelled(Exception):
    """A query that StopQueryExecution ended."""


class Tables:
    """Finds and reads tables in the name of callers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.clients = S3Clients(world)
        self._decoded = DecodedFiles()

    # -- finding ---------------------------------------------------------------------------------

    def glue(self, caller: Caller, operation: str, **params: Any) -> dict[str, Any]:
        """A Glue call as the caller: judged by IAM, then by the catalogue. Raises NotPermitted, AwsError."""
        needs = actions.needs(self.world, caller, "glue", operation, params)
        try:
            authorization.authorize(self.world, caller, "glue", needs)
        except AwsError as error:
            raise NotPermitted(error.message) from error
        handler = self.world.handler("glue", operation)
        assert handler is not None
        return handler(caller, **params)

    def find(self, caller: Caller, name: TableName, default_database: str) -> Found:
        """The table that a name in a query means.

        Raises SqlError (not there, or not visible), NotPermitted.
        """
        if name.catalog not in (None, CATALOG):
            raise SqlError("CATALOG_NOT_FOUND", f"Catalog '{name.catalog}' does not exist")
        database = name.database or default_database
        lake = self.world.engines["lakeformation"]
        self._require(caller, None, database, name.name, "GetDatabase", "GetTable")
        try:
            resolved = lake.resolve_table(caller.principal, caller.account, None, database, name.name)
        except AwsError as error:
            if error.code != "EntityNotFoundException":
                raise NotPermitted(error.message) from error
            if not lake.may_describe_database(caller.principal, caller.account, database):
                raise SqlError("SCHEMA_NOT_FOUND", f"Schema '{database}' does not exist") from error
            what = f"Table '{CATALOG}.{database}.{name.name}' does not exist"
            raise SqlError("TABLE_NOT_FOUND", what) from error
        if (resolved.catalog_id, resolved.database, resolved.name) != (caller.account, database, name.name):
            self._require(caller, resolved.catalog_id, resolved.database, resolved.name, "GetDatabase", "GetTable")
        _refuse_unreadable_kinds(resolved)
        columns = [column for column in resolved.columns if column[0] in resolved.readable]
        keys = [key for key in resolved.partition_keys if key[0] in resolved.readable]
        relation = Relation(CATALOG, database, name.name, (*columns, *keys), tuple(key for key, _ in keys))
        return Found(resolved, relation)

    def require_default_database(self, caller: Caller) -> None:
        """Who queries needs DESCRIBE on the account's `default` database, where there is one (that it need not be
        there is a choice). Athena user guide, "Considerations and limitations for querying data registered with Lake
        Formation". NotPermitted.
        """
        lake = self.world.engines["lakeformation"]
        with self.world.lock:
            there = self.world.engines["glue"].lookup.find(caller.account, "default") is not None
        if there and not lake.may_describe_database(caller.principal, caller.account, "default"):
            raise NotPermitted("Insufficient Lake Formation permission(s): Required Describe on default")

    def _require(self, caller: Caller, catalog: str | None, database: str, table: str, *operations: str) -> None:
        """Check that IAM allows the caller Glue calls on a database and table."""
        for operation in operations:
            params = {"DatabaseName": database, "Name": table}
            if operation == "GetDatabase":
                params = {"Name": database}
            elif "Partition" in operation:
                params = {"DatabaseName": database, "TableName": table}
            if catalog:
                params["CatalogId"] = catalog
            needs = actions.needs(self.world, caller, "glue", operation, params)
            try:
                authorization.authorize(self.world, caller, "glue", needs)
            except AwsError as error:
                raise NotPermitted(error.message) from error

    # -- reading ---------------------------------------------------------------------------------

    def load(
        self, caller: Caller, found: Found, wanted: Input, scan: Scan, duck: duckdb.DuckDBPyConnection
    ) -> pa.Table:
        """The rows of a table that one mention of it in a query needs: the columns used, the partitions admitted.

        A table of which no column is used has one column of nulls, so that its rows count. Raises SqlError,
        NotPermitted, ScanLimit, Cancelled.
        """
        resolved = found.resolved
        used, keys = _used(resolved, wanted)
        schema = _schema(used)
        reader = self._reader(caller, resolved)
        names = [name for name, _ in resolved.columns]
        tables = []
        for part in self._parts(caller, resolved, used, wanted, duck):
            for table in self._files(reader, part, names, schema, scan):
                tables.append(_with_keys(table, keys, resolved.partition_keys, part.values))
        whole = pa.schema([*schema, *_schema(keys)])
        if not len(whole):
            return _rows_alone(sum(table.num_rows for table in tables))
        if not tables:
            return whole.empty_table()
        return pa.concat_tables([each.select(whole.names) for each in tables])

    def empty(self, found: Found, wanted: Input) -> pa.Table:
        """What `load` gives, without rows and without reading anything."""
        used, keys = _used(found.resolved, wanted)
        whole = pa.schema([*_schema(used), *_schema(keys)])
        return whole.empty_table() if len(whole) else _rows_alone(0)

    def _parts(
        self,
        caller: Caller,
        resolved: Any,
        used: Sequence[tuple[str, str]],
        wanted: Input,
        duck: duckdb.DuckDBPyConnection,
    ) -> list[Part]:
        if not resolved.partition_keys:
            descriptor = resolved.storage_descriptor
            return [Part(descriptor.get("Location", ""), _serde(descriptor, resolved.parameters))]
        self._require(caller, resolved.catalog_id, resolved.database, resolved.name, "GetPartitions")
        lake = self.world.engines["lakeformation"]
        partitions = lake.partitions(resolved.catalog_id, resolved.database, resolved.name)
        parts = []
        for partition in _admitted(partitions, resolved, wanted, duck):
            descriptor = partition["StorageDescriptor"]
            _check_partition(resolved, partition, used)
            location = descriptor.get("Location") or resolved.storage_descriptor.get("Location", "")
            serde = _serde({**resolved.storage_descriptor, **descriptor}, resolved.parameters)
            parts.append(Part(location, serde, tuple(partition["Values"])))
        return parts

    def _reader(self, caller: Caller, resolved: Any) -> Callable[[str], tuple[Any, Caller]]:
        """For a location: the S3 client to read it with, and who that is."""
        lake = self.world.engines["lakeformation"]

        def reader(location: str) -> tuple[Any, Caller]:
            role = lake.vending_role(caller.principal, resolved, location)
            if role is None:
                return self.clients.of_caller(caller)
            need = Need("lakeformation:GetDataAccess", "*")
            try:
                authorization.authorize(self.world, caller, "lakeformation", [need])
                return self.clients.of_role(role, caller.region)
            except AwsError as error:
                raise NotPermitted(error.message) from error

        return reader

    def _files(
        self,
        reader: Callable[[str], tuple[Any, Caller]],
        part: Part,
        names: Sequence[str],
        schema: pa.Schema,
        scan: Scan,
    ) -> list[pa.Table]:
        if not part.location.startswith("s3://"):
            raise SqlError("HIVE_UNSUPPORTED_FORMAT", f"the location {part.location!r} is not on S3")
        s3, who = reader(part.location)
        bucket, prefix = split_s3(part.location)
        tables = []
        try:
            for key, size, etag in self._listed(who, bucket, prefix):
                scan.bytes += size
                if scan.cancelled.is_set():
                    raise Cancelled
                if scan.limit is not None and scan.bytes > scan.limit:
                    raise ScanLimit
                tables.append(self._file(s3, who, (bucket, key, etag), part.serde, names, schema))
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if code in ("AccessDenied", "403"):
                raise NotPermitted(f"Access denied when reading {part.location}: {message}") from error
            raise SqlError("HIVE_CANNOT_OPEN_SPLIT", f"{code}: {message} ({part.location})") from error
        except BadData as error:
            raise SqlError(error.code, str(error)) from error
        except NotImplementedError as error:
            raise SqlError("NOT_SUPPORTED", f"the local AWS does not read {error}") from error
        return tables

    def _listed(self, who: Caller, bucket: str, prefix: str) -> list[tuple[str, int, str]]:
        """Key, size and ETag of each object below a prefix that holds data, in the order of their keys.

        This is ListObjectsV2, judged as such, but asked of moto itself: over HTTP it would be half of a query's time.
        """
        self._authorize_s3(who, "ListObjectsV2", {"Bucket": bucket, "Prefix": prefix})
        stored = lookup.bucket(bucket)
        if stored is None:
            raise SqlError("HIVE_FILESYSTEM_ERROR", f"The specified bucket does not exist: {bucket}")
        with self.world.moto_lock("s3"):
            backend = s3_backends[stored.account_id]["aws"]
            keys = backend.list_objects(stored, prefix, None, None, None)[0]
            listed = [(key.name, key.size, key.etag) for key in keys]
        return [each for each in sorted(listed) if holds_data(each[0], each[1], prefix)]

    def _authorize_s3(self, who: Caller, operation: str, params: dict[str, Any]) -> None:
        needs = actions.needs(self.world, who, "s3", operation, params)
        try:
            authorization.authorize(self.world, who, "s3", needs)
        except AwsError as error:
            where = f"s3://{params['Bucket']}/{params.get('Key') or params.get('Prefix', '')}"
            raise NotPermitted(f"Access denied when reading {where}: {error.message}") from error

    def _file(
        self,
        s3: Any,
        who: Caller,
        where: tuple[str, str, str],
        serde: Serde,
        names: Sequence[str],
        schema: pa.Schema,
    ) -> pa.Table:
        """One file, decoded.

        What an earlier query decoded is used again, if `who` may still read the object.
        """
        bucket, key, etag = where
        kept = (where, serde, tuple(names), schema.to_string())
        if (table := self._decoded.get(kept)) is not None:
            self._authorize_s3(who, "GetObject", {"Bucket": bucket, "Key": key})
            return table
        body = s3.get_object(Bucket=bucket, Key=key, IfMatch=etag)["Body"].read()
        table = read(body, serde, names, schema, f"s3://{bucket}/{key}")
        self._decoded.put(kept, table)
        return table


# -- clients and cache ---------------------------------------------------------------------------


class S3Clients:
    """S3 clients of callers and of registered locations' roles, kept: making one takes longer than a query."""

    KEPT = 256

    def __init__(self, world: World) -> None:
        self.world = world
        self._kept: OrderedDict[tuple, tuple[Any, Caller]] = OrderedDict()
        self._guard = threading.Lock()

    def of_caller(self, caller: Caller) -> tuple[Any, Caller]:
        """A client with the credentials that the caller came with."""
        return self._client((caller.access_key, caller.region), credentials_of(self.world, caller), caller)

    def of_role(self, role_arn: str, region: str) -> tuple[Any, Caller]:
        """A client of the role of a registered location, as Lake Formation assumes it. Raises AwsError."""
        role = lookup.iam_entity(role_arn)
        # Another role of the same name, or other trust, is another thing to assume.
        key = (role_arn, region, (role.id, str(role.assume_role_policy_document)) if role else None)
        with self._guard:
            kept = self._kept.get(key)
        if kept and self.world.credentials[kept[1].access_key].expires > self.world.now():
            return kept
        issued = identity.assume_as_service(self.world, role_arn, "AWSLF-athena", LAKE_FORMATION)
        return self._client(key, issued, issued.caller)

    def _client(self, key: tuple, credentials: identity.Credentials, caller: Caller) -> tuple[Any, Caller]:
        with self._guard:
            if (kept := self._kept.get(key)) and kept[1].access_key == caller.access_key:
                self._kept.move_to_end(key)
                return kept
        client = self.world.session_of(credentials, caller.region).client("s3", config=QUICK)
        with self._guard:
            self._kept[key] = (client, caller)
            while len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        return client, caller


class DecodedFiles:
    """Decoded files by object, ETag, SerDe and columns; the longest unused go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple, pa.Table] = OrderedDict()
        self._bytes = 0
        self._guard = threading.Lock()

    def get(self, key: tuple) -> pa.Table | None:
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: tuple, table: pa.Table) -> None:
        with self._guard:
            if key not in self._kept:
                self._kept[key] = table
                self._bytes += table.nbytes
            while self._bytes > KEPT_BYTES:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


# -- schemas and partitions ----------------------------------------------------------------------


def _refuse_unreadable_kinds(resolved: Any) -> None:
    parameters = {key.lower(): value for key, value in resolved.parameters.items()}
    if parameters.get("table_type", "").upper() == "ICEBERG":
        raise SqlError("NOT_SUPPORTED", "an Iceberg table is not built in the local AWS")
    if parameters.get("projection.enabled", "").lower() == "true":
        raise SqlError("NOT_SUPPORTED", "partition projection is not built in the local AWS")
    if not resolved.storage_descriptor.get("Location") and not resolved.storage_descriptor.get("SerdeInfo"):
        raise SqlError("NOT_SUPPORTED", "a view is not built in the local AWS")


def _used(resolved: Any, wanted: Input) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The columns and the partition keys that a query uses."""
    used = [column for column in resolved.columns if column[0] in wanted.columns]
    return used, [key for key in resolved.partition_keys if key[0] in wanted.columns]


def _rows_alone(count: int) -> pa.Table:
    return pa.table({"_": pa.nulls(count, pa.bool_())})


def _schema(columns: Sequence[tuple[str, str]]) -> pa.Schema:
    try:
        return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in columns])
    except UnknownType as error:
        raise SqlError("NOT_SUPPORTED", f"{error} (local_aws/files/hive_types.py)") from error


def _serde(descriptor: dict[str, Any], of_table: dict[str, str]) -> Serde:
    """How the files below a StorageDescriptor are read; the table's own parameters count for all partitions."""
    given = descriptor.get("SerdeInfo") or {}
    if not given.get("SerializationLibrary"):
        raise SqlError("HIVE_UNSUPPORTED_FORMAT", "Unable to create input format")
    parameters = {**of_table, **(descriptor.get("Parameters") or {}), **(given.get("Parameters") or {})}
    for name, value in NOT_BUILT_PARAMETERS.items():
        if parameters.get(name, "").lower() == value:
            raise SqlError("NOT_SUPPORTED", f"{name} = {value} is not built in the local AWS")
    needed = sorted((key, value) for key, value in parameters.items() if not _is_statistic(key))
    return Serde(given["SerializationLibrary"], tuple(needed))


NOT_BUILT_PARAMETERS = {"dots.in.keys": "true", "case.insensitive": "false"}
"""Settings of the OpenX JSON SerDe that would read other values."""


def _is_statistic(parameter: str) -> bool:
    """Whether a table parameter says nothing of how files are read: it must not tell cached files apart."""
    return parameter in ("recordCount", "averageRecordSize", "objectCount", "sizeKey", "paths") or "CRAWL" in parameter


def _with_keys(
    table: pa.Table, used: Sequence[tuple[str, str]], keys: Sequence[tuple[str, str]], values: Sequence[str]
) -> pa.Table:
    """A file's rows with the partition keys that the query uses, as columns."""
    position = {name: number for number, (name, _) in enumerate(keys)}
    for name, kind in used:
        value = key_value(values[position[name]], kind)
        table = table.append_column(name, pa.array([value] * table.num_rows, arrow_type(kind)))
    return table


def key_value(text: str, kind: str) -> Any:
    """A partition's value as its key's type."""
    if text == HIVE_NULL:
        return None
    try:
        return scalar_of_text(text, arrow_type(kind))
    except ValueError as error:
        raise SqlError("HIVE_INVALID_PARTITION_VALUE", f"Invalid partition value for a {kind} key") from error


def _admitted(partitions: list[dict], resolved: Any, wanted: Input, duck: duckdb.DuckDBPyConnection) -> list[dict]:
    """The partitions that the query's conditions on partition keys leave."""
    if not wanted.prunes or not partitions:
        return partitions
    columns = {"_number": pa.array(range(len(partitions)))}
    for position, (name, kind) in enumerate(resolved.partition_keys):
        values = [key_value(partition["Values"][position], kind) for partition in partitions]
        columns[name] = pa.array(values, arrow_type(kind))
    duck.register("_partitions", pa.table(columns))
    conditions = " AND ".join(f"({condition})" for condition in wanted.prunes)
    query = f'SELECT _number FROM _partitions AS "{wanted.alias}" WHERE {conditions}'
    return [partitions[number] for (number,) in duck.execute(query).fetchall()]


def _check_partition(resolved: Any, partition: dict, used: Sequence[tuple[str, str]]) -> None:
    """A partition's columns must have the table's types, or types that widen to them."""
    own = {column["Name"]: column.get("Type", "") for column in partition["StorageDescriptor"].get("Columns") or ()}
    for name, kind in used:
        declared = own.get(name, kind)
        if declared != kind and (declared, kind) not in COERCIBLE:
            pairs = zip((key for key, _ in resolved.partition_keys), partition["Values"], strict=False)
            where = "/".join(f"{key}={value}" for key, value in pairs)
            raise SqlError(
                "HIVE_PARTITION_SCHEMA_MISMATCH",
                "There is a mismatch between the table and partition schemas. The types are incompatible and cannot be "
                f"coerced. The column '{name}' in table '{resolved.database}.{resolved.name}' is declared as type "
                f"'{kind}', but partition '{where}' declared column '{name}' as type '{declared}'.",
            )
