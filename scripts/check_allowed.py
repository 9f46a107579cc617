"""Names each entry of the allow-list that no successful call in the tests used: such an entry does not belong there.

    LOCAL_AWS_SEEN=.local/seen python -m pytest ...     # any number of runs; each process adds its file
    python scripts/check_allowed.py .local/seen         # exit code 1 if something was never used

A parameter or property counts as used if it, or anything below it, was given in a call that succeeded.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from local_aws import allowed
from local_aws.allowed import entries


def never_used(folder: Path) -> list[str]:
    """`<file>: <operation or resource type> [<item>]` of each entry that the records in `folder` do not have."""
    used = {line for path in folder.glob("*.txt") for line in path.read_text("utf-8").splitlines()}
    if not used:
        raise SystemExit(f"nothing was recorded in {folder}: run the tests with LOCAL_AWS_SEEN={folder}")
    found = []
    for service in sorted(allowed.services()):
        for section in entries.SECTIONS:
            for name, entry in entries.of(service, section).items():
                if f"{service} {section} {name}" not in used:
                    found.append(f"{service}: {name}")
                    continue
                missing = [item for item in entry.items if f"{service} {section} {name} {item}" not in used]
                found += [f"{service}: {name} {item}" for item in missing]
    return found


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    found = never_used(Path(sys.argv[1]))
    for entry in found:
        print(entry)
    print(f"{len(found)} entries of the allow-list were never used")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
