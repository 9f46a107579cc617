"""Where the project's files are: the command works on the folder with what it builds and deploys."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def state_folder(name: int | str) -> Path:
    """Where what belongs to the local AWS at a port, or to something else by name, is kept.

    TAGMESH_STATE names another folder than `.local/` of the project.
    """
    return Path(os.environ.get("TAGMESH_STATE") or ROOT / ".local").resolve() / str(name)
