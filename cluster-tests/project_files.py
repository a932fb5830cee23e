"""The project's files as text, for what checks them (style.py, completeness.py)."""
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def tracked():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    return [name for name in out.stdout.splitlines() if (ROOT / name).is_file()]


def c_files(files):
    return [name for name in files if name.endswith((".c", ".h"))]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")
