"""The governance files as one frozen value.

``load`` takes the text of the files, checks everything and completes every tag expression; what it returns
needs no further check anywhere. The shapes of the files are in ``governance_shapes``, the other checks in
``governance_files``, ``governance_tags`` and ``governance_rules``, the strict YAML in ``governance_yaml``; they, and
PyYAML, are imported only to load.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tagmesh.rules import Classifier

#: A tag expression: (key, (value, ...)) in the order in which mesh.yaml declares keys and values.
#: Keys are ANDed, the values of a key are ORed.
Expression = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Problem:
    """One mistake in a governance file; line and column count from 1."""

    file: str
    line: int
    column: int
    message: str
    mend: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{place}; mend: {self.mend}" if self.mend else place


class GovernanceError(Exception):
    """A governance folder with mistakes is refused whole; ``problems`` holds every one that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda p: (p.file, p.line, p.column, p.message)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True)
class LFTagKey:
    """An LF-Tag key. ``values`` stand in declared order (of an ordered key: rising), lower-case as Lake
    Formation stores them; ``default`` is what a column has until a rule speaks: no subscription names it.
    ``approval`` are the values that nobody reads unapproved."""

    name: str
    values: tuple[str, ...]
    default: str
    ordered: bool = False
    conflict: str | None = None
    # Not in repr, which versions of units are made of: it decides who reads, and neither tags nor rules.
    approval: tuple[str, ...] = field(default=(), repr=False)

    @property
    def open_values(self) -> tuple[str, ...]:
        """Every value but the default: what a subscription that omits the key is completed with."""
        return tuple(value for value in self.values if value != self.default)

    def join(self, one: str, other: str) -> str:
        """The stricter of two values. The default is the strictest of all; of two others the one declared
        later, or, for an unordered key that names one, its ``conflict`` value."""
        if one == other:
            return one
        if self.default in (one, other):
            return self.default
        if self.conflict is not None:
            # The first declared value is the harmless one (`none`): it conflicts with nothing.
            return one if other == self.values[0] else other if one == self.values[0] else self.conflict
        return max(one, other, key=self.values.index)


@dataclass(frozen=True)
class Csv:
    """How the CSV files of a data product are read; ``header`` is present, absent or guess (Glue's own)."""

    header: str = "guess"
    delimiter: str | None = None
    quote: str | None = None


@dataclass(frozen=True)
class ContentSample:
    """How much of a data product's content is looked at: so many ``objects`` of each table, and of each object so many
    ``rows`` and ``megabytes`` (as stored). ``countries`` (``GB``) are those whose national ids and telephone numbers it
    may hold; all that are known if none is named."""

    objects: int = 5
    rows: int = 1000
    megabytes: int = 8
    countries: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataProduct:
    """One Glue database, one crawler, one folder per table. ``prefix`` ends with ``/`` or is empty."""

    producer: str
    name: str
    account: str
    bucket: str
    prefix: str
    tags: tuple[tuple[str, str], ...] = ()
    csv: Csv | None = None
    sample_content: ContentSample | None = None
    crawl_at_most_every: int = 900
    owner: str | None = None

    @cached_property
    def database(self) -> str:
        return re.sub(r"[^a-z0-9_]", "_", f"{self.producer}_{self.name}".lower())

    @cached_property
    def crawler(self) -> str:
        return re.sub(r"[^a-z0-9_-]", "-", f"tagmesh-{self.producer}-{self.name}".lower())

    @property
    def unit(self) -> str:
        """The key of its lease and counters."""
        return f"data_product/{self.producer}/{self.name}"

    @property
    def location(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


@dataclass(frozen=True)
class Producer:
    """``dropped`` are its data products of which nothing is to be left in the catalogue; no other field of a
    ``Governance`` knows of them."""

    name: str
    account: str
    owner: str | None
    external: bool
    data_products: tuple[DataProduct, ...]
    dropped: tuple[DataProduct, ...] = ()


WHOLE_ACCOUNT = "whole_account"
"""The kind of principal that stands for every role and user of an account, as far as IAM lets them: what Lake Formation
calls ``<account>:IAMPrincipals``. [Lake Formation developer guide, Lake Formation permissions reference]"""


@dataclass(frozen=True, order=True)
class Principal:
    """Somebody in a consumer's account: ``kind`` is role, user, permission_set, or whole_account for all of them;
    ``name`` may have a path (``team/Analyst``) for a role or user, and is ``IAMPrincipals`` for the whole account."""

    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == WHOLE_ACCOUNT:
            return "every principal of the account"
        return f"{self.kind.replace('_', ' ')} {self.name}"

    def is_named_by(self, arn: str) -> bool:
        """Whether an IAM ARN is this one's, whatever the suffix of a permission set's role; of the whole account it is
        what Lake Formation calls it."""
        last = arn.rpartition("/")[2]
        if self.kind == WHOLE_ACCOUNT:
            return arn.endswith(f":{self.name}")
        if self.kind == "permission_set":
            return last.rpartition("_")[0] == f"AWSReservedSSO_{self.name}"
        return last == self.name.rpartition("/")[2] and f":{self.kind}/" in arn

    def includes(self, arn: str) -> bool:
        """Whether whoever has an IAM ARN, of the same account, has what this one is given."""
        return self.kind == WHOLE_ACCOUNT or self.is_named_by(arn)


EVERYBODY = Principal(WHOLE_ACCOUNT, "IAMPrincipals")


@dataclass(frozen=True)
class Subscription:
    """What some principals of a consumer may read. Both expressions are completed: ``table_expression`` has
    every key; ``database_expression`` only those keys that data products assign to their databases.
    ``expires`` is the last day (``2027-03-31``, UTC) on which it holds, None if it holds for good."""

    name: str
    tags: tuple[tuple[str, tuple[str, ...]], ...]
    permissions: tuple[str, ...]
    principals: tuple[Principal, ...]
    table_expression: Expression
    database_expression: Expression
    # Not in repr, which versions of units are made of: until that day nothing is to do for it.
    expires: str | None = field(default=None, repr=False)
    place: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True)
class Withheld:
    """A subscription of the files that gives nothing now: it waits for the approval of ``key``, or (``key`` is empty)
    has expired. ``reaches`` are the (LF-Tag, value) pairs that need the approval."""

    consumer: str
    account: str
    owner: str | None
    subscription: Subscription
    key: str = ""
    reaches: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Consumer:
    name: str
    account: str
    owner: str | None
    external: bool
    subscriptions: tuple[Subscription, ...]
    apart: bool = False
    """Whether each of its principals has a workgroup of its own."""
    organizational_unit: str | None = None
    """The ARN of the organizational unit, or organization, that is granted to in the place of the account."""

    @property
    def recipient(self) -> str:
        """Whom the central account grants what this consumer reads: a DataLakePrincipalIdentifier, that of the account
        or of the unit whose accounts all may pass it on."""
        return self.organizational_unit or self.account

    @property
    def unit(self) -> str:
        """The key of its lease and counters."""
        return f"consumer/{self.name}"

    @cached_property
    def principals(self) -> tuple[Principal, ...]:
        """Every principal of every subscription, once, sorted."""
        return tuple(sorted({p for subscription in self.subscriptions for p in subscription.principals}))


@dataclass(frozen=True)
class Example:
    """A column that a rule is, or is not, about: in a table that may have other columns. Types are None where the
    usual one of such a name is meant."""

    column: str
    type: str | None = None
    table: str = ""
    others: tuple[tuple[str, str | None], ...] = ()
    comment: str = ""
    content: tuple[str, ...] = ()
    partition_key: bool = False


@dataclass(frozen=True)
class Rule:
    """A classification rule. ``when`` is the condition, checked, with named lists of words and named conditions
    written out: a mapping of plain strings, lists, booleans and mappings (see ``conditions.py``). ``over`` are the
    rules whose raises its clear beats. Examples are mappings of texts (see ``examples.py``). ``place`` is
    ``file:line``, for people."""

    id: str
    raises: tuple[tuple[str, str], ...]
    clears: tuple[tuple[str, str], ...]
    assigns: tuple[tuple[str, str], ...]
    when: Mapping[str, Any] = field(hash=False)
    because: str = ""
    match: tuple[Example, ...] = ()
    no_match: tuple[Example, ...] = ()
    place: str = ""
    over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Override:
    """What an owner decided for one column, whatever the rules say: until the end of the day ``expires``
    (``2027-03-31``, UTC; None: for good), and, where it opens more than the rules do, only if another person has
    approved it."""

    producer: str
    data_product: str
    table: str
    column: str
    tags: tuple[tuple[str, str], ...]
    author: str
    reason: str
    place: str = ""
    approved_by: str | None = None
    expires: str | None = None


@dataclass(frozen=True)
class Governance:
    """All governance files, checked and completed. ``digest`` names the version (``digest_of``)."""

    lf_tags: tuple[LFTagKey, ...]
    producers: tuple[Producer, ...]
    consumers: tuple[Consumer, ...]
    rules: tuple[Rule, ...]
    overrides: tuple[Override, ...]
    digest: str
    region: str | None = None
    number: int = field(default=0, compare=False)
    """Which one in force this is, of all that were: a version that comes back has another number, and so has one of
    which something was approved or denied."""
    withheld: tuple[Withheld, ...] = field(default=(), compare=False)
    """Subscriptions of the files that `approvals.in_force` has taken out of ``consumers``."""
    holds_until: str = field(default="", compare=False)
    """The last day (UTC) on which the same files and approvals say the same: the next day a subscription has expired.
    Empty if none expires."""

    @cached_property
    def keys(self) -> Mapping[str, LFTagKey]:
        return {key.name: key for key in self.lf_tags}

    @cached_property
    def data_products(self) -> tuple[DataProduct, ...]:
        """Every data product, sorted by producer and name."""
        products = [product for producer in self.producers for product in producer.data_products]
        return tuple(sorted(products, key=lambda product: (product.producer, product.name)))

    @cached_property
    def _by_bucket(self) -> Mapping[tuple[str, str], tuple[DataProduct, ...]]:
        found: dict[tuple[str, str], list[DataProduct]] = {}
        for product in self.data_products:
            found.setdefault((product.account, product.bucket), []).append(product)
        return {place: tuple(products) for place, products in found.items()}

    def find_data_product(self, account: str, bucket: str, key: str) -> DataProduct | None:
        """The data product that an object belongs to, or None. The account and the bucket must belong
        together: an event that names another account's bucket belongs to nothing."""
        products = [p for p in self._by_bucket.get((account, bucket), ()) if key.startswith(p.prefix)]
        return max(products, key=lambda product: len(product.prefix), default=None)

    @cached_property
    def _named(self) -> Mapping[str, DataProduct | Consumer]:
        named: dict[str, DataProduct | Consumer] = {consumer.unit: consumer for consumer in self.consumers}
        for product in self.data_products:
            named[product.unit] = named[f"crawler:{product.crawler}"] = product
            named[f"database:{product.database}"] = product
        return named

    def data_product(self, unit: str) -> DataProduct | None:
        """The data product of a unit (``data_product/<producer>/<name>``), or None."""
        found = self._named.get(unit)
        return found if isinstance(found, DataProduct) else None

    @cached_property
    def dropped(self) -> Mapping[str, DataProduct]:
        """Unit -> data product, of those that the files say are dropped: to everything else they have left."""
        return {product.unit: product for producer in self.producers for product in producer.dropped}

    def consumer(self, unit: str) -> Consumer | None:
        """The consumer of a unit (``consumer/<name>``), or None."""
        found = self._named.get(unit)
        return found if isinstance(found, Consumer) else None

    def data_product_of_crawler(self, crawler: str) -> DataProduct | None:
        return self.data_product(f"crawler:{crawler}")

    def data_product_of_database(self, database: str) -> DataProduct | None:
        return self.data_product(f"database:{database}")

    def version_of(self, unit: str) -> str:
        """The name of what this version says of one data product or consumer (sha256, hex): where it is the same in two
        versions, there is nothing to do for that unit. A data product depends on the LF-Tags, the rules and its own
        file and overrides; a consumer on the LF-Tags, on all consumers of its account or organizational unit, and on
        which data products there are with which tags of their own. All that have left the files are alike, and all that
        are dropped."""
        if unit not in self._versions:
            self._versions[unit] = _name_of(self._said_of(unit))
        return self._versions[unit]

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {}

    @cached_property
    def lf_tags_version(self) -> str:
        """The name of this version's LF-Tag keys and values (sha256, hex)."""
        return _name_of(self.lf_tags)

    @cached_property
    def _rules_version(self) -> str:
        return _name_of((self.lf_tags, self.rules))

    def _said_of(self, unit: str) -> Any:
        product, consumer = self.data_product(unit), self.consumer(unit)
        if product is not None:
            named = (product.producer, product.name)
            overrides = [each for each in self.overrides if (each.producer, each.data_product) == named]
            return (self._rules_version, product, overrides)
        if consumer is not None:
            neighbours = [each for each in self.consumers if _are_neighbours(each, consumer)]
            return (self.lf_tags, neighbours, [(each.unit, each.tags) for each in self.data_products])
        return "dropped" if unit in self.dropped else "left"

    @cached_property
    def classifier(self) -> Classifier:
        """The compiled rules, made at first use."""
        from tagmesh.rules import compile_rules

        return compile_rules(self)

    @cached_property
    def ruled_keys(self) -> frozenset[str]:
        """The LF-Tags that some rule decides."""
        return frozenset(key for rule in self.rules for key, _ in rule.raises + rule.clears + rule.assigns)

    def column_keys(self, data_product: DataProduct) -> tuple[LFTagKey, ...]:
        """The keys decided for each column: those that the data product does not assign to its database."""
        assigned = {key for key, _ in data_product.tags}
        return tuple(key for key in self.lf_tags if key.name not in assigned)


def _are_neighbours(one: Consumer, other: Consumer) -> bool:
    return one.account == other.account or one.recipient == other.recipient


def _name_of(said: Any) -> str:
    return hashlib.sha256(repr(said).encode()).hexdigest()


def digest_of(files: Mapping[str, str]) -> str:
    """The name of a governance version: sha256, in hex, over the sorted (path, text) pairs as JSON."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()


def read_folder(path: str | Path) -> dict[str, str]:
    """Every YAML file below a folder: path relative to it (with ``/``) -> text.

    Raises GovernanceError if the folder or a file cannot be read as UTF-8 text."""
    from pathlib import Path

    folder = Path(path)
    if not folder.is_dir():
        mend = "give the folder that holds mesh.yaml"
        raise GovernanceError([Problem(str(path), 1, 1, "there is no such folder", mend)])
    files, problems = {}, []
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.suffix not in (".yaml", ".yml") or not file.is_file():
            continue
        try:
            files[name] = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(name, 1, 1, f"cannot be read: {error}", "save it as UTF-8 text"))
    if problems:
        raise GovernanceError(problems)
    return files


def load(files: Mapping[str, str]) -> Governance:
    """The governance of a folder: relative path -> YAML text (mesh.yaml, producers/, consumers/, rules/ and
    overrides/, nested as one likes). Raises GovernanceError with every problem found."""
    from tagmesh.governance_files import build

    return build(files)
