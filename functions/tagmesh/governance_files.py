"""From the text of the governance files to a Governance: every check that needs more than one field.

Nothing is granted, tagged or crawled from a folder with a mistake, so all of them are collected before
anything is raised. Nothing here is called once a version is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from tagmesh.governance import (
    EVERYBODY,
    Consumer,
    ContentSample,
    Csv,
    DataProduct,
    Expression,
    Governance,
    GovernanceError,
    LFTagKey,
    Override,
    Principal,
    Problem,
    Producer,
    Rule,
    Subscription,
    digest_of,
)
from tagmesh.governance_rules import RuleReader
from tagmesh.governance_shapes import FOLDERS, MESH
from tagmesh.governance_tags import LFTags, once
from tagmesh.governance_yaml import At, Fields, Text, did_you_mean, parse
from tagmesh.words import fold

#: Lake Formation developer guide, "Lake Formation tag-based access control considerations".
MAX_EXPRESSION_BYTES = 900

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def build(files: Mapping[str, str]) -> Governance:
    """See ``governance.load``."""
    loader = _Loader()
    governance = loader.load(files)
    if loader.problems or governance is None:
        raise GovernanceError(loader.problems)
    return governance


class _Loader:
    """The problems found so far, and what is known of the files already read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.tags = LFTags(self.report)

    def report(self, at: At, message: str, mend: str) -> None:
        self.problems.append(Problem(*at, message, mend))

    def load(self, files: Mapping[str, str]) -> Governance | None:
        documents: dict[str, list[Fields]] = {folder: [] for folder in FOLDERS}
        broken: set[str] = set()
        mesh = None
        for file in sorted(files):
            folder = "mesh.yaml" if file == "mesh.yaml" else file.split("/")[0] if "/" in file else ""
            if folder not in ("mesh.yaml", *FOLDERS):
                guess = did_you_mean(folder or file, ["mesh.yaml", *FOLDERS])
                places = f"mesh.yaml and files in {', '.join(f'{name}/' for name in FOLDERS)}"
                self.report(At(file, 1, 1), f"nothing reads this file{guess}", f"a governance folder has {places}")
                continue
            document = self._read(file, files[file], MESH if folder == "mesh.yaml" else FOLDERS[folder])
            if document is None:
                broken.add(folder)
            elif folder == "mesh.yaml":
                mesh = document
            else:
                documents[folder].append(document)
        if "mesh.yaml" not in files:
            self.report(At("mesh.yaml", 1, 1), "the file is missing", "write it: version and lf_tags")
        if mesh is None:
            return None
        self.tags.read(mesh["lf_tags"])
        # What refers to a broken file would be reported without cause.
        rules = () if "rules" in broken else RuleReader(self.report, self.tags).read(documents["rules"])
        producers = self._producers(documents["producers"], rules)
        if "producers" in broken:
            return None
        consumers = self._consumers(documents["consumers"], producers)
        overrides = self._overrides(documents["overrides"], producers)
        return Governance(
            lf_tags=tuple(self.tags.keys.values()),
            producers=producers,
            consumers=consumers,
            rules=rules,
            overrides=overrides,
            digest=digest_of(files),
            region=self._region([mesh, *documents["producers"], *documents["consumers"]]),
        )

    def _read(self, file: str, text: str, shape: Any) -> Fields | None:
        """The document of one file if its shape is right."""
        known = len(self.problems)
        document = parse(file, text, self.problems)
        if document is not None:
            shape.check(document, self.report)
        return document if len(self.problems) == known else None

    def _region(self, documents: list[Fields]) -> str | None:
        named = [document["region"] for document in documents if "region" in document]
        for other in named[1:]:
            if other != named[0]:
                mend = "one mesh has one Region: remove it, or make a mesh of its own"
                self.report(other.at, f"Region {other} is not the mesh's, {named[0]} ({named[0].at})", mend)
        return str(named[0]) if named else None

    # ---- Overrides ----------------------------------------------------------------------

    def _overrides(self, documents: list[Fields], producers: tuple[Producer, ...]) -> tuple[Override, ...]:
        products = {
            f"{product.producer}/{product.name}": product
            for producer in producers
            for product in (*producer.data_products, *producer.dropped)  # whoever takes a drop back finds them again
        }
        seen: dict[str, Text] = {}
        overrides = []
        for fields in (fields for document in documents for fields in document["overrides"]):
            name = fields["data_product"]
            product = products.get(name)
            if product is None:
                guess = did_you_mean(name, products)
                self.report(name.at, f"there is no data product `{name}`{guess}", "write <producer>/<data product>")
                continue
            column = f"{name}.{fields['table'].lower()}.{fields['column'].lower()}"
            tags = self.tags.pairs(fields["tags"])
            author, approver = fields["author"], fields.get("approved_by")
            if approver is not None and fold(approver).split() == fold(author).split():
                self.report(approver.at, f"{approver} approves what {author} decided", "let another person approve it")
            for key in fields["tags"]:
                once(self.report, seen, key, f"an override of {key} for {column}", f"{column}:{key.lower()}")
                if key.lower() in dict(product.tags):
                    message = f"the data product {name} assigns {key} to its database"
                    self.report(key.at, message, "override only what is decided for columns")
            overrides.append(
                Override(
                    producer=product.producer,
                    data_product=product.name,
                    table=fields["table"].lower(),
                    column=fields["column"].lower(),
                    tags=tags,
                    author=str(author),
                    reason=str(fields["reason"]),
                    place=str(fields.at),
                    approved_by=_optional(approver),
                    expires=_optional(fields.get("expires")),
                )
            )
        return tuple(sorted(overrides, key=lambda o: (o.producer, o.data_product, o.table, o.column, o.tags)))

    # ---- Producers ----------------------------------------------------------------------

    def _producers(self, documents: list[Fields], rules: tuple[Rule, ...]) -> tuple[Producer, ...]:
        decided = {key: rule for rule in rules for key, _ in rule.raises + rule.clears + rule.assigns}
        seen: dict[str, Text] = {}
        producers = []
        placed: list[tuple[DataProduct, Text]] = []
        removed: list[tuple[DataProduct, Text]] = []
        for document in documents:
            once(self.report, seen, document["producer"], f"the producer `{document['producer']}`")
            products: list[DataProduct] = []
            dropped: list[DataProduct] = []
            names: dict[str, Text] = {}
            for fields in document["data_products"]:
                once(self.report, names, fields["name"], f"the data product `{fields['name']}`")
                product = self._data_product(document, fields)
                drop = fields.get("state") == "dropped"
                (dropped if drop else products).append(product)
                (removed if drop else placed).append((product, fields["location"]))
                for key in fields.get("tags", ()):
                    if rule := decided.get(key.lower()):
                        message = f"{key} is decided for each column by rules ({rule.place}), not for a database"
                        mend = "remove it here: a whole database opened by hand opens what nobody classified"
                        self.report(key.at, message, mend)
            producers.append(
                Producer(
                    name=str(document["producer"]),
                    account=str(document["account"]),
                    owner=_optional(document.get("owner")),
                    external=document.get("organization") == "external",
                    data_products=tuple(sorted(products, key=lambda product: product.name)),
                    dropped=tuple(sorted(dropped, key=lambda product: product.name)),
                )
            )
        self._check_databases(placed + removed)  # what one removes must not be another's
        self._check_locations(placed)
        return tuple(sorted(producers, key=lambda producer: producer.name))

    def _data_product(self, producer: Fields, fields: Fields) -> DataProduct:
        bucket, _, prefix = fields["location"].removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        tags = self.tags.pairs(fields.get("tags", Fields()))
        if len(tags) == len(self.tags.keys):
            self.report(
                fields["tags"].at,
                "every LF-Tag is assigned to the database, so that a new column would be open at once",
                "leave at least one LF-Tag to the columns",
            )
        for key, value in fields.get("tags", Fields()).items():
            if key.lower() in self.tags.keys and value.lower() == self.tags.keys[key.lower()].default:
                self.report(value.at, f"`{value}` is the default of {key}: nobody may read it", "assign another value")
        csv = fields.get("csv")
        if csv is not None and csv.get("delimiter", "") == csv.get("quote"):
            self.report(csv.at, "delimiter and quote are the same character", "give two different ones")
        every = fields.get("crawl_at_most_every", "15m")
        return DataProduct(
            producer=str(producer["producer"]),
            name=str(fields["name"]),
            account=str(producer["account"]),
            bucket=bucket,
            prefix=f"{prefix}/" if prefix else "",
            tags=tags,
            csv=csv
            and Csv(
                header=str(csv.get("header", "guess")),
                delimiter=_optional(csv.get("delimiter")),
                quote=_optional(csv.get("quote")),
            ),
            sample_content=_content_sample(fields.get("sample_content")),
            crawl_at_most_every=int(every[:-1]) * _SECONDS[every[-1]],
            owner=_optional(fields.get("owner", producer.get("owner"))),
        )

    def _check_databases(self, placed: list[tuple[DataProduct, Text]]) -> None:
        seen: dict[str, tuple[DataProduct, Text]] = {}
        for product, location in placed:
            other, where = seen.setdefault(product.database, (product, location))
            same_name = (other.producer, other.name) == (product.producer, product.name)
            if other is not product and not same_name:  # equal names are reported already
                message = (
                    f"{product.producer}/{product.name} and {other.producer}/{other.name} ({where.at}) both become "
                    f"the Glue database {product.database}"
                )
                self.report(location.at, message, "rename one: lower case, other characters become _")

    def _check_locations(self, placed: list[tuple[DataProduct, Text]]) -> None:
        """A bucket belongs to one account, and no location holds another. Where a data product is dropped, another may
        have its location."""
        owners: dict[str, tuple[str, Text]] = {}
        around: list[tuple[DataProduct, Text]] = []  # the locations that hold the one looked at
        for product, location in sorted(placed, key=lambda entry: (entry[0].bucket, entry[0].prefix)):
            account, where = owners.setdefault(product.bucket, (product.account, location))
            if account != product.account:
                message = f"the bucket {product.bucket} belongs to account {account} already ({where.at})"
                self.report(location.at, message, "a bucket has one owner: mend the account or the location")
            while around and not (
                around[-1][0].bucket == product.bucket and product.prefix.startswith(around[-1][0].prefix)
            ):
                around.pop()
            if around:
                other, where = around[-1]
                message = f"{product.location} overlaps {other.location} ({where.at})"
                self.report(location.at, message, "give every data product a folder of its own")
            around.append((product, location))

    # ---- Consumers ----------------------------------------------------------------------

    def _consumers(self, documents: list[Fields], producers: tuple[Producer, ...]) -> tuple[Consumer, ...]:
        assigned = _assigned(product for producer in producers for product in producer.data_products)
        if not assigned:  # the last ones may be dropped, and their consumers wait for others
            assigned = _assigned(product for producer in producers for product in producer.dropped)
        if documents and not assigned:
            self.report(
                At("mesh.yaml", 1, 1),
                "no data product assigns an LF-Tag to its database, so that no consumer could see one",
                "give data products `tags`, such as {domain: sales}",
            )
        seen: dict[str, Text] = {}
        consumers = []
        for document in documents:
            once(self.report, seen, document["consumer"], f"the consumer `{document['consumer']}`")
            names: dict[str, Text] = {}
            subscriptions = []
            for fields in document["subscriptions"]:
                once(self.report, names, fields["name"], f"the subscription `{fields['name']}`")
                subscriptions.append(self._subscription(fields, assigned))
            consumers.append(
                Consumer(
                    name=str(document["consumer"]),
                    account=str(document["account"]),
                    owner=_optional(document.get("owner")),
                    external=document.get("organization") == "external",
                    subscriptions=tuple(sorted(subscriptions, key=lambda subscription: subscription.name)),
                    apart=document.get("results") == "apart",
                    organizational_unit=_optional(document.get("organizational_unit")),
                )
            )
            self._check_results(document, consumers)
            self._check_organizational_unit(document, consumers)
        return tuple(sorted(consumers, key=lambda consumer: consumer.name))

    def _check_results(self, document: Fields, consumers: list[Consumer]) -> None:
        """The last consumer has results as all of its account do; whoever has them apart is named."""
        consumer, at = consumers[-1], document.get("results", document["account"]).at
        other = next((each for each in consumers if each.account == consumer.account), consumer)
        if other.apart != consumer.apart:
            self.report(
                at,
                f"the consumer `{other.name}` of the same account has results {'apart' if other.apart else 'shared'}: "
                "who reads the shared ones would read the others too",
                "write the same `results` in all consumers of an account",
            )
        if consumer.apart and EVERYBODY in consumer.principals:
            message = "`results: apart` needs principals with names, and `whole_account` has none"
            self.report(at, message, "name the principals, or leave out `results`")

    def _check_organizational_unit(self, document: Fields, consumers: list[Consumer]) -> None:
        """The last consumer is granted to as all of its account are, and is of an organization if it is of a unit."""
        consumer, at = consumers[-1], document.get("organizational_unit", document["account"]).at
        other = next((each for each in consumers if each.account == consumer.account), consumer)
        if other.organizational_unit != consumer.organizational_unit:
            self.report(
                at,
                f"the consumer `{other.name}` of the same account has {_unit_text(other)}: the account would be "
                "granted to twice",
                "write the same `organizational_unit` in all consumers of an account, or in none",
            )
        if consumer.external and consumer.organizational_unit:
            message = "an account with `organization: external` is in no organizational unit that is shared with"
            self.report(at, message, "leave out one of the two")

    def _subscription(self, fields: Fields, assigned: set[str]) -> Subscription:
        named: dict[str, set[str]] = {}
        for key, values in fields["tags"].items():
            if key.lower() in named:
                self.report(key.at, f"the LF-Tag `{key}` is given twice", "keep one of the two")
            chosen = named.setdefault(key.lower(), set())
            for value in values:
                if not self.tags.check(key, value):
                    if key.lower() not in self.tags.keys:
                        break  # one report for the key is enough
                elif value.lower() == self.tags.keys[key.lower()].default:
                    message = f"`{value}` is what {key} is until a rule speaks: no subscription may name it"
                    self.report(value.at, message, "remove it, and write a rule for the columns that you mean")
                elif value.lower() in chosen:
                    self.report(value.at, f"`{value}` is given twice", "keep one of the two")
                else:
                    chosen.add(value.lower())
        expression = complete(self.tags.keys, named)
        size = expression_bytes(expression)
        if size > MAX_EXPRESSION_BYTES:
            self.report(
                fields["tags"].at,
                f"completed, the tag expression has {size} bytes; Lake Formation takes {MAX_EXPRESSION_BYTES}",
                "name fewer values, also of the keys left out, or split the subscription in two",
            )
        principals: dict[str, Text] = {}
        for kind, name in (pair for who in fields["principals"] for pair in who.items()):
            once(self.report, principals, name, f"the {kind} `{name}`", f"{kind}:{name.lower()}")
        permissions = {str(permission) for permission in fields.get("permissions", ["SELECT"])}
        return Subscription(
            name=str(fields["name"]),
            tags=tuple((key, values) for key, values in expression if key in named),
            # Any other permission implies DESCRIBE (developer guide, Lake Formation permissions reference).
            permissions=tuple(sorted(permissions | {"DESCRIBE"})),
            principals=tuple(sorted(_principal(key.partition(":")[0], str(name)) for key, name in principals.items())),
            table_expression=expression,
            database_expression=tuple(pair for pair in expression if pair[0] in assigned),
            expires=_optional(fields.get("expires")),
            place=str(fields["name"].at),
        )


def _principal(kind: str, written: str) -> Principal:
    return EVERYBODY if kind == EVERYBODY.kind else Principal(kind, written)


def complete(keys: Mapping[str, LFTagKey], named: Mapping[str, set[str]]) -> Expression:
    """The whole expression of a subscription: a key that it does not name becomes all values but the default, so
    that what nobody classified is nobody's. Keys and values in declared order."""
    return tuple(
        (name, tuple(value for value in key.open_values if name not in named or value in named[name]))
        for name, key in keys.items()
    )


def expression_bytes(expression: Expression) -> int:
    """The size of an expression: UTF-8 bytes of its compact JSON as the API takes it. How Lake Formation itself
    counts its 900 bytes is not documented; this is the longest of the plausible ways."""
    pairs = [{"TagKey": key, "TagValues": list(values)} for key, values in expression]
    return len(json.dumps(pairs, separators=(",", ":"), ensure_ascii=False).encode())


def _assigned(products: Iterable[DataProduct]) -> set[str]:
    """The LF-Tags that some of these data products assign to their databases."""
    return {key for product in products for key, _ in product.tags}


def _unit_text(consumer: Consumer) -> str:
    unit = consumer.organizational_unit
    return f"the organizational unit {unit}" if unit else "no organizational unit"


def _optional(text: Text | None) -> str | None:
    return None if text is None else str(text)


def _content_sample(node: Text | Fields | None) -> ContentSample | None:
    """How much is sampled where a field says so; None where it says false, or nothing."""
    if isinstance(node, Fields):
        bounds = {name: int(node[name]) for name in ("objects", "rows", "megabytes") if name in node}
        return ContentSample(**bounds, countries=tuple(sorted(map(str, node.get("countries", ())))))
    return ContentSample() if node == "true" else None
