"""The programs of an earlier commit, for tests of upgrades: built once by cluster-tests/old-programs, run under any node of a
cluster. No assertion lives here."""
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, ROOT, Region

BUILD_SECONDS = 1800


def old_bin():
    """The folder of the old programs; skips the test where the history has no such commit."""
    done = subprocess.run([ROOT / "cluster-tests/old-programs"], capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip().splitlines()[-1])


def start(region, programs=BIN):
    """The node under these programs; returns when it answers."""
    region.cluster.python(f"dev.BIN = dev.Path({str(programs)!r}); c.start({region.name!r}); c.wait([{region.name!r}])")


def replace(region, programs=BIN):
    """Stops the node as a service manager does, and starts it under other programs."""
    region.cluster.dev("stop-one", region.name)
    start(region, programs)


def client(region, programs):
    """The same region asked by another client."""
    other = Region(region.cluster, region.name)
    other.client = [str(programs / "strait"), *region.client[1:]]
    return other
