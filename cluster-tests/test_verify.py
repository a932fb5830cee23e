"""VERIFY SNAPSHOT: a snapshot proven restorable, here and against another region's; and the receipts that say where else it is."""
import signal
import subprocess
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command
from test_scrub import ANSWER, DAYS, copied, damage  # noqa: F401 - copied is a fixture


def refused(region, text):
    """(the rows that came, the error behind them) of a statement that fails."""
    with pytest.raises(Failed) as caught:
        region.sql(text)
    assert caught.value.code == 1, caught.value
    return caught.value.stdout, caught.value.stderr


def verified(region, name="s", deep=False):
    """The row of a snapshot that is whole."""
    row = region.one(f"VERIFY SNAPSHOT {name}{' DEEP' if deep else ''};")
    assert (row["what"], row["state"], row["faults"]) == ("snapshot", "whole", 0), row
    return row


def test_a_proof_is_noted_at_each_end_for_itself(copied):  # noqa: F811
    source, destination, answer = copied
    assert destination.snapshot("s")["proven"] is None
    row = verified(destination)
    assert (row["rows"], row["partitions"]) == (answer["n"], DAYS)
    assert row["bytes"] == destination.snapshot("s")["bytes"]
    shown = destination.snapshot("s")
    assert shown["proven"] is not None and shown["proven_deep"] is None
    verified(destination, deep=True)
    shown = destination.snapshot("s")
    assert shown["proven_deep"] is not None
    assert source.snapshot("s")["proven"] is None  # another region's disks are another matter
    destination.cluster.kill(destination.name)
    destination.cluster.start(destination.name)
    assert destination.snapshot("s")["proven_deep"] == shown["proven_deep"]
    assert "ProvenDeep:" in destination.strait("sql", "--quiet", "-e", "DESC s;")


def test_a_flipped_byte_is_named_and_comes_back(copied):  # noqa: F811
    source, destination, answer = copied
    damage(destination, 0.5)
    for deep in ("DEEP", ""):
        rows, error = refused(destination, f"VERIFY SNAPSHOT s {deep};")
        assert "is damaged at" in error and "ODPS-0010095" in error
        assert "order_date=" in rows and "SCRUB SNAPSHOT brings it back" in rows
    assert destination.snapshot("s")["proven"] is None
    verified(source, deep=True)
    assert destination.sql("SCRUB SNAPSHOT s;")[1]["state"] == "repaired"
    verified(destination, deep=True)
    assert destination.one(ANSWER.format("s")) == answer


def test_it_ends_with_its_client_and_reads_what_is_dropped(copied):  # noqa: F811
    _, destination, _ = copied
    words = [*destination.client, "sql", "--format", "json", "-e", "VERIFY SNAPSHOT s DEEP;"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        destination.sql("DROP SNAPSHOT TABLE s;\nCLEANUP;")
        out, error = process.communicate(timeout=120)
    assert '"damaged"' not in out  # whole, or not found: never something in between
    assert process.returncode == 0 or "not found" in error.lower(), error
