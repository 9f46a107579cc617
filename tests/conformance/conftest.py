"""Fixtures of the conformance suite, and its report.

Every test names the statement it shows with `@pytest.mark.statement("lf-tags.folded")`; statements, with their sources,
stand in `statements/*.yaml`. `--profiles central=NAME,consumer=NAME` runs the same tests against those accounts too,
and prints where the two differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest
from lab import PARTS, Lab, LocalLab, RealLab
from statements import STATEMENTS


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--profiles", default="", help="also run against real accounts: central=PROFILE,consumer=PROFILE,..."
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "statement(id, ...): the documented statements that a test shows")
    config.addinivalue_line("markers", "local_only(reason): cannot be asked of real accounts, and why")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lab" in metafunc.fixturenames:
        targets = ["local", "aws"] if metafunc.config.getoption("--profiles") else ["local"]
        metafunc.parametrize("lab", targets, indirect=True, scope="module")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The accounts that a module's tests share."""
    made = LocalLab() if request.param == "local" else RealLab(_profiles(request.config))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _asked_where_it_can_be(request: pytest.FixtureRequest) -> None:
    reason = request.node.get_closest_marker("local_only")
    callspec = getattr(request.node, "callspec", None)
    if reason and callspec and callspec.params.get("lab") == "aws":
        pytest.skip(f"not asked of real accounts: {reason.args[0]}")


def _profiles(config: pytest.Config) -> dict[str, str]:
    pairs = dict(pair.partition("=")[::2] for pair in config.getoption("--profiles").split(","))
    if unknown := set(pairs) - set(PARTS):
        raise pytest.UsageError(f"--profiles: there is no part {', '.join(sorted(unknown))}; parts are {PARTS}")
    return pairs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "conformance" not in item.path.parts:
            continue
        named = [name for mark in item.iter_markers("statement") for name in mark.args]
        if not named:
            raise pytest.UsageError(f"{item.nodeid} names no statement: @pytest.mark.statement(...)")
        if unknown := [name for name in named if name not in STATEMENTS]:
            raise pytest.UsageError(f"{item.nodeid}: no such statement in tests/conformance/statements: {unknown}")
        item.user_properties.append(("statements", named))


# -- where the two differ ------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each test that goes one way here and another on AWS, with what it shows."""
    if not config.getoption("--profiles"):
        return
    outcomes: dict[str, dict[str, pytest.TestReport]] = defaultdict(dict)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            test, _, target = report.nodeid.partition("[")
            if target.startswith(("local", "aws")):
                target, _, rest = target.rstrip("]").partition("-")
                outcomes[f"{test}[{rest}]" if rest else test][target] = report
    asked = {test: both for test, both in outcomes.items() if len(both) == 2}
    differing = {test: both for test, both in asked.items() if both["local"].outcome != both["aws"].outcome}
    terminalreporter.section("the local AWS beside AWS")
    terminalreporter.line(f"{len(asked)} tests ran on both; {len(differing)} went differently")
    for test, both in sorted(differing.items()):
        failed = both["aws"] if both["aws"].failed else both["local"]
        where = "AWS" if failed is both["aws"] else "the local AWS"
        terminalreporter.line(f"\n{test}: fails on {where}")
        for name in dict(failed.user_properties).get("statements", []):
            terminalreporter.line(f"  {name}: {STATEMENTS[name].says} [{STATEMENTS[name].source}]")
        crash = getattr(failed.longrepr, "reprcrash", None)
        terminalreporter.line(f"  {crash.message if crash else failed.longrepr}")
