"""What a query may take, and that it ends when told: at the node, not only in the client."""
import os
import signal
import subprocess
import time

import pytest

WAIT_SECONDS = 20  # an end for a broken node, not a measure
WORKERS = 4  # of statements, at the least (docs/THREADS.md)
# About 20 µs a row in one expression; over the rows below this goes on for as long as nobody stops it.
SLOW = f"(s || s || s || s) LIKE '%{'a' * 180}b%'"


@pytest.fixture
def region(cluster, tmp_path):
    """A node with `t`: enough rows for a query to last."""
    cluster.extra = ['select_temp = "64MiB"', "select_time = 1000"]
    region = cluster.up("ap-southeast-1")[0]
    region.sql("CREATE TABLE t (id BIGINT, s STRING);")
    path = tmp_path / "t.csv"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{i},{'a' * 200}\n" for i in range(300_000))
    region.upload(path, "t")
    return region


def counter(region, name):
    out = region.strait("status", "--format", "prometheus")
    return sum(float(line.rsplit(" ", 1)[1]) for line in out.splitlines()
               if line.startswith((f"{name}{{", f"{name} ")))


def wait_for(condition, what):
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def begin(region, text):
    return subprocess.Popen([*region.client, "sql", "--quiet", "--format", "json", "-e", text],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt(client):
    client.send_signal(signal.SIGINT)
    out, _ = client.communicate(timeout=WAIT_SECONDS)
    assert client.returncode != 0 and out == ""


@pytest.mark.parametrize("text", [
    f"SELECT count(*) FROM t WHERE {SLOW};",
    f"SELECT id FROM t ORDER BY {SLOW}, s || id;",  # while it sorts
    f"SELECT {SLOW}, count(*) FROM t GROUP BY {SLOW};",
])
def test_ctrl_c_ends_the_query_at_the_node(region, text):
    client = begin(region, text)
    wait_for(lambda: counter(region, "strait_statements") == 1, "the query does not begin")
    interrupt(client)
    wait_for(lambda: counter(region, "strait_statements") == 0, "the run goes on")
    wait_for(lambda: counter(region, "strait_pinned_versions") == 0, "its version stays pinned")
    wait_for(lambda: counter(region, "strait_select_temp_bytes") == 0, "its temporary files stay")


def test_long_queries_hold_up_nobody(region):
    """All workers but one are in queries: control goes on. With all of them: they can still be ended."""
    busy = [begin(region, f"SELECT count(*) FROM t WHERE {SLOW};") for _ in range(2)]
    wait_for(lambda: counter(region, "strait_statements") == 2, "the queries do not begin")
    region.sql("SHOW TABLES; DESC t; SET select_time = 5; WHOAMI;")
    region.strait("tasks")
    assert all(client.poll() is None for client in busy)
    workers = max(WORKERS, 2 * os.cpu_count())
    busy += [begin(region, f"SELECT count(*) FROM t WHERE {SLOW};") for _ in range(workers)]
    wait_for(lambda: counter(region, "strait_jobs_waiting") >= 2, "some worker is free")
    region.strait("status")
    for client in busy:
        client.send_signal(signal.SIGINT)
    for client in busy:
        client.communicate(timeout=WAIT_SECONDS)
    wait_for(lambda: counter(region, "strait_statements") == 0, "a run goes on")


def test_limits_are_named_and_leave_nothing(region):
    assert "1000 ms" in region.refused(f"SET select_time = 1; SELECT count(*) FROM t WHERE {SLOW};")
    assert "select_rows" in region.refused("SET select_rows = 10; SELECT id FROM t;")
    assert len(region.sql("SET select_rows = 10; SELECT id FROM t LIMIT 10;")) == 10
    assert "select_result" in region.refused("SET select_result = 1MiB; SELECT s FROM t;")
    assert "select_memory" in region.refused("SET select_memory = 1MiB; SELECT id FROM t ORDER BY s, id;")
    wide = "SELECT id FROM t ORDER BY s || s, id"  # 120 MB to sort
    assert "select_temp" in region.refused(f"{wide};")
    assert "select_temp" in region.refused(
        f"SET select_temp = 1MiB; SET select_memory = 64MiB; {wide} LIMIT 5 OFFSET 200000;")  # more than half of it
    assert counter(region, "strait_select_temp_bytes") == 0
    assert "at most 1000" in region.refused("SET select_time = 2000;")
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 300_000
