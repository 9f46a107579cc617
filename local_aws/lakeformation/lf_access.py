"""Effective permissions: what a principal may do with a resource, from all grants, tags and shares together.

The rules, with their source in the Lake Formation developer guide:

- Named and LF-Tag grants add up ("Metadata permissions"). Any permission implies DESCRIBE ("permissions reference").
- A grant on all tables of a database gives DESCRIBE on the database ("Granting permissions on Data Catalog resources").
- A DATABASE policy gives nothing on tables; a TABLE policy matches tables and columns by their effective tags.
- A policy that matches some columns only gives DESCRIBE and, where it gives SELECT or ALL, SELECT on those columns
  ("LF-TBAC considerations"). Partition keys cannot be restricted: who reads one column reads them.
- Administrators see everything in their account's catalogue and what was granted to their account, and read none of it
  ("Implicit permissions").
- From another account: what was granted to the principal itself, and what its own account regranted, as far as the
  owner's grant to the account still reaches. Nothing until the RAM share is accepted, and nothing while
  IAM_ALLOWED_PRINCIPALS has access ("Cross-account prerequisites").

Choices where the guide is silent: a policy covers the whole table only if the table and every column match; one that
matches a partition key opens all of them, and no column besides; a table grant alone does not show the table's
database; databases in which one created a table are visible ("Implicit permissions", table creators).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from local_aws.glue.glue_tables import Database, Table
from local_aws.lakeformation.lf_grants import GrantStore, topic
from local_aws.lakeformation.lf_hybrid import OptIns
from local_aws.lakeformation.lf_model import (
    CATALOG_PERMISSIONS,
    DATABASE_PERMISSIONS,
    EXPRESSION_PERMISSIONS,
    IAM_ALLOWED,
    TABLE_PERMISSIONS,
    TAG_PERMISSIONS,
    TAG_VALUE_PERMISSIONS,
    CatalogResource,
    ColumnsResource,
    DatabaseResource,
    Expression,
    ExpressionResource,
    Grant,
    LocationResource,
    PolicyResource,
    TableResource,
    TagResource,
    account_of,
    group_of,
    is_below,
)
from local_aws.lakeformation.lf_settings import Settings
from local_aws.lakeformation.lf_tags import ExpressionStore, TagStore, matches

NOTHING: frozenset[str] = frozenset()
DESCRIBE = frozenset({"DESCRIBE"})


@dataclass(frozen=True)
class Held:
    """Permissions on a resource, ALL spelled out and DESCRIBE implied, and those that may be passed on."""

    permissions: frozenset[str] = NOTHING
    grantable: frozenset[str] = NOTHING

    def __or__(self, other: Held) -> Held:
        return Held(self.permissions | other.permissions, self.grantable | other.grantable)

    def within(self, limit: Held) -> Held:
        return Held(self.permissions & limit.permissions, self.grantable & limit.grantable)


@dataclass(frozen=True)
class TableAccess:
    """What a principal has on one table.

    `whole`: on the table with all its columns. `described` and `selected`: the data columns whose metadata and whose
    data the principal may read. `reads_keys`: it may read the partition keys. `visible`: it may see that the table
    exists, with its partition keys. `blocked`: it would have access from another account, did not
    IAM_ALLOWED_PRINCIPALS still have access.
    """

    whole: Held = Held()
    described: frozenset[str] = NOTHING
    selected: frozenset[str] = NOTHING
    reads_keys: bool = False
    visible: bool = False
    blocked: bool = False

    def __or__(self, other: TableAccess) -> TableAccess:
        return TableAccess(
            self.whole | other.whole,
            self.described | other.described,
            self.selected | other.selected,
            self.reads_keys or other.reads_keys,
            self.visible or other.visible,
        )

    def within(self, limit: TableAccess) -> TableAccess:
        return TableAccess(
            self.whole.within(limit.whole),
            self.described & limit.described,
            self.selected & limit.selected,
            self.reads_keys and limit.reads_keys,
            self.visible and limit.visible,
        )


def spelled_out(permissions: Iterable[str], every: frozenset[str]) -> frozenset[str]:
    """Permissions with ALL replaced by (and kept among) every permission, and DESCRIBE implied by any."""
    permissions = frozenset(permissions)
    if "ALL" in permissions:
        return every
    return permissions | DESCRIBE if permissions else permissions


def held_by(grants: Iterable[Grant], every: frozenset[str]) -> Held:
    """What grants on one resource come to."""
    held = Held()
    for grant in grants:
        grantable = every if "ALL" in grant.grantable else grant.grantable
        held |= Held(spelled_out(grant.permissions, every), grantable)
    return held


class Access:
    """Computes effective permissions. `settings` gives an account's settings; `shared` says whether a RAM share of an
    owner's `database`s or `table`s reaches an account's principals; `reaching` as whom one reaches an account: by
    its id, or by an organization or organizational unit that it is in."""

    def __init__(
        self,
        settings: Callable[[str], Settings],
        tags: TagStore,
        grants: GrantStore,
        shared: Callable[[str, str, str], bool],
        reaching: Callable[[str, str, str], list[str]],
        expressions: ExpressionStore,
        opt_ins: OptIns,
    ) -> None:
        self._settings = settings
        self._tags = tags
        self._grants = grants
        self._shared = shared
        self._reaching = reaching
        self._expressions = expressions
        self._opt_ins = opt_ins

    def is_admin(self, principal: str) -> bool:
        """Whether the principal is a data lake administrator of its own account."""
        return principal in self._settings(account_of(principal)).admins

    def sees_all(self, principal: str) -> bool:
        """Whether the principal is an administrator of its own account, of the read-only kind or not."""
        return self.is_admin(principal) or principal in self._settings(account_of(principal)).read_only_admins

    # -- catalogue, locations, tags -----------------------------------------------------------------------------

    def catalog(self, principal: str, catalog: str) -> Held:
        """Permissions on a catalogue: CREATE_DATABASE, CREATE_LF_TAG. Never from another account."""
        account = account_of(principal)
        if account != catalog:
            return Held()
        if self.is_admin(principal):
            return Held(CATALOG_PERMISSIONS, CATALOG_PERMISSIONS)
        grantees, about = (principal, group_of(account), IAM_ALLOWED), topic(CatalogResource(catalog))
        return held_by(self._grants.of(catalog, grantees, catalog, about), CATALOG_PERMISSIONS)

    def location(self, principal: str, catalog: str, path: str) -> Held:
        """Data location permissions on a path: on a location one has them on everything below it."""

        def covering(grantees: Iterable[str], grantor: str) -> Held:
            held = Held()
            for grant in self._grants.of(catalog, grantees, grantor, topic(LocationResource(catalog, path))):
                if is_below(path, grant.resource.path):
                    held |= Held(grant.permissions, grant.grantable)
            return held

        account = account_of(principal)
        if account == catalog:
            everything = frozenset({"DATA_LOCATION_ACCESS"})
            if self.is_admin(principal):
                return Held(everything, everything)
            return covering((principal, group_of(account)), catalog)
        regranted = covering((principal, group_of(account)), account)
        return covering((principal, group_of(account)), catalog) | regranted.within(covering((account,), catalog))

    def tag(self, principal: str, catalog: str, key: str, value: str) -> Held:
        """Permissions on one value of an LF-Tag, given folded.

        The creator has all. An administrator has all but ASSOCIATE, which it must grant itself on tags that it did not
        create ("Adding LF-Tag creators"). An account id may be asked for, too: what was granted to the account.
        """
        every = TAG_PERMISSIONS | TAG_VALUE_PERMISSIONS

        def on_value(grantees: Iterable[str], grantor: str) -> Held:
            grants = self._grants.of(catalog, grantees, grantor, topic(TagResource(catalog, key, value)))
            return held_by((g for g in grants if g.resource.value in (value, "*")), every)

        if not self._tags.has(catalog, key):
            return Held()
        account = account_of(principal)
        if account == catalog:
            held = on_value((principal, group_of(account)), catalog)
            if self._tags.get(catalog, key).creator == principal:
                held |= Held(every, every)
            if self.is_admin(principal):
                held |= Held(every - {"ASSOCIATE"}, every)
            elif self.sees_all(principal):
                held |= Held(DESCRIBE)
            return held
        reached = {name for kind in ("database", "table") for name in self._reaching(catalog, kind, account)}
        if not reached:
            return Held()
        limit = on_value(sorted(reached), catalog)
        if principal == account:
            return limit
        held = on_value((principal, group_of(account)), account).within(limit)
        return held | Held(DESCRIBE, limit.grantable).within(limit) if self.is_admin(principal) else held

    def expression(self, principal: str, catalog: str, name: str) -> Held:
        """Permissions on a named LF-Tag expression: its creator and administrators have all. Never from another
        account."""
        account, named = account_of(principal), self._expressions.find(catalog, name)
        if account != catalog or named is None:
            return Held()
        if named.creator == principal or self.is_admin(principal):
            return Held(EXPRESSION_PERMISSIONS, EXPRESSION_PERMISSIONS)
        about = topic(ExpressionResource(catalog, name))
        held = held_by(self._grants.of(catalog, (principal, group_of(account)), catalog, about), EXPRESSION_PERMISSIONS)
        return held | Held(DESCRIBE) if self.sees_all(principal) else held

    def body(self, policy: PolicyResource) -> Expression:
        """The expression of a policy as it is now. The named expression must be there."""
        if policy.named is None:
            return policy.expression
        return self._expressions.find(policy.catalog, policy.named).expression

    # -- databases ----------------------------------------------------------------------------------------------

    def database(self, principal: str, database: Database) -> Held:
        """Permissions on a database or database link. Nothing while blocked; see `blocked`."""
        account = account_of(principal)
        if account != database.catalog:
            return Held() if self.blocked(principal, database) else self._shared_database(principal, database)
        iam_alone = () if self._opt_ins.governs_database(principal, database) else (IAM_ALLOWED,)
        held = self._database_grants((principal, group_of(account), *iam_alone), database, database.catalog)
        if self.sees_all(principal) or any(table.created_by == principal for table in database.tables.values()):
            held |= Held(DESCRIBE)
        return held

    def account_database(self, account: str, database: Database) -> Held:
        """What the owner granted to another account as a whole, once its share is accepted."""
        reached = self._reaching(database.catalog, "database", account)
        return self._database_grants(reached, database, database.catalog) if reached else Held()

    def _shared_database(self, principal: str, database: Database) -> Held:
        account = account_of(principal)
        held = Held()
        for grantee in (principal, group_of(account)):
            if self._shared(database.catalog, "database", grantee):
                held |= self._database_grants((grantee,), database, database.catalog)
        limit = self.account_database(account, database)
        held |= self._database_grants((principal, group_of(account)), database, account).within(limit)
        return held | Held(DESCRIBE).within(limit) if self.sees_all(principal) else held

    def _database_grants(self, grantees: Iterable[str], database: Database, grantor: str) -> Held:
        named = DatabaseResource(database.catalog, database.name)
        tags = {} if database.is_link else self._tags.effective(named)

        def applies(grant: Grant) -> bool:
            if isinstance(grant.resource, PolicyResource):
                return not database.is_link and not grant.void and matches(self.body(grant.resource), tags)
            return True

        grants = self._grants.of(database.catalog, grantees, grantor, topic(named), ("policy", "DATABASE"))
        held = held_by((grant for grant in grants if applies(grant)), DATABASE_PERMISSIONS)
        all_tables = self._grants.of(database.catalog, grantees, grantor, ("table", database.name, None))
        return held | Held(DESCRIBE) if any(True for _ in all_tables) else held

    # -- tables -------------------------------------------------------------------------------------------------

    def table(self, principal: str, table: Table) -> TableAccess:
        """What a principal has on a table or table link."""
        account = account_of(principal)
        if account != table.catalog:
            access = self._shared_table(principal, table)
            return TableAccess(blocked=True) if access.visible and self.blocked(principal, table) else access
        iam_alone = () if self._opt_ins.governs_table(principal, table) else (IAM_ALLOWED,)
        access = self._table_grants((principal, group_of(account), *iam_alone), table, table.catalog)
        return access | _described(table) if self.sees_all(principal) else access

    def account_table(self, account: str, table: Table) -> TableAccess:
        """What the owner granted to another account as a whole, once its share is accepted."""
        reached = self._reaching(table.catalog, "table", account)
        return self._table_grants(reached, table, table.catalog) if reached else TableAccess()

    def blocked(self, principal: str, resource: Database | Table) -> bool:
        """Whether IAM_ALLOWED_PRINCIPALS has access to a database, or to a table or its database: then no other
        account's principal has, unless it was opted in on what is in hybrid mode."""
        if isinstance(resource, Database):
            iam_allowed = self._grants.iam_allowed(DatabaseResource(resource.catalog, resource.name))
            return iam_allowed and not self._opt_ins.admits_to_database(principal, resource)
        iam_allowed = self._grants.iam_allowed(DatabaseResource(resource.catalog, resource.database)) or (
            self._grants.iam_allowed(TableResource(resource.catalog, resource.database, resource.name))
        )
        return iam_allowed and not self._opt_ins.admits_to_table(principal, resource)

    def _shared_table(self, principal: str, table: Table) -> TableAccess:
        account = account_of(principal)
        access = TableAccess()
        for grantee in (principal, group_of(account)):
            if self._shared(table.catalog, "table", grantee):
                access |= self._table_grants((grantee,), table, table.catalog)
        limit = self.account_table(account, table)
        access |= self._table_grants((principal, group_of(account)), table, account).within(limit)
        return access | _described(table).within(limit) if self.sees_all(principal) else access

    def _table_grants(self, grantees: Iterable[str], table: Table, grantor: str) -> TableAccess:
        access = TableAccess()
        about = (("table", table.database, table.name), ("table", table.database, None), ("policy", "TABLE"))
        for grant in self._grants.of(table.catalog, grantees, grantor, *about):
            access |= self._covered(grant, table)
        return access

    def _covered(self, grant: Grant, table: Table) -> TableAccess:
        """What one grant gives on one table."""
        columns = frozenset(table.column_names)
        match grant.resource:
            case TableResource():
                return _on_whole(grant, columns)
            case ColumnsResource(_, _, _, included, excluded):
                if not grant.resource.filtered:
                    return _on_whole(grant, columns)
                chosen = (columns if included is None else columns & included) - excluded
                return TableAccess(described=chosen, selected=chosen, reads_keys=bool(chosen), visible=bool(chosen))
            case PolicyResource() if not grant.void and not table.is_link:
                return self._matched(grant, self.body(grant.resource), table, columns)
        return TableAccess()

    def _matched(self, grant: Grant, expression: Expression, table: Table, columns: frozenset[str]) -> TableAccess:
        named = TableResource(table.catalog, table.database, table.name)
        table_matches, matching = self._tags.matching(expression, named, [*table.column_names, *table.key_names])
        if table_matches and matching >= columns:
            return _on_whole(grant, columns)
        if not table_matches and not matching:
            return TableAccess()
        reads = "SELECT" in grant.permissions or "ALL" in grant.permissions
        shown = frozenset(matching) & columns
        return TableAccess(
            described=shown, selected=shown if reads else NOTHING, reads_keys=reads and bool(matching), visible=True
        )


def _on_whole(grant: Grant, columns: frozenset[str]) -> TableAccess:
    held = held_by((grant,), TABLE_PERMISSIONS)
    reads = "SELECT" in held.permissions
    return TableAccess(held, columns, columns if reads else NOTHING, reads, True)


def _described(table: Table) -> TableAccess:
    """DESCRIBE on the whole table."""
    return TableAccess(Held(DESCRIBE), frozenset(table.column_names), visible=True)
