"""The link emulator keeps its word, and an XCOPY over a bad link arrives right: delay, loss, reordering, a cut in
mid-transfer."""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from conftest import ROOT, SOURCE
from emulator import Link, linked, make_link  # noqa: F401 (fixtures)

ARRIVE_SECONDS = 20
SO_RCVBUFFORCE = 33  # of <asm/socket.h>; the module has no name for it
PACKETS = 4000


def arrived(receiver, until=None):
    """The numbers of the packets that come, until `until` has come or, without it, nothing comes for a second."""
    numbers = []
    while select.select([receiver], [], [], ARRIVE_SECONDS if until is not None else 1)[0]:
        numbers.append(int(receiver.recv(2000)))
        if numbers[-1] == until:
            return numbers
    assert until is None, f"packet {until} did not come; {len(numbers)} others did"
    return numbers


@pytest.fixture
def pipe(make_link):
    """pipe(*orders) -> (link, send(number), receiving socket): UDP from A to B."""
    sockets = []

    def make(*orders, **options):
        link = make_link(*orders, **options)
        sender, receiver = (link.socket(end, socket.SOCK_DGRAM) for end in "ab")
        sockets.extend((sender, receiver))
        receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        receiver.bind((link.address_b, 0))
        sender.connect(receiver.getsockname())
        return link, lambda number, size=0: sender.send(str(number).rjust(size).encode()), receiver

    yield make
    for one in sockets:
        one.close()


def test_what_is_not_lost_arrives_and_losses_are_those_told(pipe):
    link, send, receiver = pipe("loss 10", seed=3)
    for number in range(PACKETS):
        send(number)
    numbers = arrived(receiver)
    ab = link.counters()["ab"]
    assert len(numbers) == PACKETS - ab["lost"] and numbers == sorted(numbers)
    assert 0.07 < ab["lost"] / PACKETS < 0.13, ab
    assert ab["full"] == ab["cut"] == ab["held_back"] == 0


def test_a_packet_takes_at_least_the_delay(pipe):
    link, send, receiver = pipe("delay 80")
    started = time.monotonic()
    send(1)
    arrived(receiver, until=1)
    assert time.monotonic() - started >= 0.08
    assert link.counters()["ab"]["out"] == 1


def test_the_rate_is_not_passed_and_the_queue_has_an_end(pipe):
    """20 Mbit/s and 50 ms of queue: 125,000 bytes wait, what is beyond is dropped."""
    link, send, receiver = pipe("rate 20", "queue 50")
    started = time.monotonic()
    for number in range(PACKETS):
        send(number, size=1000)
    got = arrived(receiver)
    seconds = time.monotonic() - started
    ab = link.counters()["ab"]
    assert ab["full"] > 0 and len(got) == PACKETS - ab["full"] == ab["out"]
    assert 100 <= ab["out"] and ab["out_bytes"] <= 20e6 / 8 * seconds
    assert link.counters()["ba"]["out"] == 0


def test_held_back_packets_are_overtaken(pipe):
    link, send, receiver = pipe("reorder 5 20")
    for number in range(PACKETS):
        send(number)
    numbers = arrived(receiver)
    assert sorted(numbers) == list(range(PACKETS)) and numbers != sorted(numbers)
    assert 0.03 < link.counters()["ab"]["held_back"] / PACKETS < 0.07


def test_nothing_passes_a_cut_and_all_passes_after_it(pipe):
    link, send, receiver = pipe("delay 10")
    link.order("cut ab")
    send(1)
    deadline = time.monotonic() + 20
    while link.counters()["ab"]["cut"] == 0:  # it has come to the cut before that is mended
        assert time.monotonic() < deadline
        time.sleep(0.01)
    link.order("restore")
    send(2)
    assert arrived(receiver, until=2) == [2]
    link.order("cut ba")
    send(3)
    assert arrived(receiver, until=3) == [3]
    assert link.counters()["ab"]["cut"] == 1


def test_a_wrong_order_is_refused_and_changes_nothing(make_link):
    link = make_link("delay 10")
    for text in ("delay", "loss 200", "cut up", "faster"):
        with pytest.raises(RuntimeError, match="expected|wants"):
            link.order(text)
    assert link.counters()["ab"]["in"] == 0


def test_the_link_ends_with_the_process_that_started_it(make_link):
    make_link()  # skips where none can be made
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'cluster-tests')!r})\n" \
           "from emulator import Link\nlink = Link()\nprint(link.process.pid, flush=True)\nimport time\ntime.sleep(600)"
    owner = subprocess.Popen([sys.executable, "-B", "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + ARRIVE_SECONDS
    while os.path.exists(f"/proc/{pid}/ns/net") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{pid}/ns/net")


# ---- XCOPY over it ----

TABLE = "CREATE TABLE t (id BIGINT, text STRING);"
END_SECONDS = 180
CUT_SECONDS = 30
CUT_AT_BYTES = 40 << 20
IN_FLIGHT_BYTES = 32 << 20  # 5 s of 40 Mbit/s are asked ahead (node/task/window.c), and what the kernels hold


def load(source, rng, megabytes):
    """A table whose text cannot be compressed, and its snapshot `s`."""
    path = source.home / "t.csv"
    with open(path, "w", encoding="ascii") as file:
        for row in range(megabytes * 1024):
            file.write(f"{row},{rng.randbytes(512).hex()}\n")
    source.sql(TABLE)
    source.upload(path, "t")
    source.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def start(destination):
    destination.sql(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}", wait=false);')


def task(destination):
    return destination.one("SHOW TASKS;")


def wait_for_task(destination, wanted, what, seconds=END_SECONDS):
    """The task's row once `wanted(row)`."""
    deadline = time.monotonic() + seconds
    row = None
    while time.monotonic() < deadline:
        row = task(destination)
        if wanted(row):
            return row
        assert row["state"] in ("QUEUED", "RUNNING"), row
        time.sleep(0.1)
    pytest.fail(f"not seen: {what}; last: {row}\n{destination.log[-3000:]}")


def arrived_right(source, destination):
    assert destination.snapshot("s")["version"] == source.snapshot("s")["version"]
    again = destination.xcopy("s")
    assert (int(again["files_moved"]), int(again["bytes_moved"])) == (0, 0), again
    for region in (source, destination):
        region.fsck()


def test_xcopy_arrives_right_through_delay_loss_and_reordering(linked, rng):
    link, source, destination = linked("rate 200", "delay 20", "loss 0.5", "reorder 1 3", seed=11)
    load(source, rng, 24)
    row = destination.xcopy("s")
    assert row["state"] == "DONE" and int(row["bytes_moved"]) >= 12 << 20, row
    arrived_right(source, destination)
    ab, ba = (link.counters()[way] for way in ("ab", "ba"))
    assert ab["lost"] > 0 and ab["held_back"] > 0 and ba["lost"] > 0, (ab, ba)


def test_a_cut_of_thirty_seconds_in_mid_transfer_is_sat_out(linked, rng):
    """Nobody helps: the task says whom it waits for and since when, and goes on by itself; what it had is not pulled
    again but for what was in flight."""
    link, source, destination = linked("rate 40", "delay 10", seed=12)
    load(source, rng, 120)
    start(destination)
    before = wait_for_task(destination, lambda row: int(row["bytes_done"]) >= CUT_AT_BYTES, "40 MiB")
    link.order("cut")
    cut_at = time.monotonic()
    waiting = wait_for_task(destination, lambda row: "waiting for peer" in row["phase"], "a task that waits", 90)
    assert re.search(rf"waiting for peer {SOURCE} since \d+ s: ", waiting["phase"]), waiting
    assert waiting["state"] == "RUNNING" and int(waiting["bytes_done"]) < int(waiting["bytes_total"])
    while time.monotonic() - cut_at < CUT_SECONDS:  # real time is what the test is about
        time.sleep(0.1)
    link.order("restore")
    end = wait_for_task(destination, lambda row: row["state"] == "DONE", "the end")
    total = int(end["bytes_done"])
    assert total > int(before["bytes_done"])
    assert destination.received("file") == total  # nothing that had arrived came twice
    ab = link.counters()["ab"]
    assert ab["cut"] > 0 and ab["in_bytes"] - 1.1 * total <= IN_FLIGHT_BYTES, (ab, total)
    arrived_right(source, destination)
