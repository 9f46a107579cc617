"""From the text of the governance files to a Governance: every check that needs more than one field.

Nothing is granted, tagged or crawled from a folder with a mistake, so all of them are collected before
anything is raised. Nothing here is called once a version is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tagmesh.governance import (
    Consumer,
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
from tagmesh.governance_shapes import FOLDERS, MESH
from tagmesh.governance_yaml import At, Fields, Items, Text, did_you_mean, parse, shown

#: Lake Formation developer guide, "Lake Formation tag-based access control considerations".
MAX_KEYS = 50
MAX_VALUES = 1000
MAX_EXPRESSION_BYTES = 900

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EFFECTS = ("raise", "clear", "assign")


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
        self.keys: dict[str, LFTagKey] = {}

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
        self._read_keys(mesh["lf_tags"])
        rules = self._rules(documents["rules"])
        producers = self._producers(documents["producers"], rules)
        if "producers" in broken:  # what refers to a broken file would be reported without cause
            return None
        consumers = self._consumers(documents["consumers"], producers)
        overrides = self._overrides(documents["overrides"], producers)
        return Governance(
            lf_tags=tuple(self.keys.values()),
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

    # ---- LF-Tags ------------------------------------------------------------------------

    def _read_keys(self, lf_tags: Fields) -> None:
        if len(lf_tags) > MAX_KEYS:
            self.report(lf_tags.at, f"{len(lf_tags)} LF-Tags; a resource carries at most {MAX_KEYS}", "use fewer")
        for name, fields in lf_tags.items():
            if name.lower() in self.keys:
                mend = "Lake Formation stores names lower-case: rename one"
                self.report(name.at, f"the LF-Tag `{name}` is declared twice", mend)
                continue
            self.keys[name.lower()] = self._key(name, fields)

    def _key(self, name: Text, fields: Fields) -> LFTagKey:
        values: list[str] = []
        for value in fields["values"]:
            if value.lower() in values:
                mend = "Lake Formation stores values lower-case: rename one"
                self.report(value.at, f"`{value}` stands among the values of {name} twice", mend)
            values.append(value.lower())
        default, ordered = fields["default"], fields.get("ordered") == "true"
        if not 2 <= len(values) <= MAX_VALUES:
            self.report(
                fields["values"].at,
                f"{name} has {len(values)} value{'s' if len(values) > 1 else ''}",
                f"give 2 to {MAX_VALUES}: the default, which nobody reads, and another",
            )
        if default.lower() not in values:
            guess = did_you_mean(default, values)
            self.report(default.at, f"the default `{default}` is no value of {name}{guess}", "add it to the values")
        elif ordered and default.lower() != values[-1]:
            self.report(
                default.at,
                f"{name} is ordered, and its default `{default}` is not its last and strictest value",
                f"write `{default}` last, or make `{values[-1]}` the default",
            )
        conflict = fields.get("conflict")
        if conflict is not None and conflict.lower() not in values:
            guess = did_you_mean(conflict, values)
            self.report(conflict.at, f"`{conflict}` is no value of {name}{guess}", "add it to the values")
        if conflict is not None and ordered:
            self.report(conflict.at, f"{name} is ordered, so two raises never conflict", "remove `conflict`")
        return LFTagKey(name.lower(), tuple(values), default.lower(), ordered, conflict and conflict.lower())

    def _check_tag(self, key: Text, value: Text) -> bool:
        """Whether key and value are declared; reports it if not."""
        known = self.keys.get(key.lower())
        if known is None:
            mend = f"declare it in mesh.yaml, or use one of {', '.join(self.keys)}"
            self.report(key.at, f"there is no LF-Tag `{key}`{did_you_mean(key, self.keys)}", mend)
        elif value.lower() not in known.values:
            mend = f"declare it in mesh.yaml, or use one of {shown(', '.join(known.values))}"
            guess = did_you_mean(value, known.values)
            self.report(value.at, f"`{value}` is no value of the LF-Tag {known.name}{guess}", mend)
        else:
            return True
        return False

    def _pairs(self, tags: Fields) -> tuple[tuple[str, str], ...]:
        """The (key, value) pairs of a mapping, in the order of mesh.yaml, without those not declared."""
        pairs: dict[str, str] = {}
        for key, value in tags.items():
            if key.lower() in pairs:
                self.report(key.at, f"the LF-Tag `{key}` is given twice", "keep one of the two")
            if self._check_tag(key, value):
                pairs[key.lower()] = value.lower()
        return tuple((name, pairs[name]) for name in self.keys if name in pairs)

    # ---- Rules and overrides ------------------------------------------------------------

    def _rules(self, documents: list[Fields]) -> tuple[Rule, ...]:
        """The rules, sorted by id, so that nothing depends on the order of files."""
        seen: dict[str, Text] = {}
        rules = []
        for fields in (fields for document in documents for fields in document["rules"]):
            rule_id = fields["id"]
            self._once(seen, rule_id, f"the rule `{rule_id}`")
            raises, clears, assigns = (self._pairs(fields.get(effect, Fields())) for effect in _EFFECTS)
            for key, value in fields.get("clear", Fields()).items():
                if key.lower() in self.keys and value.lower() == self.keys[key.lower()].default:
                    self.report(
                        value.at, f"`{value}` is the default of {key}: it clears nothing", "clear to another value"
                    )
            examples = fields.get("examples", {})
            rules.append(
                Rule(
                    id=str(rule_id),
                    raises=raises,
                    clears=clears,
                    assigns=assigns,
                    when=_plain(fields["when"]),
                    because=str(fields.get("because", "")),
                    match=tuple(map(str, examples.get("match", ()))),
                    no_match=tuple(map(str, examples.get("no_match", ()))),
                    place=str(rule_id.at),
                )
            )
        return tuple(sorted(rules, key=lambda rule: rule.id))

    def _overrides(self, documents: list[Fields], producers: tuple[Producer, ...]) -> tuple[Override, ...]:
        products = {
            f"{product.producer}/{product.name}": product
            for producer in producers
            for product in producer.data_products
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
            tags = self._pairs(fields["tags"])
            for key in fields["tags"]:
                self._once(seen, key, f"an override of {key} for {column}", f"{column}:{key.lower()}")
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
                    author=str(fields["author"]),
                    reason=str(fields["reason"]),
                    place=str(fields.at),
                )
            )
        return tuple(sorted(overrides, key=lambda o: (o.producer, o.data_product, o.table, o.column, o.tags)))

    def _once(self, seen: dict[str, Text], name: Text, what: str, key: str | None = None) -> None:
        """Reports a name that was there before; names are compared lower-case unless a key is given."""
        first = seen.setdefault(key or name.lower(), name)
        if first is not name:
            self.report(name.at, f"{what} is already there: {first.at}", "rename one or remove one")

    # ---- Producers ----------------------------------------------------------------------

    def _producers(self, documents: list[Fields], rules: tuple[Rule, ...]) -> tuple[Producer, ...]:
        decided = {key: rule for rule in rules for key, _ in rule.raises + rule.clears + rule.assigns}
        seen: dict[str, Text] = {}
        producers = []
        placed: list[tuple[DataProduct, Text]] = []
        for document in documents:
            self._once(seen, document["producer"], f"the producer `{document['producer']}`")
            products = []
            names: dict[str, Text] = {}
            for fields in document["data_products"]:
                self._once(names, fields["name"], f"the data product `{fields['name']}`")
                product = self._data_product(document, fields)
                products.append(product)
                placed.append((product, fields["location"]))
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
                )
            )
        self._check_databases(placed)
        self._check_locations(placed)
        return tuple(sorted(producers, key=lambda producer: producer.name))

    def _data_product(self, producer: Fields, fields: Fields) -> DataProduct:
        bucket, _, prefix = fields["location"].removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/")
        tags = self._pairs(fields.get("tags", Fields()))
        if len(tags) == len(self.keys):
            self.report(
                fields["tags"].at,
                "every LF-Tag is assigned to the database, so that a new column would be open at once",
                "leave at least one LF-Tag to the columns",
            )
        for key, value in fields.get("tags", Fields()).items():
            if key.lower() in self.keys and value.lower() == self.keys[key.lower()].default:
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
        """A bucket belongs to one account, and no location holds another."""
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
        products = [product for producer in producers for product in producer.data_products]
        assigned = {key for product in products for key, _ in product.tags}
        if documents and not assigned:
            self.report(
                At("mesh.yaml", 1, 1),
                "no data product assigns an LF-Tag to its database, so that no consumer could see one",
                "give data products `tags`, such as {domain: sales}",
            )
        seen: dict[str, Text] = {}
        consumers = []
        for document in documents:
            self._once(seen, document["consumer"], f"the consumer `{document['consumer']}`")
            names: dict[str, Text] = {}
            subscriptions = []
            for fields in document["subscriptions"]:
                self._once(names, fields["name"], f"the subscription `{fields['name']}`")
                subscriptions.append(self._subscription(fields, assigned))
            consumers.append(
                Consumer(
                    name=str(document["consumer"]),
                    account=str(document["account"]),
                    owner=_optional(document.get("owner")),
                    external=document.get("organization") == "external",
                    subscriptions=tuple(sorted(subscriptions, key=lambda subscription: subscription.name)),
                )
            )
        return tuple(sorted(consumers, key=lambda consumer: consumer.name))

    def _subscription(self, fields: Fields, assigned: set[str]) -> Subscription:
        named: dict[str, set[str]] = {}
        for key, values in fields["tags"].items():
            if key.lower() in named:
                self.report(key.at, f"the LF-Tag `{key}` is given twice", "keep one of the two")
            chosen = named.setdefault(key.lower(), set())
            for value in values:
                if not self._check_tag(key, value):
                    if key.lower() not in self.keys:
                        break  # one report for the key is enough
                elif value.lower() == self.keys[key.lower()].default:
                    message = f"`{value}` is what {key} is until a rule speaks: no subscription may name it"
                    self.report(value.at, message, "remove it, and write a rule for the columns that you mean")
                elif value.lower() in chosen:
                    self.report(value.at, f"`{value}` is given twice", "keep one of the two")
                else:
                    chosen.add(value.lower())
        expression = complete(self.keys, named)
        size = expression_bytes(expression)
        if size > MAX_EXPRESSION_BYTES:
            self.report(
                fields["tags"].at,
                f"completed, the tag expression has {size} bytes; Lake Formation takes {MAX_EXPRESSION_BYTES}",
                "name fewer values, also of the keys left out, or split the subscription in two",
            )
        principals: dict[str, Text] = {}
        for kind, name in (pair for who in fields["principals"] for pair in who.items()):
            self._once(principals, name, f"the {kind} `{name}`", f"{kind}:{name.lower()}")
        permissions = {str(permission) for permission in fields.get("permissions", ["SELECT"])}
        return Subscription(
            name=str(fields["name"]),
            tags=tuple((key, values) for key, values in expression if key in named),
            # Any other permission implies DESCRIBE (developer guide, Lake Formation permissions reference).
            permissions=tuple(sorted(permissions | {"DESCRIBE"})),
            principals=tuple(sorted(Principal(key.split(":")[0], str(name)) for key, name in principals.items())),
            table_expression=expression,
            database_expression=tuple(pair for pair in expression if pair[0] in assigned),
        )


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


def _optional(text: Text | None) -> str | None:
    return None if text is None else str(text)


def _plain(node: Text | Items | Fields) -> Any:
    """A checked condition without its positions: plain strings, lists, mappings; true and false as booleans."""
    if isinstance(node, Fields):
        return {str(key): value == "true" if key == "partition_key" else _plain(value) for key, value in node.items()}
    if isinstance(node, Items):
        return [_plain(item) for item in node]
    return str(node)
