"""The links of the chain that the governance files decide: consumer, subscription, approval, tags. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from tagmesh.access_chain import MISSING, OK, ChainLink
from tagmesh.expressions import matches, readable_columns
from tagmesh.governance import Consumer, Expression, Subscription, Withheld
from tagmesh.observed import Observed, Tagged, Who
from tagmesh.wording import joined, written_expression, written_tags


def of_files(o: Observed, who: Who, tagged: Tagged, column: str) -> list[ChainLink]:
    consumers = [each for each in o.governance.consumers if each.account == who.account]
    named = [(c, s) for c in consumers for s in c.subscriptions if who.is_one_of(s.principals)]
    held = [w for w in o.governance.withheld if w.account == who.account and who.is_one_of(w.subscription.principals)]
    reading = [each for each in named if _reads(each[1])]
    return [
        _consumer_link(o, who, consumers),
        _subscription_link(o, who, consumers, named, held),
        *_approval_link(o, reading, [each for each in held if _reads(each.subscription)], tagged, column),
        _tags_link(o, who, reading, tagged, column),
    ]


def _consumer_link(o: Observed, who: Who, consumers: list[Consumer]) -> ChainLink:
    if consumers:
        names = joined(consumer.name for consumer in consumers)
        seen = f"account {who.account} is the consumer {names} of the governance files"
        return ChainLink("consumer", OK, o.central, seen)
    seen = f"no governance file names account {who.account} as a consumer"
    return ChainLink("consumer", MISSING, o.central, seen, "add a file of it to consumers/ (docs/governance.md)")


def _subscription_link(
    o: Observed, who: Who, consumers: list[Consumer], named: list[tuple[Consumer, Subscription]], held: list[Withheld]
) -> ChainLink:
    all_named = [(c.name, s) for c, s in named] + [(each.consumer, each.subscription) for each in held]
    names = [f"{consumer}/{subscription.name}" for consumer, subscription in all_named if _reads(subscription)]
    if names:
        return ChainLink("subscription", OK, o.central, f"{who.written} is named by {joined(names)}")
    if all_named:
        without = joined(f"{consumer}/{subscription.name}" for consumer, subscription in all_named)
        seen = f"{without} names {who.written} without SELECT"
        return ChainLink("subscription", MISSING, o.central, seen, "add SELECT to its permissions")
    where = f"consumers/{consumers[0].name}.yaml" if consumers else "a consumer's file"
    mend = f"name it in a subscription of {where}"
    alike = get_close_matches(who.written.rpartition("/")[2], [each.name for c in consumers for each in c.principals])
    if alike and who.arn is None:
        mend = f"is {joined(alike, ' or ')} meant? Else {mend}"
    return ChainLink("subscription", MISSING, o.central, f"no subscription names {who.written}", mend)


def _reads(subscription: Subscription) -> bool:
    return "SELECT" in subscription.permissions


def _approval_link(
    o: Observed, reading: list[tuple[Consumer, Subscription]], held: list[Withheld], tagged: Tagged, column: str
) -> Iterator[ChainLink]:
    """What of the files would reach the column, and is not in force."""

    def reaches(subscription: Subscription) -> bool:
        return column in readable_columns(tagged.table, tagged.tags, subscription.table_expression)

    if any(reaches(subscription) for _, subscription in reading):
        return
    for each in held:
        if reaches(each.subscription):
            name = f"{each.consumer}/{each.subscription.name}"
            if each.key:
                needs = joined(f"{k}={v}" for k, v in each.reaches)
                told = f"was {o.denied[each.key]}" if each.key in o.denied else f"waits for approval of {needs}"
                seen = f"{name} reaches it, and {told}"
                mend = f"`tagmesh approve {name}`, by whom the data product's owner trusts with it"
            else:
                seen, mend = (
                    f"{name} reached it, and has expired on {each.subscription.expires}",
                    "set a later `expires`",
                )
            yield ChainLink("approval", MISSING, o.central, seen, mend)
            return


def _tags_link(
    o: Observed, who: Who, reading: list[tuple[Consumer, Subscription]], tagged: Tagged, column: str
) -> ChainLink:
    """Whether a subscription reaches the tags that the column carries, and which rule put the nearest ones there."""
    tags = tagged.tags.effective(column)
    place = f"{tagged.table.database}.{tagged.table.name}.{column}"
    for consumer, subscription in reading:
        if column in readable_columns(tagged.table, tagged.tags, subscription.table_expression):
            own = matches(tags, subscription.table_expression)
            what = (
                written_tags(tags) if own else f"{written_tags(tags)}, but is a partition key, as readable as its table"
            )
            why = _why_tagged(o, tagged, column, [key for key, _ in subscription.table_expression]) if own else ""
            seen = f"{place} has {what}{why}; {consumer.name}/{subscription.name} reaches that"
            return ChainLink("tags", OK, o.central, seen)
    if not reading:
        seen = f"{place} has {written_tags(tags) or 'no LF-Tags'}, and nothing of {who.written} reaches that"
        return ChainLink("tags", MISSING, o.central, seen, "name it in a subscription whose tags reach the column")
    nearest, out = min(
        ((each, _out_of_reach(tags, each[1].table_expression)) for each in reading),
        key=lambda found: (any(key in dict(found[0][1].database_expression) for key in found[1]), len(found[1])),
    )
    missed = written_tags({key: tags.get(key, "nothing") for key in out})
    reached = written_expression((key, values) for key, values in nearest[1].table_expression if key in out)
    seen = f"{place} has {missed}{_why_tagged(o, tagged, column, out)}; "
    seen += f"{nearest[0].name}/{nearest[1].name} reaches only {reached}"
    defaults = {key.name: key.default for key in o.governance.lf_tags}
    if any(tags.get(key) == defaults.get(key) for key in out):
        mend = f"`tagmesh explain {place}` says what would open it"
    else:
        mend = f"if it should be readable: another subscription, or a rule (`tagmesh explain {place}`)"
    return ChainLink("tags", MISSING, o.central, seen, mend)


def _out_of_reach(tags: Mapping[str, str], expression: Expression) -> list[str]:
    return [key for key, values in expression if tags.get(key) not in values]


def _why_tagged(o: Observed, tagged: Tagged, column: str, keys: list[str]) -> str:
    """By which rules, or by what else, a column has its values of some keys."""
    decided = o.decisions.get((tagged.table.database, tagged.table.name))
    decisions = decided.columns.get(column, {}) if decided else {}
    carried, places = tagged.tags.effective(column), {rule.id: rule.place for rule in o.governance.rules}
    said: dict[str, list[str]] = {}
    for key in keys:
        decision = decisions.get(key)
        if decision is None:
            continue
        if decision.value != carried.get(key):
            why = f"it should be {decision.value}, which the next run assigns"
        elif decision.winners:
            rules = [f"{name} ({places[name]})" if places.get(name) else name for name in decision.rules]
            why = f"by {joined(rules)}"
        else:
            what = "the default" if decision.outcome == "default" else f"by {decision.outcome}"
            why = f"{what}, since {decision.because}"
        said.setdefault(why, []).append(key)
    if [*said.values()] == [[*keys]]:
        return f", {next(iter(said))}"
    return f" ({', '.join(f'{joined(of)} {why}' for why, of in said.items())})" if said else ""
