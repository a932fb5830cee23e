"""An image with the programs of an earlier commit, which had none of its own: today's, with those over its own. No assertion lives here."""
import os
import shutil

import pytest

from compose import NAME, absent, docker, image
from old_programs import old_bin


def old_image(folder):
    """Its name; skips the test where the history has no such commit. `folder`: for the programs."""
    reason = absent()
    if reason:
        pytest.skip(reason)
    programs = old_bin()
    for name in ("straitd", "strait"):
        shutil.copy2(programs / name, folder / name)
    (folder / "Dockerfile").write_text(f"FROM {image()}\nCOPY straitd strait /usr/bin/\n")
    docker("build", "--quiet", "--label", f"strait.test={NAME}", "-t", f"{NAME}-old", folder,
           env={**os.environ, "DOCKER_BUILDKIT": "0"})
    return f"{NAME}-old"
