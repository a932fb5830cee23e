"""The first command of README, run as it stands there."""
import re
import subprocess
from pathlib import Path

from conftest import ROOT, command


def test_quickstart_reports_and_leaves_nothing():
    out = command(ROOT / "deploy/quickstart", timeout=600)
    assert re.search(r"first XCOPY +60 of 60", out), out
    assert re.search(r"days changed +3 of 60", out), out
    assert re.search(r"once more +0 of 60 +0 ", out), out
    assert "equal" in out and "restored table" in out
    assert re.fullmatch(r"The two regions are gone again: deploy/quickstart --keep .* README\.md goes on from here\.", out.rstrip("\n").split("\n")[-1])
    folder = re.search(r"two regions under (\S+)", out).group(1)
    assert not Path(folder).exists()
    assert subprocess.run(["pgrep", "-f", folder], capture_output=True, text=True).stdout == ""
