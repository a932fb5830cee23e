"""Runs statements in bulk on a node and one by one on DuckDB, and says where the answers differ."""
import json
import math
import subprocess
from datetime import date, datetime
from decimal import Decimal

TOLERANCE = 1e-9  # of sums and means of doubles
MEAN_TOLERANCE = 1e-6  # absolute: a mean of a DECIMAL has six digits or more behind the point


class Node:
    """Many statements in one client: each is followed by a mark, so that it is known whose rows are whose."""

    def __init__(self, client):
        self.client = client

    def run(self, statements):
        """A list of rows (dicts), or of the text of an error, one for each statement."""
        results, at = [], 0
        while at < len(statements):
            text = "".join(f"{sql};\nSELECT {i} AS strait_mark;\n" for i, sql in enumerate(statements[at:], at))
            done = subprocess.run([*self.client, "sql", "--quiet", "--format", "json", "-f", "-"], input=text,
                                  capture_output=True, text=True, timeout=600)
            rows = []
            for line in done.stdout.splitlines():
                row = json.loads(line)
                if "strait_mark" in row:
                    results.append(rows)
                    rows = []
                    at += 1
                else:
                    rows.append(row)
            if at < len(statements):  # the client stops at the first error
                assert done.returncode != 0, (statements[at], done.stderr)
                results.append(done.stderr.strip())
                at += 1
        return results

    def accepts(self, sql):
        return isinstance(self.run([sql])[0], list)


def settle(kind, value):
    """One form for both sides: numbers as numbers, both zeros as one, times as datetime."""
    if value is None:
        return None
    if kind == "bigint":
        return int(value)
    if kind in ("double", "approximate"):
        number = float(value)
        return 0.0 if number == 0 else number
    if kind == "decimal":
        return Decimal(str(value))
    if kind == "date":
        return value if isinstance(value, date) else date.fromisoformat(value)
    if kind == "datetime":
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return value


def order_key(items):
    """Any order will do that is the same on both sides; what depends on the order of adding counts roughly."""
    def key(row):
        return tuple((value is None, f"{value:.9g}" if isinstance(value, float) and not item.exact else str(value))
                     for item, value in zip(items, row))
    return key


def same_value(a, b, item):
    if isinstance(a, float) and isinstance(b, float):
        if math.isnan(a) or math.isnan(b):
            return math.isnan(a) and math.isnan(b)
        absolute = MEAN_TOLERANCE if item.type == "approximate" else TOLERANCE
        return a == b or (not item.exact and math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=absolute))
    return a == b and type(a) is type(b)


def differs(query, ours, theirs):
    """None, or what is different. ours: dicts of a node; theirs: tuples of DuckDB."""
    kinds = [item.type for item in query.items]
    ours = [tuple(settle(kind, row[f"c{i}"]) for i, kind in enumerate(kinds)) for row in ours]
    theirs = [tuple(settle(kind, value) for kind, value in zip(kinds, row)) for row in theirs]
    if len(ours) != len(theirs):
        return f"{len(ours)} rows, expected {len(theirs)}"
    if not query.order or not all(item.exact for item in query.items):
        ours, theirs = sorted(ours, key=order_key(query.items)), sorted(theirs, key=order_key(query.items))
    for number, (mine, wanted) in enumerate(zip(ours, theirs)):
        for i, item in enumerate(query.items):
            if not same_value(mine[i], wanted[i], item):
                return f"row {number}: {mine}, expected {wanted}"
    return None
