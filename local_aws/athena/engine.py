"""Amazon Athena: workgroups, and SQL on the tables of the Glue Data Catalog.

A query runs in the background as whoever started it: tables through Lake Formation (`athena_data.py`), SQL
through DuckDB (`athena_translate.py`), the result written to S3 with the caller's own rights. Only queries
and SHOW/DESCRIBE are built; other statements fail with NOT_SUPPORTED. Not built, and refused: result reuse,
parameters, prepared and named queries, Spark, capacity, other catalogs than AwsDataCatalog, client-side
encryption.

What Athena says where sources are silent or differ: a table that the caller cannot see does not exist
(TABLE_NOT_FOUND, or SCHEMA_NOT_FOUND where the database is not visible either); one that it may describe and
not read has "no accessible columns" for SELECT *, and "does not have any privilege" where no column is named
at all.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import duckdb
from botocore.exceptions import ClientError

from local_aws.access import actions, authorization, lookup
from local_aws.athena import athena_metadata
from local_aws.athena.athena_data import Cancelled, NotPermitted, ScanLimit, Tables
from local_aws.athena.athena_functions import MACROS
from local_aws.athena.athena_queries import (
    BROKEN,
    STATE_CHANGE,
    Query,
    described,
    engine_error,
    milliseconds,
    state_change,
    unwritable,
)
from local_aws.athena.athena_results import (
    Column,
    Row,
    column_of,
    csv_file,
    metadata_file,
    read_csv_file,
    read_text_file,
    rows_of_text,
    text_file,
)
from local_aws.athena.athena_sql import Malformed, parse
from local_aws.athena.athena_translate import translate
from local_aws.athena.athena_types import SqlError
from local_aws.athena.athena_workgroups import WorkGroup, WorkGroups, check_result_configuration, invalid
from local_aws.crawlers.crawl import split_s3
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.wire import AwsError

if TYPE_CHECKING:
    from local_aws.access.identity import Caller
    from local_aws.world import World

KEPT_QUERIES = 10_000
LONGEST_QUERY = 262_144
"""Bytes of a query string. Athena user guide, service quotas."""
RESULTS_PAGE = 1000


class Athena:
    """The operations of Amazon Athena."""

    service = "athena"

    def __init__(self, world: World) -> None:
        self.world = world
        self.workgroups = WorkGroups(world, self._has_no_queries)
        self._tables = Tables(world)
        self._queries: OrderedDict[str, Query] = OrderedDict()
        self._tokens: dict[tuple[str, str], str] = {}
        self._duck = duckdb.connect(config={"enable_external_access": False})
        self._duck.execute("SET TimeZone = 'UTC'")
        for macro in MACROS:
            self._duck.execute(f"CREATE MACRO {macro}")
        # From here on no SQL can turn external access on again.
        self._duck.execute("SET lock_configuration = true")
        world.on_stop.append(self._close)

    def _close(self) -> None:
        """Let DuckDB go: at the interpreter's end it complains of connections that are still known."""
        self._duck.close()
        del self._duck

    def workgroup_of(self, account: str, region: str, query_id: str) -> str:
        """The workgroup that a query ran in, for authorisation; the primary one for a query that is not
        there.
        """
        query = self._queries.get(query_id)
        if query is None or (query.caller.account, query.caller.region) != (account, region):
            return "primary"
        return query.workgroup.name

    # -- workgroups and the catalogue ------------------------------------------------------------

    def CreateWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.create(caller, params)

    def UpdateWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.update(caller, params)

    def GetWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.get(caller, params)

    def DeleteWorkGroup(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.delete(caller, params)

    def ListWorkGroups(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.list(caller, params)

    def TagResource(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.tag(caller, params)

    def UntagResource(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.untag(caller, params)

    def ListTagsForResource(self, caller: Caller, **params: Any) -> dict:
        return self.workgroups.tags(caller, params)

    def GetDataCatalog(self, caller: Caller, **params: Any) -> dict:
        return athena_metadata.data_catalog(params)

    def ListDatabases(self, caller: Caller, **params: Any) -> dict:
        return athena_metadata.list_databases(self._tables, caller, params)

    def GetDatabase(self, caller: Caller, **params: Any) -> dict:
        return athena_metadata.get_database(self._tables, caller, params)

    def ListTableMetadata(self, caller: Caller, **params: Any) -> dict:
        return athena_metadata.list_table_metadata(self._tables, caller, params)

    def GetTableMetadata(self, caller: Caller, **params: Any) -> dict:
        return athena_metadata.get_table_metadata(self._tables, caller, params)

    def _has_no_queries(self, group: WorkGroup) -> bool:
        return all(query.workgroup is not group for query in list(self._queries.values()))

    # -- starting --------------------------------------------------------------------------------

    def StartQueryExecution(
        self,
        caller: Caller,
        QueryString: str,
        QueryExecutionContext: dict | None = None,
        ResultConfiguration: dict | None = None,
        WorkGroup: str = "primary",
        ClientRequestToken: str | None = None,
    ) -> dict:
        context = dict(QueryExecutionContext or {})
        given = ResultConfiguration or {}
        request = (QueryString, context.get("Catalog"), context.get("Database"), given.get("OutputLocation"))
        with self.world.lock:
            known = self._tokens.get((caller.account, ClientRequestToken or ""))
            if known:
                if self._queries[known].request != request:
                    raise invalid("Idempotent parameters do not match", "IDEMPOTENT_PARAMETER_MISMATCH")
                return {"QueryExecutionId": known}
        if len(QueryString.encode()) > LONGEST_QUERY:
            raise invalid(f"The query string is longer than {LONGEST_QUERY} bytes")
        group = self.workgroups.find(caller, WorkGroup)
        if group.state != "ENABLED":
            raise invalid(f"WorkGroup {group.name} is disabled.")
        try:
            statement = parse(QueryString)
        except Malformed as error:
            raise invalid(str(error), "MALFORMED_QUERY") from error
        configuration = self._result_configuration(caller, group, given)
        if "Catalog" in context:
            context["Catalog"] = context["Catalog"].lower()
        query_id = str(uuid.uuid4())
        suffix = "csv" if statement.type == "DML" else "txt"
        query = Query(
            id=query_id,
            caller=caller,
            statement=statement,
            workgroup=group,
            context=context,
            output=f"{configuration['OutputLocation'].rstrip('/')}/{query_id}.{suffix}",
            result_configuration=configuration,
            submitted=self.world.now(),
            token=ClientRequestToken,
            request=request,
        )
        query.scan.limit = group.configuration.get("BytesScannedCutoffPerQuery")
        athena_metadata.check(self._tables, caller, statement, query.database)
        with self.world.lock:
            self._queries[query_id] = query
            if ClientRequestToken:
                self._tokens[caller.account, ClientRequestToken] = query_id
            while len(self._queries) > KEPT_QUERIES:
                gone = self._queries.popitem(last=False)[1]
                self._tokens.pop((gone.caller.account, gone.token or ""), None)
        self._tell(query)
        self.world.submit(self._run, query)
        return {"QueryExecutionId": query_id}

    def _result_configuration(self, caller: Caller, group: WorkGroup, given: dict[str, Any]) -> dict[str, Any]:
        """Where results go: as the workgroup says, or where it does not insist the caller.

        InvalidRequestException.
        """
        configured = group.configuration.get("ResultConfiguration") or {}
        chosen = configured if group.configuration["EnforceWorkGroupConfiguration"] else {**configured, **given}
        location = chosen.get("OutputLocation")
        if not location:
            raise invalid(
                "No output location provided. An output location is required either through the Workgroup result"
                " configuration setting or as an API input."
            )
        check_result_configuration(chosen)
        bucket, _ = split_s3(location)
        needs = actions.needs(self.world, caller, "s3", "GetBucketLocation", {"Bucket": bucket})
        if lookup.bucket(bucket) is None or any(authorization.denial(self.world, caller, need) for need in needs):
            raise invalid(f"Unable to verify/create output bucket {bucket}")
        return dict(chosen)

    # -- running ---------------------------------------------------------------------------------

    def _run(self, query: Query) -> None:
        with self.world.lock:
            if query.state != "QUEUED":
                return
            query.state, query.started = "RUNNING", self.world.now()
        self._tell(query, "QUEUED")
        try:
            columns, rows = self._answer(query)
            self._write(query, columns, rows)
            self._end(query, "SUCCEEDED", columns=columns)
        except NotPermitted as error:
            self._end(query, "FAILED", str(error), 1500)
        except SqlError as error:
            self._end(query, "FAILED", str(error.at(query.statement.sql)), error.error_type)
        except duckdb.InterruptException:
            self._end(query, "CANCELLED", "Query cancelled by user")
        except Cancelled:
            self._end(query, "CANCELLED", "Query cancelled by user")
        except duckdb.Error as error:
            failed = engine_error(error)
            self._end(query, "FAILED", str(failed), failed.error_type)
        except ScanLimit:
            self._end(query, "CANCELLED", "Query cancelled! : Bytes scanned limit was exceeded")
        except ClientError as error:
            self._end(query, "FAILED", unwritable(query, error), 401)
        finally:
            if query.ended is None:
                self._end(query, "FAILED", "GENERIC_INTERNAL_ERROR: the local AWS broke", BROKEN)

    def _end(
        self,
        query: Query,
        state: str,
        reason: str | None = None,
        error_type: int | None = None,
        columns: tuple[Column, ...] = (),
    ) -> None:
        with self.world.lock:
            query.interrupt = None
            query.ended = self.world.now()
            if query.state == "CANCELLED":
                return
            query.state, query.reason, query.error_type, query.columns = state, reason, error_type, columns
        self._tell(query, "RUNNING")
        text = f"{state.lower()} in {milliseconds(query.submitted, query.ended)} ms"
        self.world.activity("query", query.caller.principal.rpartition("/")[2], text)

    def _tell(self, query: Query, before: str | None = None) -> None:
        """Publish that a query went from the state `before` to its state."""
        detail = state_change(query, before)
        self.world.emit_event(query.caller.account, query.caller.region, "aws.athena", STATE_CHANGE, detail)

    def _answer(self, query: Query) -> tuple[tuple[Column, ...], list[Row]]:
        """The result of a statement: its columns and rows of text."""
        statement = query.statement
        if statement.kind in athena_metadata.STATEMENTS:
            return athena_metadata.answer(self._tables, query.caller, statement, query.database)
        if statement.kind != "SELECT":
            raise SqlError(
                "NOT_SUPPORTED",
                f"{statement.kind} statements are not built in the local AWS, only queries, SHOW and DESCRIBE"
                " (local_aws/athena/athena_sql.py)",
            )
        return self._select(query)

    def _select(self, query: Query) -> tuple[tuple[Column, ...], list[Row]]:
        catalog = query.context.get("Catalog")
        if catalog not in (None, "awsdatacatalog") and query.statement.tables:
            raise SqlError("CATALOG_NOT_FOUND", f"Catalog '{catalog}' does not exist")
        if query.statement.tables:
            self._tables.require_default_database(query.caller)
        found = {}
        for name in query.statement.tables:
            try:
                found[name] = self._tables.find(query.caller, name, query.database)
            except SqlError as error:
                raise error.at_offset(query.statement.sql, name.start) from error.__cause__
        relations = {name: each.relation for name, each in found.items()}
        translation = translate(query.statement, relations, self.world.now())
        by_relation = {each.relation: each for each in found.values()}
        with self._duck.cursor() as duck:
            query.interrupt = duck.interrupt
            for wanted in translation.inputs:
                source = by_relation[wanted.relation]
                if not wanted.relation.columns:
                    raise NotPermitted("Principal does not have any privilege on specified resource")
                if translation.reads_nothing:
                    table = self._tables.empty(source, wanted)
                else:
                    table = self._tables.load(query.caller, source, wanted, query.scan, duck)
                duck.register(wanted.name, table)
            if query.scan.cancelled.is_set():
                raise Cancelled
            duck.execute(translation.sql)
            types = [str(each[1]) for each in duck.description or []]
            columns = tuple(column_of(label, kind) for label, kind in zip(translation.labels, types, strict=True))
            return columns, rows_of_text(duck.fetchall(), columns)

    def _write(self, query: Query, columns: tuple[Column, ...], rows: list[Row]) -> None:
        """Write the result file as the caller. Raises ClientError."""
        header = [column.name for column in columns]
        text = csv_file(header, rows) if query.statement.type == "DML" else text_file(rows)
        s3, _ = self._tables.clients.of_caller(query.caller)
        bucket, _, key = query.output.removeprefix("s3://").partition("/")
        encryption = query.result_configuration.get("EncryptionConfiguration") or {}
        options: dict[str, Any] = {}
        if encryption.get("EncryptionOption") == "SSE_S3":
            options["ServerSideEncryption"] = "AES256"
        elif encryption.get("EncryptionOption") == "SSE_KMS":
            options |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": encryption["KmsKey"]}
        if owner := query.result_configuration.get("ExpectedBucketOwner"):
            options["ExpectedBucketOwner"] = owner
        for name, body in ((key, text.encode()), (f"{key}.metadata", metadata_file(columns))):
            s3.put_object(Bucket=bucket, Key=name, Body=body, ContentType="application/octet-stream", **options)

    def StopQueryExecution(self, caller: Caller, QueryExecutionId: str) -> dict:
        query = self._query(caller, QueryExecutionId)
        with self.world.lock:
            if query.state not in ("QUEUED", "RUNNING"):
                return {}
            before = query.state
            query.state, query.reason = "CANCELLED", "Query cancelled by user"
            query.ended = self.world.now()
            query.scan.cancelled.set()
            interrupt = query.interrupt
        self._tell(query, before)
        if interrupt:
            interrupt()
        return {}

    # -- asking ----------------------------------------------------------------------------------

    def _query(self, caller: Caller, query_id: str) -> Query:
        query = self._queries.get(query_id)
        if query is None or (query.caller.account, query.caller.region) != (caller.account, caller.region):
            raise invalid(f"QueryExecution {query_id} was not found", "QUERY_EXECUTION_NOT_FOUND")
        return query

    def GetQueryExecution(self, caller: Caller, QueryExecutionId: str) -> dict:
        query = self._query(caller, QueryExecutionId)
        with self.world.lock:
            return {"QueryExecution": described(query, self.world.now())}

    def BatchGetQueryExecution(self, caller: Caller, QueryExecutionIds: list[str]) -> dict:
        found, missing = [], []
        for query_id in QueryExecutionIds:
            try:
                found.append(self.GetQueryExecution(caller, query_id)["QueryExecution"])
            except AwsError as error:
                missing.append(
                    {
                        "QueryExecutionId": query_id,
                        "ErrorCode": "INVALID_INPUT",
                        "ErrorMessage": error.message,
                    }
                )
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def ListQueryExecutions(
        self,
        caller: Caller,
        WorkGroup: str = "primary",
        MaxResults: int | None = None,
        NextToken: str | None = None,
    ) -> dict:
        """The newest first."""
        group = self.workgroups.find(caller, WorkGroup)
        with self.world.lock:
            ids = [query.id for query in reversed(self._queries.values()) if query.workgroup is group]
        found, following = page(ids, NextToken, MaxResults, 50, "InvalidRequestException")
        return with_token({"QueryExecutionIds": found}, following)

    def GetQueryResults(
        self,
        caller: Caller,
        QueryExecutionId: str,
        NextToken: str | None = None,
        MaxResults: int | None = None,
    ) -> dict:
        """A page of a result, read from S3 with the caller's rights.

        A SELECT's first row has the column names. A query that was cancelled has left no result to find.
        """
        query = self._query(caller, QueryExecutionId)
        if query.state in ("QUEUED", "RUNNING"):
            message = f"Query has not yet finished. Current state: {query.state}"
            raise invalid(message, "INVALID_QUERY_EXECUTION_STATE")
        if query.state == "FAILED":
            message = "Query did not finish successfully. Final query state: FAILED"
            raise invalid(message, "INVALID_QUERY_EXECUTION_STATE")
        text = self._result(caller, query)
        if query.statement.type == "DML":
            found, following = _csv_page(text, NextToken, MaxResults or RESULTS_PAGE)
        else:
            rows = read_text_file(text)
            found, following = page(rows, NextToken, MaxResults, RESULTS_PAGE, "InvalidRequestException")
        data = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in found]
        columns = [column.described() for column in query.columns]
        results = {"Rows": data, "ResultSetMetadata": {"ColumnInfo": columns}}
        return with_token({"UpdateCount": 0, "ResultSet": results}, following)

    def _result(self, caller: Caller, query: Query) -> str:
        s3, _ = self._tables.clients.of_caller(caller)
        bucket, _, key = query.output.removeprefix("s3://").partition("/")
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "NoSuchBucket"):
                raise invalid("Could not find results", "RESULT_NOT_FOUND") from error
            message = error.response["Error"]["Message"]
            raise AwsError("InvalidRequestException", f"{code}: {message} ({query.output})") from error


def _csv_page(text: str, token: str | None, most: int) -> tuple[list[list[str | None]], str | None]:
    """A page of a result file, and the token of the next: the offset where it begins. InvalidRequestException."""
    if token is not None and not (token.isdigit() and int(token) <= len(text)):
        raise invalid(f"Malformed nextPageToken {token}")
    rows, end = read_csv_file(text, int(token or 0), most)
    return rows, str(end) if end < len(text) else None
