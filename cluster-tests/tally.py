"""Adds up JUnit files and prints the closing line. A stage that broke outside of its tests counts as one failure.

usage: tally.py FOLDER [BROKEN_STAGE...]
"""
import glob
import sys
import xml.etree.ElementTree as ET


def cases(path):
    """Yields (name, state, text): state is passed, failed or skipped."""
    for case in ET.parse(path).getroot().iter("testcase"):
        name = case.get("name")
        group = case.get("classname") or ""
        if group and group != name:
            name = f"{group}.{name}"
        for state, tags in (("failed", ("failure", "error")), ("skipped", ("skipped",))):
            found = next((child for tag in tags for child in case.findall(tag)), None)
            if found is not None:
                yield name, state, (found.get("message") or found.text or "").strip()
                break
        else:
            yield name, "passed", ""


def main():
    folder, broken = sys.argv[1], sys.argv[2:]
    passed, failed, skipped = 0, [], []
    for path in sorted(glob.glob(f"{folder}/*.xml")):
        for name, state, text in cases(path):
            if state == "passed":
                passed += 1
            else:
                (failed if state == "failed" else skipped).append((name, text))
    for name, text in skipped:
        print(f"skipped: {name}: {text.splitlines()[0] if text else 'no reason given'}")
    for name, _ in failed:
        print(f"failed: {name}")
    if broken and not failed:
        failed = [(name, "") for name in broken]
        for name in broken:
            print(f"failed: stage {name}")
    tail = f", {len(skipped)} skipped" if skipped else ""
    print(f"{passed} passed, {len(failed)} failed{tail}")
    return 1 if failed or not passed else 0


sys.exit(main())
