"""What may stand in the governance files: the shape of each kind, as tables.

The loader checks files against them, and the JSON Schema in docs/ is generated from them.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from tagmesh.column_types import FAMILIES
from tagmesh.governance_yaml import (
    FLAG,
    Choice,
    Constant,
    Count,
    Field,
    Later,
    ListOf,
    MapOf,
    OneOrRecord,
    Record,
    Scalar,
    TextOrList,
    shown,
)
from tagmesh.patterns import unsafe_regex
from tagmesh.words import entry

#: Lake Formation developer guide, "Lake Formation tag-based access control considerations".
MAX_TAG_LENGTH = 50


def _tag_fault(text: str) -> str | None:
    folded = text.lower()
    if len(folded) > MAX_TAG_LENGTH:
        return f"`{shown(text)}` has {len(folded)} characters; Lake Formation takes {MAX_TAG_LENGTH}"
    bad = [c for c in folded if unicodedata.category(c)[0] not in "LNZ" and c not in "_.:/=+-@%"]
    if bad or folded != folded.strip():
        return f"`{shown(text)}` has a character that Lake Formation does not take: {(bad or [' '])[0]!r}"
    return None


def _words_fault(text: str) -> str | None:
    words = text.split()
    seen: set[str] = set()
    for word in words:
        if not entry(word):
            return f"`{shown(word)}` has no letter and no digit"
        if word in seen:
            return f"`{shown(word)}` stands there twice"
        seen.add(word)
    return None


def _date_fault(text: str) -> str | None:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return f"there is no day {shown(text)}"
    return None


TAG = Scalar("a name of letters, digits, spaces and _ . : / = + - @ %", fault=_tag_fault)
NAME = Scalar(
    "a name of at most 63 letters, digits, spaces, _ . and - that starts with a letter or digit",
    r"[A-Za-z0-9](?:[A-Za-z0-9 _.-]{0,61}[A-Za-z0-9_.-])?",
)
ACCOUNT = Scalar("an account id: 12 digits in quotes", r"[0-9]{12}", must_quote=True)
ORGANIZATIONAL_UNIT = Scalar(
    "the ARN of an organizational unit (arn:aws:organizations::123456789012:ou/o-.../ou-...) or of an organization "
    "(arn:aws:organizations::123456789012:organization/o-...), whose account is the management account",
    r"arn:aws(?:-[a-z]+)*:organizations::[0-9]{12}:(?:organization/o-[a-z0-9]{10,32}"
    r"|ou/o-[a-z0-9]{10,32}/ou-[0-9a-z]{4,32}-[a-z0-9]{8,32})",
)
REGION = Scalar("a Region such as eu-west-1", r"[a-z]{2}(?:-[a-z]+)+-[0-9]")
SENTENCE = Scalar("a text")
DURATION = Scalar("a duration such as 90s, 15m, 6h or 1d", r"[1-9][0-9]{0,5}[smhd]")
LOCATION = Scalar(
    "a location such as s3://bucket/folder/",
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[^/\x00-\x1f]+)*/?",
)
CHARACTER = Scalar("one character", r"(?s).")
IAM_NAME = Scalar(
    "a name as IAM has it (no ARN: it is looked up in the consumer's own account; a path may stand before it: "
    "team/Analyst)",
    r"(?:[A-Za-z0-9_+=,.@-]+/){0,20}[A-Za-z0-9_+=,.@-]{1,64}",
)
GLUE_NAME = Scalar("a name as the Glue catalogue has it", r"(?s)\S|\S.{0,253}\S")
WORD = Scalar(
    "one or more words: email, first_name; or $ and the name of a list of words",
    r"(?s).{1,100}",
    fault=lambda text: None if entry(text) else f"`{shown(text)}` has no letter and no digit",
)
WORDS = Scalar("words with spaces between them", fault=_words_fault)
LIST_NAME = Scalar("a name of lower-case letters, digits and _", r"[a-z][a-z0-9_]{0,62}")
DATE = Scalar("a day such as 2027-03-31", r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fault=_date_fault)
#: What a sample of the values can show: see docs/content.md.
CONTENT = (
    "email",
    "phone",
    "card",
    "iban",
    "national_id",
    "birth_date",
    "machine_address",
)
EXAMPLE = OneOrRecord(
    Scalar("a column name, or table.column, or name:type", r"(?s)[^\s.:]\S*"),
    Record(
        {
            "column": Field(Scalar("a column name, or name:type", r"(?s)\S.*"), "the column", required=True),
            "table": Field(SENTENCE, "its table"),
            "with": Field(ListOf(Scalar("a column name, or name:type", r"(?s)\S.*")), "other columns of the table"),
            "comment": Field(SENTENCE, "its comment"),
            "content": Field(ListOf(Choice(CONTENT), or_one=True), "what a sample of its values shows"),
            "partition_key": Field(FLAG, "whether it is a partition key"),
        }
    ),
)
VALUES = MapOf(TAG, TAG)
VALUE = OneOrRecord(
    TAG,
    Record(
        {
            "value": Field(TAG, "the value", required=True),
            "approval": Field(Choice(("required",)), "required: nobody reads it until a person approved it"),
        }
    ),
)
ORGANIZATION = Field(Choice(("member", "external")), "external: an account outside the organisation")
OWNER = Field(SENTENCE, "who answers for it")
OWN_REGION = Field(REGION, "the mesh's Region; anything else is refused")

TEXT_TEST = Record(
    {
        "words_any": Field(ListOf(WORD, or_one=True), "one of these words stands in the name"),
        "words_all": Field(ListOf(WORD, or_one=True), "all of these words stand in the name"),
        "words_only": Field(ListOf(WORD, or_one=True), "the name is made of these words alone; numbers aside"),
        "words_none": Field(ListOf(WORD, or_one=True), "none of these words stands in the name"),
        "equals": Field(ListOf(SENTENCE, or_one=True), "the whole name is one of these"),
        "glob": Field(ListOf(SENTENCE, or_one=True), "the whole name matches: * anything, ? one character"),
        "regex": Field(
            ListOf(Scalar("a simple regular expression", fault=unsafe_regex), or_one=True),
            "found somewhere in the name; no groups or alternatives, so that it stays fast",
        ),
    },
    one_of=("words_any", "words_all", "words_only", "words_none", "equals", "glob", "regex"),
    several=True,
    ref="text_test",
)
_CONDITION = Later(lambda: CONDITION)
_TESTS = {
    "all": Field(ListOf(_CONDITION), "every one of these conditions"),
    "any": Field(ListOf(_CONDITION), "at least one of these conditions"),
    "not": Field(_CONDITION, "this condition does not hold"),
    "column": Field(TEXT_TEST, "the column's name"),
    "field": Field(TEXT_TEST, "it is a field of a struct, with this path below its column"),
    "comment": Field(TEXT_TEST, "the column's comment"),
    "column_parameters": Field(MapOf(SENTENCE, TEXT_TEST), "parameters of the column in the Glue catalogue"),
    "table": Field(TEXT_TEST, "the table's name"),
    "table_parameters": Field(MapOf(SENTENCE, TEXT_TEST), "parameters of the table in the Glue catalogue"),
    "table_has": Field(_CONDITION, "some column of the table fulfils this condition"),
    "location": Field(TEXT_TEST, "the table's location, s3://..."),
    "bucket": Field(TEXT_TEST, "the data product's bucket"),
    "database": Field(TEXT_TEST, "the Glue database's name"),
    "data_product": Field(TEXT_TEST, "the data product's name"),
    "producer": Field(TEXT_TEST, "the producer's name"),
    "account": Field(TEXT_TEST, "the producer's account id"),
    "type": Field(ListOf(Choice(FAMILIES), or_one=True), "the family of the column's type"),
    "partition_key": Field(FLAG, "whether the column is a partition key"),
    "content": Field(
        ListOf(Choice(CONTENT), or_one=True), "what a sample of the values shows; only in rules that raise"
    ),
    "is": Field(ListOf(LIST_NAME, or_one=True), "every one of these conditions, named under `conditions`, holds"),
}
CONDITION = Record(_TESTS, one_of=tuple(_TESTS), several=True, ref="condition")

MESH = Record(
    {
        "version": Field(Constant({"1": 1}), "the version of this schema", required=True),
        "region": Field(REGION, "the Region of the whole mesh"),
        "lf_tags": Field(
            MapOf(
                TAG,
                Record(
                    {
                        "values": Field(ListOf(VALUE), "every value; of an ordered key rising", required=True),
                        "default": Field(TAG, "the value until a rule speaks; nobody reads it", required=True),
                        "ordered": Field(FLAG, "whether a later value is stricter"),
                        "conflict": Field(TAG, "the value of a column that two rules raise differently"),
                    }
                ),
            ),
            "the LF-Tags of the mesh",
            required=True,
        ),
    }
)
CONTENT_SAMPLE = Record(
    {
        "objects": Field(Count(1, 50), "of each table, so many objects; 5 if not given"),
        "rows": Field(Count(10, 10_000), "of each object, so many rows; 1000 if not given"),
        "megabytes": Field(Count(1, 64), "of each object, so much is read at most; 8 if not given"),
        "countries": Field(
            ListOf(Scalar("a country by its two letters, such as GB", r"[A-Z]{2}")),
            "whose national ids, and telephone numbers without +, it may hold; all that are known if not given",
        ),
    },
    one_of=("objects", "rows", "megabytes", "countries"),
    several=True,
)
PRODUCER = Record(
    {
        "producer": Field(NAME, "the producer's name", required=True),
        "account": Field(ACCOUNT, "its account", required=True),
        "owner": OWNER,
        "organization": ORGANIZATION,
        "region": OWN_REGION,
        "data_products": Field(
            ListOf(
                Record(
                    {
                        "name": Field(NAME, "its name; the Glue database is <producer>_<name>", required=True),
                        "location": Field(LOCATION, "its folder: one table per folder in it", required=True),
                        "tags": Field(VALUES, "LF-Tags of the database, inherited by every column"),
                        "csv": Field(
                            Record(
                                {
                                    "header": Field(
                                        Choice(("present", "absent", "guess")),
                                        "whether files start with names",
                                    ),
                                    "delimiter": Field(CHARACTER, "what stands between two values"),
                                    "quote": Field(CHARACTER, "what stands around a value"),
                                }
                            ),
                            "how its CSV files are read",
                        ),
                        "sample_content": Field(
                            OneOrRecord(FLAG, CONTENT_SAMPLE),
                            "whether a sample of its values is looked at, for rules with `content`; false if not given",
                        ),
                        "crawl_at_most_every": Field(DURATION, "the least time between two crawls; 15m if not given"),
                        "owner": OWNER,
                        "state": Field(
                            Choice(("active", "dropped")),
                            "dropped: what was made for it in the catalogue is removed; its data stays",
                        ),
                    }
                )
            ),
            "what it offers",
            required=True,
        ),
    }
)
CONSUMER = Record(
    {
        "consumer": Field(NAME, "the consumer's name", required=True),
        "account": Field(ACCOUNT, "its account", required=True),
        "owner": OWNER,
        "organization": ORGANIZATION,
        "organizational_unit": Field(
            ORGANIZATIONAL_UNIT, "what is granted to in the place of the account: all of its accounts may pass it on"
        ),
        "region": OWN_REGION,
        "results": Field(
            Choice(("shared", "apart")), "apart: a workgroup for each principal, whose results nobody else reads"
        ),
        "subscriptions": Field(
            ListOf(
                Record(
                    {
                        "name": Field(NAME, "its name", required=True),
                        "tags": Field(
                            MapOf(TAG, ListOf(TAG)),
                            "key: [values]; a key not named becomes all its values but the default",
                            required=True,
                        ),
                        "permissions": Field(
                            ListOf(Choice(("SELECT", "DESCRIBE"))), "SELECT (reads, the default) or DESCRIBE"
                        ),
                        "principals": Field(
                            ListOf(
                                Record(
                                    {
                                        "role": Field(IAM_NAME, "an IAM role"),
                                        "user": Field(IAM_NAME, "an IAM user"),
                                        "permission_set": Field(IAM_NAME, "an IAM Identity Center permission set"),
                                        "whole_account": Field(
                                            Constant({"true": True}), "true: every principal of the account"
                                        ),
                                    },
                                    one_of=("role", "user", "permission_set", "whole_account"),
                                )
                            ),
                            "who reads, in the consumer's account",
                            required=True,
                        ),
                        "expires": Field(DATE, "the last day, in UTC, on which it holds"),
                    }
                )
            ),
            "what it reads",
            required=True,
        ),
    }
)
RULES = Record(
    {
        "words": Field(
            MapOf(LIST_NAME, TextOrList(WORDS, ListOf(WORD))),
            "lists of words, for `$name` in tests of words in any file",
        ),
        "conditions": Field(MapOf(LIST_NAME, CONDITION), "conditions with a name, for `is` in rules of any file"),
        "rules": Field(
            ListOf(
                Record(
                    {
                        "id": Field(SENTENCE, "its name, unique in the mesh", required=True),
                        "raise": Field(VALUES, "gives these values; several raises join to the strictest"),
                        "clear": Field(VALUES, "gives these values where no rule raises or assigns"),
                        "assign": Field(VALUES, "gives these values where no rule raises"),
                        "over": Field(
                            ListOf(SENTENCE, or_one=True),
                            "ids of rules whose raises its clear beats",
                        ),
                        "when": Field(CONDITION, "which columns it is about", required=True),
                        "because": Field(SENTENCE, "why, for the person who asks"),
                        "examples": Field(
                            Record(
                                {
                                    "match": Field(ListOf(EXAMPLE), "columns it is about"),
                                    "no_match": Field(ListOf(EXAMPLE), "columns it is not about"),
                                }
                            ),
                            "checked by the tests: name, table.column or name:type",
                        ),
                    },
                    one_of=("raise", "clear", "assign"),
                    several=True,
                )
            ),
            "classification rules",
        ),
    },
    one_of=("rules", "words", "conditions"),
    several=True,
)
OVERRIDES = Record(
    {
        "overrides": Field(
            ListOf(
                Record(
                    {
                        "data_product": Field(
                            Scalar("<producer>/<data product>", r"[^/]+/[^/]+"), "where", required=True
                        ),
                        "table": Field(GLUE_NAME, "the table", required=True),
                        "column": Field(GLUE_NAME, "the column", required=True),
                        "tags": Field(VALUES, "the values it has, whatever the rules say", required=True),
                        "author": Field(SENTENCE, "who decided", required=True),
                        "reason": Field(SENTENCE, "why", required=True),
                        "approved_by": Field(
                            SENTENCE, "who else agrees: without, it opens nothing that the rules close"
                        ),
                        "expires": Field(DATE, "the last day, in UTC, on which it holds"),
                    }
                )
            ),
            "decisions of owners for single columns",
            required=True,
        )
    }
)
#: folder -> shape of the files in it; mesh.yaml stands beside them.
FOLDERS = {"producers": PRODUCER, "consumers": CONSUMER, "rules": RULES, "overrides": OVERRIDES}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of every governance file, for editors: docs/governance.schema.json."""
    kinds = {"mesh": MESH, "producer": PRODUCER, "consumer": CONSUMER, "rules": RULES, "overrides": OVERRIDES}
    records = {**kinds, "condition": CONDITION, "text_test": TEXT_TEST}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tagmesh governance file",
        "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in kinds],
        "$defs": {name: record.definition() for name, record in records.items()},
    }


if __name__ == "__main__":  # python -m tagmesh.governance_shapes > docs/governance.schema.json
    import json

    print(json.dumps(json_schema(), indent=2))
