"""A source that answers wrongly: an error that names it and the reason, bounded memory, an unchanged store; and the same
task or the next one is right once the source is."""
import re
import signal
import subprocess
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, command, free_port
from test_accounts import Principal, proof

TABLE = "CREATE TABLE t (id BIGINT, amount DECIMAL(12,2), region STRING, note STRING) PARTITIONED BY (order_date DATE);"
END_SECONDS = 120
OVER_IDLE_BYTES = 256 << 20
ONE_PAGE, MANY_PAGES = (6, 300), (400, 3)  # days and rows: what makes the root a leaf, and what does not


class Hostile:
    """strait-hostile at the address where the destination looks for the source, which answers at another."""

    def __init__(self, source, destination, mode):
        self.source, self.port = source, source.peers_port
        real = free_port()
        source.move_peers(real)
        self.process = subprocess.Popen(
            [BIN / "strait-hostile", mode, f"127.0.0.1:{self.port}", f"127.0.0.1:{real}", source.home / "node.key",
             destination.home / "node.key"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            finally:
                self.process.kill()
        self.process.stdout.close()

    def replaced_by_the_source(self):
        self.stop()
        assert self.process.returncode == 0
        self.source.move_peers(self.port)


@pytest.fixture
def hostile(pair):
    made = []

    def make(mode):
        made.append(Hostile(*pair, mode))
        return made[0]

    yield make
    for one in made:
        one.stop()


def load_source(source, folder, days, rows):
    path = folder / "sales.csv"
    path.write_text(command(BIN / "strait-sales", "--days", days, "--rows", rows))
    source.sql(TABLE)
    source.upload(path, "t", "-acp=true", "-h=true")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def watched(destination, is_over):
    """The only task's row once is_over(row), and the most memory that the node had until then."""
    deadline = time.monotonic() + END_SECONDS
    most = 0
    while time.monotonic() < deadline:
        most = max(most, destination.anonymous_bytes)
        row = destination.one("SHOW TASKS;")
        if is_over(row):
            return row, most
        time.sleep(0.1)
    pytest.fail(f"{row}\n{destination.log[-3000:]}")


def has_ended(row):
    return row["state"] in ("DONE", "FAILED", "CANCELLED")


def seconds_waited(row):
    found = re.search(r"since (\d+) s", row["phase"])
    return int(found[1]) if found else 0


def page_bytes_received(node):
    text = node.strait("status", "--format", "prometheus")
    return int(re.search(r"^strait_xcopy_page_bytes_received_total(?:\{.*\})? (\d+)", text, re.M)[1])


def same_version(source, destination):
    return destination.snapshot("s")["version"] == source.snapshot("s")["version"]


REASONS = {  # of each mode: what the error says, as regular expressions
    "wrong-file": ["file", "another digest"],
    "short-file": ["file", "bytes instead of"],
    "long-file": ["file", "bytes instead of"],
    "short-body": ["part", "of a reply"],
    "long-body": ["a reply of"],
    "huge-length": ["PeerLengths", "malformed length"],
    "huge-described": ["PeerDescribeReply", "malformed length"],
    "huge-entry": ["page", "malformed length"],
    "huge-rows": ["page", "do not add up"],
    "wrong-counts": ["page", "do not add up"],
    "unsorted-page": ["page", "out of order"],
    "non-canonical": ["page", "malformed number"],
    "wrong-page": ["page", "another digest"],
    "other-attributes": ["partitions and their attributes differ"],
    "unsigned": ["maker signed"],
    "garbage": ["message|a reply of 100 bytes where 0 are reserved"],  # the latter: to another request of that connection
    "empty": ["0 bytes"],
}
CASES = [(mode, ONE_PAGE) for mode in REASONS] + [(mode, MANY_PAGES) for mode in (
    "wrong-counts", "huge-rows", "unsorted-page", "other-attributes")]


@pytest.mark.parametrize("mode, size", CASES, ids=[f"{mode}-{days}" for mode, (days, _) in CASES])
def test_wrong_answers_end_the_task(pair, hostile, tmp_path, mode, size):
    source, destination = pair
    load_source(source, tmp_path, *size)
    idle = destination.anonymous_bytes
    liar = hostile(mode)
    destination.xcopy("s", wait="false")
    row, most = watched(destination, has_ended)
    assert row["state"] == "FAILED", row
    print(row["error"])
    for words in [SOURCE, *REASONS[mode]]:
        assert re.search(words, row["error"]), row
    assert most - idle < OVER_IDLE_BYTES
    assert destination.sql("SHOW SNAPSHOT TABLES;") == [] and destination.sql("SHOW TABLES;") == []
    destination.fsck()
    liar.replaced_by_the_source()
    moved = int(destination.xcopy("s")["files_moved"])
    assert (moved == 0) == (mode == "other-attributes")  # whose files were right, and are held
    assert same_version(source, destination)
    destination.fsck()


OF_PAGES = ["huge-described", "huge-entry", "huge-rows", "wrong-counts", "unsorted-page", "non-canonical", "wrong-page", "unsigned"]


of_pages = pytest.mark.parametrize(
    "mode, size", [(mode, ONE_PAGE) for mode in OF_PAGES] + [("wrong-counts", MANY_PAGES), ("unsorted-page", MANY_PAGES)],
    ids=lambda value: value if isinstance(value, str) else str(value[0]))


@of_pages
def test_wrong_answers_end_an_explain(pair, hostile, tmp_path, mode, size):
    """In the words that end a task, within its three tries."""
    source, destination = pair
    load_source(source, tmp_path, *size)
    idle = destination.anonymous_bytes
    hostile(mode)
    text = destination.refused(f'EXPLAIN XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");')
    for words in [f"peer {SOURCE}: ", *REASONS[mode]]:
        assert words in text, text
    assert destination.anonymous_bytes - idle < OVER_IDLE_BYTES
    assert destination.sql("SHOW TASKS;") == []


@of_pages
def test_wrong_answers_end_a_comparison(pair, hostile, tmp_path, mode, size):
    """In the same words; never a difference that the source does not have."""
    source, destination = pair
    load_source(source, tmp_path, *size)
    source.sql("CREATE TABLE e LIKE t;\nCREATE SNAPSHOT TABLE e0 CLONE e;")
    destination.xcopy("e0")
    idle = destination.anonymous_bytes
    liar = hostile(mode)
    text = f"VERIFY SNAPSHOT e0 AGAINST OPTIONS(region='{SOURCE}', snapshot='s');"
    error = destination.refused(text)
    for words in [f"peer {SOURCE}: ", *REASONS[mode]]:
        assert words in error, error
    assert destination.anonymous_bytes - idle < OVER_IDLE_BYTES
    destination.fsck()
    liar.replaced_by_the_source()
    assert f"the snapshots differ: {size[0]} partitions" in destination.refused(text)


@pytest.mark.parametrize("mode", ["nothing", "closes"])
def test_no_answer_is_waited_for(pair, hostile, tmp_path, mode):
    source, destination = pair
    load_source(source, tmp_path, *ONE_PAGE)
    idle = destination.anonymous_bytes
    silent = hostile(mode)
    destination.xcopy("s", wait="false")
    row, most = watched(destination, lambda row: has_ended(row) or seconds_waited(row) >= 3)
    print(row["phase"])
    assert row["state"] == "RUNNING" and row["phase"].startswith(f"waiting for peer {SOURCE} since "), row
    assert most - idle < OVER_IDLE_BYTES
    assert destination.sql("SHOW SNAPSHOT TABLES;") == []
    silent.replaced_by_the_source()
    row, _ = watched(destination, has_ended)
    assert row["state"] == "DONE", row
    assert same_version(source, destination)
    destination.fsck()


def test_a_page_that_lies_about_a_file_held_before(pair, hostile, tmp_path):
    """Nothing of the file travels, so only its length here can tell."""
    source, destination = pair
    load_source(source, tmp_path, *ONE_PAGE)
    destination.xcopy("s", to="first")
    hostile("wrong-length")
    text = destination.refused(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT demo.second OPTIONS(src_region="{SOURCE}");')
    assert SOURCE in text and "bytes, a page says" in text
    assert [row["snapshot"] for row in destination.sql("SHOW SNAPSHOT TABLES;")] == ["first"]
    destination.fsck()


def test_a_page_that_lies_about_what_is_held_is_not_held(pair, hostile, tmp_path):
    """The rest of its page is proven by what is here; and it is asked for again: nobody finds it below another root."""
    source, destination = pair
    load_source(source, tmp_path, *MANY_PAGES)
    destination.xcopy("s", to="first")
    hostile("wrong-counts")
    received = [page_bytes_received(destination)]
    for _ in range(2):
        text = destination.refused(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT demo.second OPTIONS(src_region="{SOURCE}");')
        assert SOURCE in text and "do not add up" in text
        received.append(page_bytes_received(destination))
    assert received[0] < received[1] < received[2], received
    assert [row["snapshot"] for row in destination.sql("SHOW SNAPSHOT TABLES;")] == ["first"]
    destination.fsck()


def test_the_proxy_itself_does_no_harm(pair, hostile, tmp_path):
    source, destination = pair
    load_source(source, tmp_path, *MANY_PAGES)
    hostile("honest")
    destination.xcopy("s")
    assert same_version(source, destination)


def test_a_manifest_that_names_a_strangers_files_gives_nothing_without_their_bytes(pair, hostile, tmp_path):
    """Root holds every file of it at the destination. Another account's manifest names the same digests, and its source
    sends other bytes: where a digest were a ticket, nothing would be asked for and the copy be there."""
    source, destination = pair
    load_source(source, tmp_path, *ONE_PAGE)
    destination.xcopy("s")
    key = tmp_path / "b.key"
    command(BIN / "strait", "keygen", key)
    for root in pair:
        root.sql(f"CREATE ACCOUNT ALIYUN$b PUBLIC KEY '{proof(root, 'ALIYUN$b', key)}'; CREATE PROJECT bs OWNER ALIYUN$b;")
    here, there = (Principal(root, key) for root in pair)
    here.sql("USE bs;" + TABLE)
    here.upload(tmp_path / "sales.csv", "bs.t", "-acp=true", "-h=true")
    here.sql("CREATE SNAPSHOT TABLE bs.s CLONE bs.t;")
    assert here.sql("SHOW SNAPSHOT TABLES IN bs;")[0]["version"] == source.snapshot("s")["version"]
    liar = hostile("wrong-file")
    refused = there.refused(f'XCOPY SNAPSHOT bs.s TO SNAPSHOT bs.s OPTIONS(src_region="{SOURCE}");')
    assert "another digest" in refused and SOURCE in refused
    assert there.sql("SHOW SNAPSHOT TABLES IN bs;") == []
    liar.replaced_by_the_source()
    moved = there.xcopy("s", to="bs.s", project="bs")
    assert moved["state"] == "DONE" and moved["files_moved"] > 0
    assert "0 faults" in destination.fsck()
