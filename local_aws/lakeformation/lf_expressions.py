"""Named LF-Tag expressions: grants that refer to one follow its body.

Sources: the Lake Formation developer guide ("Managing LF-Tag expressions for metadata access control") and the service
model (CreateLFTagExpression, UpdateLFTagExpression, DeleteLFTagExpression).

Choices where they are silent: names are kept as they are written; an expression whose tag was deleted stays, and
matches nothing while there is no such tag; changing one needs what creating one with that body needs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from local_aws.lakeformation.lf_access import Access
from local_aws.lakeformation.lf_grants import GrantStore
from local_aws.lakeformation.lf_model import (
    Expression,
    catalog_of,
    expression_from_api,
    expression_to_api,
    insufficient,
    invalid,
    not_found,
)
from local_aws.lakeformation.lf_paging import page, with_token
from local_aws.lakeformation.lf_tags import NO_TAG, ExpressionStore, NamedExpression, TagStore
from local_aws.wire import AwsError

PAGE = 1_000
EXPRESSIONS_PER_CATALOG = 1_000
"""The guide's number; the table of Glue's quotas says 25,000."""


class ExpressionOperations:
    """The operations on named expressions over the stores, made for one API call."""

    def __init__(self, store: ExpressionStore, tags: TagStore, grants: GrantStore, access: Access) -> None:
        self._store = store
        self._tags = tags
        self._grants = grants
        self._access = access

    def create(self, caller: Any, params: dict) -> dict:
        """CreateLFTagExpression: needs CREATE_LF_TAG_EXPRESSION on the catalogue, and GRANT_WITH_LF_TAG_EXPRESSION on
        every pair.

        EntityNotFoundException for a tag that is not there, InvalidInputException for a name that is,
        ResourceNumberLimitExceededException above 1,000, AccessDeniedException.
        """
        catalog, name = catalog_of(caller, params.get("CatalogId")), params["Name"]
        if "CREATE_LF_TAG_EXPRESSION" not in self._access.catalog(caller.principal, catalog).permissions:
            raise insufficient("CREATE_LF_TAG_EXPRESSION", "Catalog")
        expression = self._body(caller, catalog, params["Expression"])
        if self._store.find(catalog, name):
            raise invalid(f"LF-Tag expression {name} already exists")
        if len(self._store.all(catalog)) >= EXPRESSIONS_PER_CATALOG:
            message = f"more than {EXPRESSIONS_PER_CATALOG} LF-Tag expressions"
            raise AwsError("ResourceNumberLimitExceededException", message)
        self._store.put(catalog, NamedExpression(name, params.get("Description", ""), expression, caller.principal))
        return {}

    def update(self, caller: Any, params: dict) -> dict:
        """UpdateLFTagExpression: needs ALTER on it, and GRANT_WITH_LF_TAG_EXPRESSION on every pair. Grants that refer
        to it change at once."""
        catalog, named = self._required(caller, params, "ALTER")
        expression = self._body(caller, catalog, params["Expression"])
        description = params.get("Description", named.description)
        self._store.put(catalog, replace(named, expression=expression, description=description))
        return {}

    def delete(self, caller: Any, params: dict) -> dict:
        """DeleteLFTagExpression: needs DROP. The grants that refer to it go."""
        catalog, named = self._required(caller, params, "DROP")
        self._store.drop(catalog, named.name)
        self._grants.forget_expression(catalog, named.name)
        return {}

    def get(self, caller: Any, params: dict) -> dict:
        """GetLFTagExpression: needs DESCRIBE. EntityNotFoundException for what is not there or not visible."""
        catalog, named = self._required(caller, params, "DESCRIBE")
        return _to_api(catalog, named)

    def list(self, caller: Any, params: dict) -> dict:
        """ListLFTagExpressions: those that the caller may describe."""
        catalog = catalog_of(caller, params.get("CatalogId"))
        visible = [named for named in self._store.all(catalog) if self._has(caller, catalog, named.name, "DESCRIBE")]
        shown, following = page(visible, params.get("NextToken"), params.get("MaxResults"), PAGE)
        return with_token({"LFTagExpressions": [_to_api(catalog, named) for named in shown]}, following)

    def _body(self, caller: Any, catalog: str, conditions: list[dict]) -> Expression:
        expression = expression_from_api(conditions)
        for key, values in expression:
            if not self._tags.has(catalog, key, values):
                raise not_found(NO_TAG)
            for value in sorted(values):
                held = self._access.tag(caller.principal, catalog, key, value)
                if "GRANT_WITH_LF_TAG_EXPRESSION" not in held.permissions:
                    raise insufficient("GRANT_WITH_LF_TAG_EXPRESSION", f"LF-Tag {key}={value}")
        return expression

    def _required(self, caller: Any, params: dict, permission: str) -> tuple[str, NamedExpression]:
        catalog, name = catalog_of(caller, params.get("CatalogId")), params["Name"]
        named = self._store.find(catalog, name)
        if not self._has(caller, catalog, name, "DESCRIBE"):
            raise not_found(f"LF-Tag expression {name} does not exist")
        if not self._has(caller, catalog, name, permission):
            raise insufficient(permission, f"LF-Tag expression {name}")
        return catalog, named

    def _has(self, caller: Any, catalog: str, name: str, permission: str) -> bool:
        return permission in self._access.expression(caller.principal, catalog, name).permissions


def _to_api(catalog: str, named: NamedExpression) -> dict[str, Any]:
    return {
        "Name": named.name,
        "Description": named.description,
        "CatalogId": catalog,
        "Expression": expression_to_api(named.expression),
    }
