"""LF-Tags: definitions, assignments to databases, tables and columns, and inheritance.

Pure state: who may do what is decided in lf_access.py and lf_tag_operations.py.
Sources: the Lake Formation developer guide, "LF-TBAC best practices and considerations" and "Assigning LF-Tags", and
the service model (sizes).
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from local_aws.lakeformation.lf_model import DatabaseResource, Expression, TableResource, invalid, not_found
from local_aws.wire import AwsError

LONGEST = 50
"""Characters of a key or value: the guide's limit; the API's own (128 and 256) is wider."""
VALUES_PER_TAG = 1_000
TAGS_PER_CATALOG = 1_000
TAGS_PER_RESOURCE = 50

NO_TAG = "Tag or tag value does not exist."

ColumnTarget = tuple[TableResource, str]
Target = DatabaseResource | TableResource | ColumnTarget
"""What a tag is assigned to. A TableResource here always has a name."""


@dataclass
class Tag:
    """An LF-Tag: folded key, folded values in the order they were added, and the principal that created it."""

    key: str
    values: list[str]
    creator: str


def folded(text: str, what: str) -> str:
    """A key or value as it is stored. InvalidInputException for one that is too long or has other characters."""
    if not 1 <= len(text) <= LONGEST:
        raise invalid(f"LF-Tag {what} must have 1 to {LONGEST} characters: {text!r}")
    wrong = {char for char in text if unicodedata.category(char)[0] not in "LZN" and char not in "_.:/=+-@%"}
    if wrong:
        raise invalid(f"LF-Tag {what} {text!r} has characters that are not allowed: {''.join(sorted(wrong))}")
    return text.lower()


def folded_values(values: Iterable[str]) -> list[str]:
    """Values of one call, folded, each once. That there are at most 50 is the service model's constraint."""
    return list(dict.fromkeys(folded(value, "value") for value in values))


class TagStore:
    """The LF-Tags of all catalogues and what they are assigned to."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, Tag]] = defaultdict(dict)
        self._assigned: dict[DatabaseResource | TableResource, dict[str, str]] = {}
        self._on_columns: dict[TableResource, dict[str, dict[str, str]]] = {}

    # -- definitions --------------------------------------------------------------------------------------------

    def create(self, catalog: str, key: str, values: Iterable[str], creator: str) -> Tag:
        """Define a tag. The service models no AlreadyExistsException here: a duplicate is InvalidInputException."""
        key, values = folded(key, "key"), folded_values(values)
        if key in self._tags[catalog]:
            raise invalid("Tag key already exists")
        if len(self._tags[catalog]) >= TAGS_PER_CATALOG:
            raise AwsError("ResourceNumberLimitExceededException", f"more than {TAGS_PER_CATALOG} LF-Tags")
        tag = self._tags[catalog][key] = Tag(key, values, creator)
        return tag

    def get(self, catalog: str, key: str) -> Tag:
        """The tag of a key, folded first. EntityNotFoundException."""
        tag = self._tags[catalog].get(key.lower())
        if tag is None:
            raise not_found(NO_TAG)
        return tag

    def all(self, catalog: str) -> list[Tag]:
        return sorted(self._tags[catalog].values(), key=lambda tag: tag.key)

    def catalogs(self) -> list[str]:
        return sorted(self._tags)

    def has(self, catalog: str, key: str, values: Iterable[str] = ()) -> bool:
        """Whether a folded key exists, with all of the folded values; `*` is any value."""
        tag = self._tags[catalog].get(key)
        return tag is not None and all(value == "*" or value in tag.values for value in values)

    def update(self, catalog: str, key: str, added: Iterable[str], deleted: Iterable[str]) -> None:
        """Add and delete values.

        InvalidInputException "Update not allowed" while a value to delete is assigned to a resource; adding a value
        that is there changes nothing. EntityNotFoundException for a value to delete that is not there.
        """
        tag, added, deleted = self.get(catalog, key), folded_values(added), folded_values(deleted)
        if not added and not deleted or set(added) & set(deleted):
            raise invalid("UpdateLFTag needs values to add or to delete, and none in both")
        if not set(deleted) <= set(tag.values):
            raise not_found(NO_TAG)
        for assigned in self._assignments(catalog):
            if assigned.get(tag.key) in deleted:
                raise invalid(f"Update not allowed: LF-Tag {tag.key}={assigned[tag.key]} is assigned to a resource")
        values = [value for value in tag.values if value not in deleted]
        values += [value for value in added if value not in values]
        if not values or len(values) > VALUES_PER_TAG:
            raise invalid(f"LF-Tag {tag.key} must keep 1 to {VALUES_PER_TAG} values")
        tag.values = values

    def delete(self, catalog: str, key: str) -> None:
        """Delete a tag with all its assignments: that it is in use is no obstacle. EntityNotFoundException."""
        tag = self.get(catalog, key)
        del self._tags[catalog][tag.key]
        for assigned in self._assignments(catalog):
            assigned.pop(tag.key, None)

    def _assignments(self, catalog: str) -> Iterator[dict[str, str]]:
        """Everything assigned to the resources of a catalogue."""
        for target, assigned in self._assigned.items():
            if target.catalog == catalog:
                yield assigned
        for table, columns in self._on_columns.items():
            if table.catalog == catalog:
                yield from columns.values()

    # -- assignments --------------------------------------------------------------------------------------------

    def assign(self, target: Target, key: str, value: str) -> None:
        """Assign a folded key and value; the same key's earlier value is replaced. InvalidInputException above 50."""
        if isinstance(target, tuple):
            table, column = target
            assigned = self._on_columns.setdefault(table, {}).setdefault(column, {})
        else:
            assigned = self._assigned.setdefault(target, {})
        if key not in assigned and len(assigned) >= TAGS_PER_RESOURCE:
            raise invalid(f"more than {TAGS_PER_RESOURCE} LF-Tags on one resource")
        assigned[key] = value

    def remove(self, target: Target, key: str) -> None:
        """Remove a key: what is inherited shows again."""
        self._own(target).pop(key, None)

    def _own(self, target: Target) -> dict[str, str]:
        if isinstance(target, tuple):
            return self._on_columns.get(target[0], {}).get(target[1], {})
        return self._assigned.get(target, {})

    def assigned(self, target: Target) -> dict[str, str]:
        """What is assigned to the target itself."""
        return dict(self._own(target))

    def effective(self, target: Target) -> dict[str, str]:
        """What the target has: inherited from database and table, overridden by what is assigned lower down."""
        match target:
            case DatabaseResource():
                return self.assigned(target)
            case TableResource(catalog, database, _):
                return {**self._own(DatabaseResource(catalog, database)), **self._own(target)}
            case (table, _):
                return {**self.effective(table), **self._own(target)}

    def matching(self, expression: Expression, table: TableResource, names: Iterable[str]) -> tuple[bool, set[str]]:
        """Whether a table's effective tags match, and which of its columns' do."""
        on_table = self.effective(table)
        table_matches, own = matches(expression, on_table), self._on_columns.get(table, {})
        columns = {
            name
            for name in names
            if (matches(expression, {**on_table, **own[name]}) if own.get(name) else table_matches)
        }
        return table_matches, columns

    # -- life of the resources ----------------------------------------------------------------------------------

    def forget_database(self, database: DatabaseResource) -> None:
        """Drop the assignments of a database that was deleted (its tables are forgotten one by one)."""
        self._assigned.pop(database, None)

    def forget_table(self, table: TableResource) -> None:
        """Drop the assignments of a table that was deleted, and of its columns."""
        self._assigned.pop(table, None)
        self._on_columns.pop(table, None)

    def forget_columns(self, table: TableResource, names: Iterable[str]) -> None:
        """Drop the assignments of columns that a table no longer has: one of that name added later inherits."""
        for name in names:
            self._on_columns.get(table, {}).pop(name, None)


def matches(expression: Expression, tags: Mapping[str, str]) -> bool:
    """Whether effective tags satisfy an expression: every key, with one of its values (`*`: with any value)."""
    return all(key in tags and ("*" in values or tags[key] in values) for key, values in expression)


def pairs_to_api(catalog: str, tags: Mapping[str, str]) -> list[dict]:
    """LFTagPair shapes of effective or assigned tags, in the order of their keys."""
    return [{"CatalogId": catalog, "TagKey": key, "TagValues": [value]} for key, value in sorted(tags.items())]


# -- named expressions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamedExpression:
    name: str
    description: str
    expression: Expression
    creator: str


class ExpressionStore:
    """The named expressions of all catalogues."""

    def __init__(self) -> None:
        self._named: dict[str, dict[str, NamedExpression]] = defaultdict(dict)

    def find(self, catalog: str, name: str) -> NamedExpression | None:
        return self._named[catalog].get(name)

    def all(self, catalog: str) -> list[NamedExpression]:
        return [self._named[catalog][name] for name in sorted(self._named[catalog])]

    def put(self, catalog: str, named: NamedExpression) -> None:
        self._named[catalog][named.name] = named

    def drop(self, catalog: str, name: str) -> None:
        del self._named[catalog][name]
