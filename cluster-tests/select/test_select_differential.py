"""Thousands of random SELECTs on a node and on DuckDB, over the same rows.

STRAIT_SEED says which; STRAIT_SELECT_QUERIES how many (default: what fits into the budget of cluster-tests/run).
"""
import os
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import rows as rows_  # noqa: E402
from differ import Node, differs  # noqa: E402
from grammar import PROBES, TABLE, Grammar  # noqa: E402

QUERIES = int(os.environ.get("STRAIT_SELECT_QUERIES", 1500))
CHUNK = 250
DIFFERENCES_MAX = 8  # shown

# Errors that a query may give here and there alike: a sum or a product leaves its type, a text is no number.
OVERFLOWS = ("does not fit", "overflow", "out of range")


def oracle(tables):
    duckdb = pytest.importorskip("duckdb", reason="the oracle: pip install duckdb")
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    for name, path in tables.items():
        columns = ", ".join(f"'{column}': '{types[1]}'" for column, types in TABLE.items())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_csv('{path}', header = true, delim = ',', "
                           f"quote = '\"', escape = '\"', nullstr = '{rows_.NULL_MARK}', columns = {{{columns}}})")
    return connection


@pytest.fixture
def tables(rng, cluster, tmp_path):
    """(node, oracle, samples): `t` in partitions and many row groups, `r` small, on both sides."""
    region = cluster.up("ap-southeast-1")[0]
    names, types = list(TABLE), [types[0] for types in TABLE.values()]
    partitions = [[("p1", 1)], [("p2", 2)], [("p1", 1), ("p3", -7)]]
    loads = {"t": rows_.table(rng, names, 7, rows_.GROUP_ROWS, partitions), "r": rows_.table(rng, names, 2, 60, partitions)}
    paths, samples = {}, {name: [] for name in names}
    for name, parts in loads.items():
        columns = ", ".join(f"{column} {kind}" for column, kind in list(zip(names, types))[:-2])
        region.sql(f"CREATE TABLE {name} ({columns}) PARTITIONED BY (p STRING, n INT);")
        for i, part in enumerate(parts):
            path = tmp_path / f"{name}{i}.csv"
            rows_.write(path, names, types, part)
            region.upload(path, name, "-acp=true", "-h=true", f"-ni={rows_.NULL_MARK}")
        everything = [row for part in parts for row in part]
        paths[name] = tmp_path / f"{name}.csv"
        rows_.write(paths[name], names, types, everything)
        for row in rng.sample(everything, 60):
            for column, value in zip(names, row):
                samples[column].append(value)
    return Node(region.client), oracle(paths), samples


def check(node, connection, queries):
    """(query, what differs) of those that do."""
    found = []
    answers = node.run([query.text(True) for query in queries])
    for query, ours in zip(queries, answers):
        wrong = compare(connection, query, ours)
        if wrong is not None:
            found.append((query, wrong))
    return found


def compare(connection, query, ours):
    try:
        theirs = connection.execute(query.text(False)).fetchall()
    except Exception as error:  # the oracle's own exceptions have no common class across its versions
        theirs = f"{type(error).__name__}: {error}"
    if isinstance(ours, str) or isinstance(theirs, str):
        both = isinstance(ours, str) and isinstance(theirs, str)
        if both and any(word in ours for word in OVERFLOWS):
            return None
        return f"{ours if isinstance(ours, str) else 'rows'}, expected {theirs if isinstance(theirs, str) else 'rows'}"
    return differs(query, ours, theirs)


def minimise(node, connection, query):
    """Takes pieces away as long as the answers differ."""
    wrong = None
    progress = True
    while progress:
        progress = False
        for smaller in query.smaller():
            found = check(node, connection, [smaller])
            if found:
                query, wrong, progress = smaller, found[0][1], True
                break
    return query, wrong


def test_random_queries_answer_as_the_oracle_does(tables, rng):
    node, connection, samples = tables
    features = [name for name, probe in PROBES.items() if node.accepts(probe.format(t="t", r="r"))]
    grammar = Grammar(random.Random(rng.random()), samples, features)
    print("features:", ", ".join(features))
    found, asked = [], 0
    while asked < QUERIES and len(found) < DIFFERENCES_MAX:
        queries = []
        for _ in range(min(CHUNK, QUERIES - asked)):
            queries.append(grammar.query())
            grammar.ran()
        found += check(node, connection, queries)
        asked += len(queries)
    for query, wrong in found[:DIFFERENCES_MAX]:
        smaller, still = minimise(node, connection, query)
        print(f"\n{still or wrong}\n  ours:   {smaller.text(True)}\n  theirs: {smaller.text(False)}")
    assert not found, f"{len(found)} of {asked} queries differ"
    never = [name for name, times in grammar.met.items() if times == 0]
    assert asked < 1000 or not never, f"switched on and never asked: {never}"
