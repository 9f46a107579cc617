"""Size of the built artifact, and what importing each handler costs. Run `sam build` first (make bench does)."""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = 7
TIMED = "import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"


def zipped_bytes(folder: Path) -> int:
    """What the folder weighs as the zip that goes to Lambda; byte code, which the build does not ship, left out."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as written:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                written.write(file, file.relative_to(folder))
    return len(archive.getvalue())


def import_milliseconds(folder: Path, module: str) -> list[float]:
    """The seconds that importing a module takes, in fresh interpreters that see the artifact and no site-packages."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), "AWS_REGION": "eu-west-1"}
    command = [sys.executable, "-S", "-c", TIMED.format(module=module)]
    times = []
    for _ in range(RUNS + 1):
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        times.append(float(done.stdout))
    return times[1:]  # the first one wrote the byte code


def main() -> None:
    build = ROOT / ".aws-sam" / "build"
    folder = build / "RecordUploadsFunction"
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: run `sam build` first")
    print(f"artifact: {zipped_bytes(folder) / 1e6:.2f} MB zipped")
    print(f"{'import of':<28}{'median ms':>10}{'most ms':>10}")
    for module in ["json", *sorted(path.stem for path in (ROOT / "functions").glob("*.py"))]:
        times = import_milliseconds(folder, module)
        print(f"{module:<28}{statistics.median(times):>10.0f}{max(times):>10.0f}")


if __name__ == "__main__":
    main()
