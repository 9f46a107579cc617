"""AWS's runtime client, in a process whose clock is that of the local AWS: `python clocked.py CLOCK PACKAGES HANDLER`.

CLOCK is a file with the seconds by which that clock is ahead, there once it was moved; PACKAGES a folder with
time_machine, which the code of functions must not see. Runs in a function's process: imports nothing of local_aws.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from awslambdaric import __main__ as runtime_client
from awslambdaric import bootstrap


class Offset:
    """How far this process's clock was moved."""

    def __init__(self, file: Path, packages: str) -> None:
        self.file = file
        self.packages = packages
        self.seconds = 0.0
        self.traveller: Any = None

    def follow(self) -> None:
        """Move this process's clock as far as the file says."""
        try:
            seconds = float(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return
        ahead = timedelta(seconds=seconds - self.seconds)
        if self.traveller is None:
            self.traveller = self._start(ahead)
        elif ahead:
            self.traveller.shift(ahead)
        self.seconds = seconds

    def _start(self, ahead: timedelta) -> Any:
        sys.path.append(self.packages)
        try:
            import time_machine
        finally:
            sys.path.remove(self.packages)
        from datetime import UTC, datetime

        return time_machine.travel(datetime.now(UTC) + ahead, tick=True).start()


def main() -> None:
    _, file, packages, handler = sys.argv
    offset = Offset(Path(file), packages)
    handle = bootstrap.handle_event_request

    def handle_on_time(*arguments: Any, **named: Any) -> Any:
        offset.follow()
        return handle(*arguments, **named)

    bootstrap.handle_event_request = handle_on_time
    offset.follow()
    runtime_client.main(["awslambdaric", handler])


if __name__ == "__main__":
    main()
