"""LF-Tags as mesh.yaml declares them, and what the files of a governance say of them."""

from __future__ import annotations

from tagmesh.governance import LFTagKey
from tagmesh.governance_yaml import Fields, Items, Report, Text, did_you_mean, shown

#: Lake Formation developer guide, "Lake Formation tag-based access control considerations".
MAX_KEYS = 50
MAX_VALUES = 1000


class LFTags:
    """The LF-Tags read so far: name, lower-case -> key."""

    def __init__(self, report: Report) -> None:
        self.keys: dict[str, LFTagKey] = {}
        self._report = report

    def read(self, lf_tags: Fields) -> None:
        """Takes the keys that mesh.yaml declares, but for those that are wrong, which are reported."""
        if len(lf_tags) > MAX_KEYS:
            self._report(lf_tags.at, f"{len(lf_tags)} LF-Tags; a resource carries at most {MAX_KEYS}", "use fewer")
        for name, fields in lf_tags.items():
            if name.lower() in self.keys:
                mend = "Lake Formation stores names lower-case: rename one"
                self._report(name.at, f"the LF-Tag `{name}` is declared twice", mend)
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
                self._report(value.at, f"`{value}` stands among the values of {name} twice", mend)
            values.append(value.lower())
            if isinstance(entry, Fields) and "approval" in entry:
                approval.append(value.lower())
                if value.lower() == default.lower():
                    mend = "remove `approval`: no subscription may name the default"
                    self._report(entry["approval"].at, f"`{value}` is the default of {name}: nobody reads it", mend)
        if not 2 <= len(values) <= MAX_VALUES:
            self._report(
                fields["values"].at,
                f"{name} has {len(values)} value{'s' if len(values) > 1 else ''}",
                f"give 2 to {MAX_VALUES}: the default, which nobody reads, and another",
            )
        if default.lower() not in values:
            guess = did_you_mean(default, values)
            self._report(default.at, f"the default `{default}` is no value of {name}{guess}", "add it to the values")
        elif ordered and default.lower() != values[-1]:
            self._report(
                default.at,
                f"{name} is ordered, and its default `{default}` is not its last and strictest value",
                f"write `{default}` last, or make `{values[-1]}` the default",
            )
        conflict = fields.get("conflict")
        if conflict is not None and conflict.lower() not in values:
            guess = did_you_mean(conflict, values)
            self._report(conflict.at, f"`{conflict}` is no value of {name}{guess}", "add it to the values")
        if conflict is not None and ordered:
            self._report(conflict.at, f"{name} is ordered, so two raises never conflict", "remove `conflict`")
        return LFTagKey(
            name.lower(), tuple(values), default.lower(), ordered, conflict and conflict.lower(), tuple(approval)
        )

    def check(self, key: Text, value: Text) -> bool:
        """Whether key and value are declared; reports it if not."""
        known = self.keys.get(key.lower())
        if known is None:
            mend = f"declare it in mesh.yaml, or use one of {', '.join(self.keys)}"
            self._report(key.at, f"there is no LF-Tag `{key}`{did_you_mean(key, self.keys)}", mend)
        elif value.lower() not in known.values:
            mend = f"declare it in mesh.yaml, or use one of {shown(', '.join(known.values))}"
            guess = did_you_mean(value, known.values)
            self._report(value.at, f"`{value}` is no value of the LF-Tag {known.name}{guess}", mend)
        else:
            return True
        return False

    def pairs(self, tags: Fields) -> tuple[tuple[str, str], ...]:
        """The (key, value) pairs of a mapping, in the order of mesh.yaml, without those not declared."""
        pairs: dict[str, str] = {}
        for key, value in tags.items():
            if key.lower() in pairs:
                self._report(key.at, f"the LF-Tag `{key}` is given twice", "keep one of the two")
            if self.check(key, value):
                pairs[key.lower()] = value.lower()
        return tuple((name, pairs[name]) for name in self.keys if name in pairs)


def once(report: Report, seen: dict[str, Text], name: Text, what: str, key: str | None = None) -> None:
    """Reports a name that was there before; names are compared lower-case unless a key is given."""
    first = seen.setdefault(key or name.lower(), name)
    if first is not name:
        report(name.at, f"{what} is already there: {first.at}", "rename one or remove one")


def items(node: Text | Items) -> Items:
    """One text, or a list of them, as a list."""
    return node if isinstance(node, Items) else Items([node])
