"""From the text of the governance files to a Governance: every check that needs more than one field.

Nothing is granted, tagged or crawled from a folder with a mistake, so all of them are collected before
anything is raised. Nothing here is called once a version is loaded.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tagmesh.governance import (
    EVERYBODY,
    Consumer,
    ContentSample,
    Csv,
    DataProduct,
    Example,
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
from tagmesh.words import fold

#: Lake Formation developer guide, "Lake Formation tag-based access control considerations".
MAX_KEYS = 50
MAX_VALUES = 1000
MAX_EXPRESSION_BYTES = 900

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_EFFECTS = ("raise", "clear", "assign")
#: What conditions and lists with a name may make of a few lines: no more than is compiled within seconds.
_MOST_WRITTEN_OUT = 300_000  # conditions and words
_DEEPEST_CONDITION = 50


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
        self.lists: dict[str, list[str]] = {}
        self.conditions: dict[str, Fields] = {}
        self.depth = 0  # of the condition that is being written out
        self.written_out = 0
        self.overgrown = False

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
        # What refers to a broken file would be reported without cause.
        rules = () if "rules" in broken else self._rules(documents["rules"])
        producers = self._producers(documents["producers"], rules)
        if "producers" in broken:
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
        approval: list[str] = []
        default, ordered = fields["default"], fields.get("ordered") == "true"
        for entry in fields["values"]:
            value = entry["value"] if isinstance(entry, Fields) else entry
            if value.lower() in values:
                mend = "Lake Formation stores values lower-case: rename one"
                self.report(value.at, f"`{value}` stands among the values of {name} twice", mend)
            values.append(value.lower())
            if isinstance(entry, Fields) and "approval" in entry:
                approval.append(value.lower())
                if value.lower() == default.lower():
                    mend = "remove `approval`: no subscription may name the default"
                    self.report(entry["approval"].at, f"`{value}` is the default of {name}: nobody reads it", mend)
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
        return LFTagKey(
            name.lower(), tuple(values), default.lower(), ordered, conflict and conflict.lower(), tuple(approval)
        )

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
        self._read_names(documents)
        seen: dict[str, Text] = {}
        over: list[tuple[Rule, Items]] = []
        rules: dict[str, Rule] = {}
        for fields in (fields for document in documents for fields in document.get("rules", ())):
            rule_id = fields["id"]
            self._once(seen, rule_id, f"the rule `{rule_id}`")
            raises, clears, assigns = (self._pairs(fields.get(effect, Fields())) for effect in _EFFECTS)
            for key, value in fields.get("clear", Fields()).items():
                if key.lower() in self.keys and value.lower() == self.keys[key.lower()].default:
                    self.report(
                        value.at, f"`{value}` is the default of {key}: it clears nothing", "clear to another value"
                    )
            opens = bool(clears or assigns)
            examples = fields.get("examples", {})
            beats = _items(fields.get("over", Items()))
            if beats and not clears:
                self.report(fields["over"].at, "only a rule that clears may stand over others", "remove `over`")
            rule = Rule(
                id=str(rule_id),
                raises=raises,
                clears=clears,
                assigns=assigns,
                when=self._condition(fields["when"], _Inside(opens=opens)),
                because=str(fields.get("because", "")),
                match=tuple(map(_example, examples.get("match", ()))),
                no_match=tuple(map(_example, examples.get("no_match", ()))),
                place=str(rule_id.at),
                over=tuple(sorted(map(str, beats))),
            )
            rules[rule.id] = rule
            over.append((rule, beats))
        for rule, beats in over:
            for name in beats:
                self._check_over(rule, name, rules)
        return tuple(sorted(rules.values(), key=lambda rule: rule.id))

    def _check_over(self, rule: Rule, name: Text, rules: Mapping[str, Rule]) -> None:
        beaten = rules.get(name)
        if beaten is None:
            self.report(name.at, f"there is no rule `{name}`{did_you_mean(name, rules)}", "write the id of a rule")
        elif not {key for key, _ in beaten.raises} & {key for key, _ in rule.clears}:
            mend = "name rules that raise what this one clears"
            self.report(name.at, f"`{name}` raises nothing that {rule.id} clears", mend)

    def _read_names(self, documents: list[Fields]) -> None:
        """The lists of words and the conditions that rules of any file may name."""
        lists: dict[str, Text] = {}
        conditions: dict[str, Text] = {}
        for document in documents:
            for name, words in document.get("words", Fields()).items():
                self._once(lists, name, f"the list of words `{name}`")
                listed = words.split() if isinstance(words, Text) else list(map(str, words))
                if any("$" in word for word in listed):
                    self.report(words.at, "a list of words names no other list", "write the words themselves")
                self.lists[str(name)] = listed
            for name, condition in document.get("conditions", Fields()).items():
                self._once(conditions, name, f"the condition `{name}`")
                self.conditions[str(name)] = condition
        for name in self.conditions:  # what no rule names is checked too
            self._named_condition(name, At("", 0, 0), _Inside(names=()))

    def _named_condition(self, name: str, at: At, inside: _Inside) -> Any:
        if name not in self.conditions:
            guess = did_you_mean(name, self.conditions)
            self.report(at, f"there is no condition `{name}`{guess}", "name one that stands under `conditions:`")
            return {}
        if name in inside.names:
            self.report(self.conditions[name].at, f"the condition `{name}` rests on itself", "write out one of them")
            return {}
        return self._condition(self.conditions[name], inside._replace(names=(*inside.names, name)))

    def _condition(self, node: Fields, inside: _Inside) -> dict[str, Any]:
        """A condition without positions, with what it names written out: plain strings, lists, booleans, mappings."""
        self.depth += 1
        fits = self._fits(node.at, 1)
        written = self._entries(node, inside) if fits else {}
        self.depth -= 1
        return written

    def _fits(self, at: At, more: int) -> bool:
        """Whether so many more conditions or words may be written out; what is too much is reported once."""
        self.written_out += more
        if self.depth <= _DEEPEST_CONDITION and self.written_out <= _MOST_WRITTEN_OUT:
            return True
        if not self.overgrown:
            self.overgrown = True
            deep = f"conditions stand more than {_DEEPEST_CONDITION} deep in one another"
            much = f"the rules hold more than {_MOST_WRITTEN_OUT:,} conditions and words"
            message = f"{deep if self.depth > _DEEPEST_CONDITION else much}, with what they name written out"
            self.report(at, message, "let fewer lists and conditions with a name build on one another")
        return False

    def _entries(self, node: Fields, inside: _Inside) -> dict[str, Any]:
        written: dict[str, Any] = {}
        every: list[Any] = []
        for name, value in node.items():
            if name == "is":
                every += [self._named_condition(str(each), each.at, inside) for each in _items(value)]
            elif name in ("all", "any"):
                parts = [self._condition(each, inside) for each in value]
                if name == "all":
                    every += parts
                else:
                    written["any"] = parts
            elif name == "not":
                written["not"] = self._condition(value, inside._replace(negated=True))
            elif name == "table_has":
                if inside.table_has:
                    self.report(name.at, "`table_has` stands inside `table_has`", "write both beside each other")
                written[str(name)] = self._condition(value, inside._replace(table_has=True))
            elif name == "partition_key":
                written[str(name)] = value == "true"
            elif name in ("type", "content"):
                if name == "content":
                    self._check_content(name.at, inside)
                written[str(name)] = _plain(value)
            elif name.endswith("_parameters"):
                written[str(name)] = {str(each): self._text_test(tests) for each, tests in value.items()}
            else:
                written[str(name)] = self._text_test(value)
        if every:
            written["all"] = every
        return written

    def _check_content(self, at: At, inside: _Inside) -> None:
        if inside.opens or inside.negated:
            why = "a sample may miss what a column holds: what it shows can close a column, and never open one"
            self.report(at, why, "use `content` in rules that only raise, and not below `not`")
        if inside.table_has:
            self.report(at, "`content` is about the column itself, not about others", "take it out of `table_has`")

    def _text_test(self, tests: Fields) -> dict[str, Any]:
        return {
            str(test): self._words(value) if test.startswith("words_") else _plain(value)
            for test, value in tests.items()
        }

    def _words(self, node: Text | Items) -> list[str]:
        """Words, with named lists written out, each once: of `$person $number`, each of one list before each of the
        other."""
        words: dict[str, None] = {}
        for word in _items(node):
            if "$" in word:
                parts = [self._listed(part, word.at) if part.startswith("$") else [part] for part in word.split()]
                if self._fits(word.at, math.prod(map(len, parts))):
                    if len(parts) == 1:
                        words |= dict.fromkeys(parts[0])
                    else:
                        words.update(("_".join(chosen), None) for chosen in itertools.product(*parts))
            else:
                self.written_out += 1
                words[str(word)] = None
        return list(words)

    def _listed(self, name: str, at: At) -> list[str]:
        if name[1:] in self.lists:
            return self.lists[name[1:]]
        guess = did_you_mean(name[1:], self.lists)
        self.report(at, f"there is no list of words `{name}`{guess}", "name one that stands under `words:`")
        return []

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
            tags = self._pairs(fields["tags"])
            author, approver = fields["author"], fields.get("approved_by")
            if approver is not None and fold(approver).split() == fold(author).split():
                self.report(approver.at, f"{approver} approves what {author} decided", "let another person approve it")
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
                    author=str(author),
                    reason=str(fields["reason"]),
                    place=str(fields.at),
                    approved_by=_optional(approver),
                    expires=_optional(fields.get("expires")),
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
        removed: list[tuple[DataProduct, Text]] = []
        for document in documents:
            self._once(seen, document["producer"], f"the producer `{document['producer']}`")
            products: list[DataProduct] = []
            dropped: list[DataProduct] = []
            names: dict[str, Text] = {}
            for fields in document["data_products"]:
                self._once(names, fields["name"], f"the data product `{fields['name']}`")
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


class _Inside(NamedTuple):
    """What a condition stands in: a rule that opens, a `not`, a `table_has`, these named conditions."""

    opens: bool = False
    negated: bool = False
    table_has: bool = False
    names: tuple[str, ...] = ()


def _items(node: Text | Items) -> Items:
    """One text, or a list of them, as a list."""
    return node if isinstance(node, Items) else Items([node])


def _plain(node: Text | Items) -> Any:
    return [str(item) for item in node] if isinstance(node, Items) else str(node)


def _example(node: Text | Fields) -> Example:
    if isinstance(node, Fields):
        column, type_name = _typed(node["column"])
        return Example(
            column,
            type_name,
            str(node.get("table", "")),
            tuple(_typed(each) for each in node.get("with", ())),
            str(node.get("comment", "")),
            tuple(map(str, _items(node.get("content", Items())))),
            node.get("partition_key") == "true",
        )
    name, type_name = _typed(node)
    table, _, column = name.rpartition(".")
    return Example(column, type_name, table)


def _typed(text: str) -> tuple[str, str | None]:
    name, _, type_name = text.partition(":")
    return name, type_name or None
