"""Style is a test: what ../docs and the folder READMEs promise of the code, checked on the text; what documents have to
name: completeness.py.

usage: style.py [--junit FILE]             the rules below
       style.py --tidy BUILD [--junit FILE] clang-tidy over the files of BUILD/compile_commands.json

A rule is a function from the list of files to the list of complaints; its docstring is its name.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import completeness
from project_files import ROOT, c_files, read, tracked

MAY_INCLUDE = {  # layer: the folders whose headers it may include
    "proto": {"proto"},
    "store": {"store", "proto"},
    "transport": {"transport", "proto"},
    "node": {"node", "store", "transport", "proto"},
}
SOLE_INCLUDER = {  # header pattern: the one production file that may include it, or the few
    r"<nng/": "transport/stream.c",
    r"<rocksdb/": ("store/db_options.h", "store/db_tables.c"),
    r"\"store/db_options\.h\"": ("store/db.c", "store/db_options.c"),
    r"<microhttpd\.h>": "node/metrics_http.c",
    r"<sqlite3\.h>": None,  # one file under node/sql, whichever
}
TOP_LEVEL = {
    "CMakeLists.txt", "CMakePresets.json", "README.md", "ARCHITECTURE.md", "LICENSE",
    "node", "proto", "transport", "store", "cluster-tests", "deploy", "docs",
}
DRAWERS = re.compile(r"(^|/)(util|utils|common|misc|helpers?)\.(c|h|py)$")
TIDY_NODES = 50_000  # the analyser's, on its paths through one function; its own bound, 225,000, takes twice the time


def rule_format(files):
    """clang-format decides layout"""
    names = c_files(files)
    out = subprocess.run(["clang-format", "--dry-run", "--Werror", *names], cwd=ROOT, capture_output=True, text=True)
    return sorted({line.split(":", 1)[0] for line in out.stderr.splitlines() if "error:" in line})


def rule_layers(files):
    """arrows point down only"""
    bad = []
    for name in c_files(files):
        may = MAY_INCLUDE.get(name.split("/")[0])
        for target in re.findall(r'^#include "([^"/]+)/', read(name), re.M) if may else []:
            if target not in may:
                bad.append(f"{name} includes {target}/")
    return bad


def rule_sole_includer(files):
    """one file each includes nng and sqlite3.h, two rocksdb/c.h"""
    bad = []
    for pattern, owner in SOLE_INCLUDER.items():
        users = [n for n in c_files(files) if not n.startswith("cluster-tests/") and not n.endswith("_test.c")
                 and re.search(r"^#include " + pattern, read(n), re.M)]
        owners = owner if isinstance(owner, tuple) else (owner,)
        if len(users) > len(owners) or (owner and not set(users) <= set(owners)):
            bad.append(f"{pattern}: {', '.join(users)}")
    return bad


def rule_generated_names(files):
    """generated protobuf names stay inside proto/"""
    return [n for n in c_files(files) if not n.startswith("proto/") and re.search(r"\.pb-c\.h|protobuf-c", read(n))]


def rule_top_level(files):
    """the top level holds what it should and nothing else"""
    return sorted({n.split("/")[0] for n in files if not n.startswith(".")} - TOP_LEVEL)


def rule_file_length(files):
    """no source file above 1,000 lines"""
    return [n for n in files if n.endswith((".c", ".h", ".py")) and read(n).count("\n") > 1000]


def rule_function_length(files):
    """no function above 70 lines"""
    bad = []
    for name in c_files(files):
        start, head = None, ""
        for number, line in enumerate(read(name).splitlines(), 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start:
                if number - start > 70:
                    bad.append(f"{name}:{start}: {number - start} lines: {head}")
                start = None
            elif re.match(r"[A-Za-z]", line):
                head = line
    return bad


def rule_drawers(files):
    """no drawer named util, common, helpers or misc"""
    return [n for n in files if DRAWERS.search(n)]


def rule_python(files):
    """scripts call Debian's python"""
    return [n for n in files if (ROOT / n).is_file() and os.access(ROOT / n, os.X_OK) and not n.endswith(".c")
            and re.match(rb"#!/usr/bin/env python", (ROOT / n).read_bytes()[:30])]


def rule_unfinished(files):
    """nothing says that it is unfinished"""
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    return [f"{n}:{i}" for n in files if n.endswith((".c", ".h", ".py", ".proto"))
            for i, line in enumerate(read(n).splitlines(), 1) if words.search(line)]


def rule_settings(files):
    """the examples under deploy/ have every setting of their parser, and no other"""
    missing = []
    for example, parser in (("deploy/straitd.conf.example", "node/config.c"),
                            ("deploy/strait.conf.example", "node/client/client_config.c")):
        shown = set(re.findall(r"^[# ]*([a-z_]+) (?:= |\")", read(example), re.M))
        missing += [f"{example}: {name}" for name in
                    sorted(set(re.findall(r'CFG_[A-Z_]+\("([a-z_]+)"', read(parser))) ^ shown)]
    return missing


def run_rules():
    files = tracked()
    rules = [f for names in (globals(), vars(completeness)) for key, f in names.items() if key.startswith("rule_")]
    return [("style", rule.__doc__, rule(files)) for rule in rules]


def run_tidy(build):
    database = json.loads((ROOT / build / "compile_commands.json").read_text())
    names = sorted({os.path.relpath(row["file"], ROOT) for row in database})
    names = [n for n in names if not n.startswith("build/") and not n.endswith(("_test.c", "_fuzz.c"))]
    depth = [] if "STRAIT_LONG" in os.environ else [f"--extra-arg={word}" for word in (
        "-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={TIDY_NODES}")]

    def one(name):
        out = subprocess.run(["clang-tidy", "--quiet", *depth, "-p", build, name], cwd=ROOT, capture_output=True, text=True)
        return ("clang-tidy", name, [l for l in out.stdout.splitlines() if " error: " in l or " warning: " in l])

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(one, names))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--junit")
    parser.add_argument("--tidy")
    options = parser.parse_args()
    rows = run_tidy(options.tidy) if options.tidy else run_rules()
    suite = ET.Element("testsuite", name="style", tests=str(len(rows)))
    for group, name, complaints in rows:
        case = ET.SubElement(suite, "testcase", classname=group, name=name)
        if complaints:
            ET.SubElement(case, "failure", message=f"{len(complaints)} complaints").text = "\n".join(complaints)
            print(f"{group}: {name}:", *complaints[:20], sep="\n    ")
    if options.junit:
        ET.ElementTree(suite).write(options.junit)
    return any(complaints for _, _, complaints in rows)


sys.exit(main())
