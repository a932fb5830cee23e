"""A running node's configuration read again by SIGHUP: peers that come, change and go with XCOPYs under way, limits, a file that is
not good; --check; and what the logs of both nodes tell of one task."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, free_port
from relay import Relay

WAIT_SECONDS = 60
HELD_AT = 1 << 20
ROWS = 20000


def wait_for(what, *looked):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := what()):
        assert time.monotonic() < deadline, [look() for look in looked] or "it did not come"
        time.sleep(0.02)
    return found


def hup(region):
    """Sends SIGHUP and waits until it has been acted on; what the log says since."""
    before = len(region.log)
    os.kill(region.pid, signal.SIGHUP)
    wait_for(lambda: re.search(r"event(=|\":\")\"?(reloaded|not reloaded)", region.log[before:]), lambda: region.log[before:])
    return region.log[before:]


def edit(region, pattern, text, flags=re.S):
    changed, count = re.subn(pattern, lambda _: text, region.config.read_text(), flags=flags)
    assert count == 1, (pattern, count)
    region.config.write_text(changed)


PEER = r'peer "[^"]*" \{.*?\n\}\n'


def peer_of(region):
    return re.search(PEER, region.config.read_text(), re.S)[0]


def filled(region, rows=ROWS):
    """A snapshot s of a table whose column files are some 16 MB together: more than is on its way at once."""
    region.sql("CREATE TABLE t (a BIGINT, b STRING);")
    path = region.home / "t.csv"
    with open(path, "w") as out:
        for i in range(rows):
            out.write(f"{i},{os.urandom(800).hex()}\n")
    region.upload(path, "t")
    region.sql("CREATE SNAPSHOT TABLE s CLONE t;")


def state_of(region, task):
    return next(row for row in region.sql("SHOW TASKS;") if row["task_id"] == task)


def test_a_peer_that_was_added_is_copied_from_at_once(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    known = peer_of(destination)
    edit(destination, PEER, "")
    told = hup(destination)
    assert f'event="a peer was removed" region={SOURCE}' in told and "changed=peer" in told
    assert destination.strait("peers", "--format", "json").strip() == ""
    assert destination.sql("SHOW CHANNELS;") == []
    refused = destination.refused(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");')
    assert f"region {SOURCE} is not known: no peers are configured here" in refused
    destination.config.write_text(destination.config.read_text() + known)
    told = hup(destination)
    assert f'event="a peer was added" region={SOURCE}' in told
    assert SOURCE in destination.strait("peers", "--format", "json")
    assert [row["source_region"] for row in destination.sql("SHOW CHANNELS;")] == [SOURCE]
    destination.xcopy("s")
    assert destination.sql("SELECT a FROM s;") == [{"a": 1}]


def test_a_peer_removed_in_mid_xcopy_makes_it_wait_and_back_again_go_on(pair):
    source, destination = pair
    filled(source)
    known = peer_of(destination)
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        copying = subprocess.Popen([*destination.client, "sql", "--quiet", "-e", f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s '
                                    f'OPTIONS(src_region="{SOURCE}");'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            relay.wait_until_held()
            edit(destination, PEER, "")
            hup(destination)
            task = destination.sql("SHOW TASKS;")[0]["task_id"]
            wait_for(lambda: f"region {SOURCE} is not configured as a peer" in state_of(destination, task)["phase"],
                     lambda: state_of(destination, task))
            assert state_of(destination, task)["state"] == "RUNNING"
            relay.go_on()
            destination.config.write_text(destination.config.read_text() + known)
            hup(destination)
            assert copying.wait(WAIT_SECONDS) == 0, copying.stderr.read()
        finally:
            copying.kill()
            copying.wait()
            copying.stderr.close()
    assert re.search(f'event="task waits" task={task} ', destination.log)
    assert re.search(f'event="task goes on" task={task} ', destination.log)
    assert destination.one("SELECT COUNT(*) AS n FROM s;")["n"] == ROWS


def test_a_peer_removed_at_the_source_loses_its_lease_at_once_and_its_task_says_why(pair):
    source, destination = pair
    filled(source)
    with Relay(source) as relay:
        relay.hold_after(HELD_AT)
        copying = subprocess.Popen([*destination.client, "sql", "--quiet", "-e", f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s '
                                    f'OPTIONS(src_region="{SOURCE}");'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            relay.wait_until_held()
            known = peer_of(source)
            edit(source, PEER, "")
            hup(source)
            task = destination.sql("SHOW TASKS;")[0]["task_id"]
            ended = wait_for(lambda: re.search(rf'event="lease ended" task={task} .*', source.log), lambda: source.log)
            assert 'why="it is not allowed any more"' in ended[0]
            relay.go_on()
            failed = wait_for(lambda: (row := state_of(destination, task))["state"] == "FAILED" and row,
                              lambda: state_of(destination, task))
            assert SOURCE in failed["error"] and "does not know ours" in failed["error"] and "speaks no protocol of 1 to " in failed["error"]
            assert copying.wait(WAIT_SECONDS) == 1
        finally:
            copying.kill()
            copying.wait()
        source.config.write_text(source.config.read_text() + known)
        hup(source)
        destination.xcopy("s")
    assert destination.one("SELECT COUNT(*) AS n FROM s;")["n"] == ROWS


def test_a_source_that_moved_is_found_at_its_new_address(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    destination.xcopy("s", to="before")  # connected
    port = free_port()
    source.move_peers(port)
    edit(destination, r'addresses = \{[^}]*\}', f'addresses = {{"127.0.0.1:{port}"}}')
    assert f'event="a peer was changed" region={SOURCE} addresses=127.0.0.1:{port}' in hup(destination)
    destination.xcopy("s")
    assert f"127.0.0.1:{port}" in destination.strait("peers")


def test_limits_hold_at_once_and_a_bad_file_changes_none(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2), (3);")
    good = source.config.read_text()
    source.config.write_text("select_rows = 2\nlog_level = debug\n" + good)
    assert "changed=select_rows,log_level" in hup(source)
    assert "2" in source.refused("SELECT a FROM t;")
    assert len(source.sql("SELECT a FROM t LIMIT 2;")) == 2
    source.config.write_text("select_rows = 0\nselekt_rows = 1\n" + good)
    told = hup(source)
    assert "level=warning" in told and "not reloaded" in told and f"{source.config}:2: no such option 'selekt_rows'" in told
    source.refused("SELECT a FROM t;")
    checked = subprocess.run([str(BIN / "straitd"), "--check", "-c", str(source.config)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 1 and f" {source.config}:2: " in checked.stderr
    said = source.strait("scrub")
    assert "was changed since it was taken up" in said
    source.config.write_text("workers = 3\nregion2 = 1\n".replace("region2 = 1\n", "") + good)
    told = hup(source)
    assert 'event="settings wait for a restart" settings=workers' in told
    assert len(source.sql("SELECT a FROM t;")) == 3
    assert "was changed since" not in source.strait("scrub")
    checked = subprocess.run([str(BIN / "straitd"), "--check", "-c", str(source.config)], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0 and "is in use: by this node, if it runs" in checked.stderr, checked.stderr
    assert re.search(rf"^straitd: note: {source.config}:\d+: listen_", checked.stderr, re.M), checked.stderr
    assert checked.stderr.splitlines()[-1] == f"straitd: {source.config} is good"


@contextlib.contextmanager
def starting(region):
    """(the node, while it reads a long configuration; what gives its log)"""
    said = region.home / "starting.log"
    with open(said, "wb") as log:
        node = subprocess.Popen([str(BIN / "straitd"), "-c", str(region.config)], stderr=log)

    def reads():
        with contextlib.suppress(OSError):
            return any(os.readlink(fd.path) == str(region.config.resolve()) for fd in os.scandir(f"/proc/{node.pid}/fd"))

    try:
        wait_for(lambda: reads() or node.poll() is not None or "event=started" in said.read_text(), said.read_text)
        yield node, said.read_text
    finally:
        node.kill()
        node.wait()


def test_a_signal_before_the_node_runs_is_not_lost(cluster):
    (region,) = cluster.up(SOURCE)
    region.cluster.dev("stop-one", region.name)
    good = region.config.read_text()
    region.config.write_text("# a long file, so that it is met while it is read\n" * 160000 + good)
    with starting(region) as (node, log):
        node.send_signal(signal.SIGHUP)
        wait_for(lambda: node.poll() is not None or "event=reloaded" in log(), log)
        assert node.poll() is None, log()
        node.terminate()
        assert node.wait(WAIT_SECONDS) == 0
        assert "event=stopped" in log()
    for number in (signal.SIGTERM, signal.SIGINT):
        with starting(region) as (node, log):
            node.send_signal(number)
            assert node.wait(WAIT_SECONDS) == 0, log()
            # on a busy machine the signal may find a node that runs already
            assert re.search(rf'event=("ended during its start"|stopped) signal={number.value}\b', log()), log()
    region.config.write_text(good)
    cluster.start(region.name)


def test_statements_and_copies_go_on_while_it_is_reloaded_again_and_again(pair):
    source, destination = pair
    filled(source, rows=2000)
    texts = [destination.config.read_text()]
    texts.append("select_memory = 64MiB\nlog_level = debug\nscrub_rate = 0\ndisk_reserve = 1MiB\n" +
                 texts[0].replace("127.0.0.1:", "localhost:").replace('listen_peers = {"localhost:', 'listen_peers = {"127.0.0.1:')
                 .replace('listen_operators = {"localhost:', 'listen_operators = {"127.0.0.1:'))
    for i in range(6):
        copying = subprocess.Popen([*destination.client, "sql", "--quiet", "-e", f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s{i} '
                                    f'OPTIONS(src_region="{SOURCE}");'], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        destination.config.write_text(texts[(i + 1) % 2])
        assert "a peer was changed" in hup(destination)
        assert copying.wait(WAIT_SECONDS) == 0, copying.stderr.read()
        copying.stderr.close()
        destination.sql("SHOW CHANNELS; SHOW TASKS;")
    for i in range(6):
        assert destination.one(f"SELECT COUNT(*) AS n FROM s{i};")["n"] == 2000


# ---- the logs of both ----

LOGFMT = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]*)(?: |$)')


def logfmt_read(line):
    """A line as a logfmt reader takes it: pairs and nothing else."""
    fields, at = {}, 0
    while at < len(line):
        found = LOGFMT.match(line, at)
        assert found, line[at:]
        fields[found[1]] = json.loads(found[2]) if found[2].startswith('"') else found[2]
        at = found.end()
    return fields


@pytest.mark.parametrize("form,read", [("logfmt", logfmt_read), ("json", json.loads)])
def test_the_logs_of_both_nodes_tell_of_a_task_by_one_id(cluster, form, read):
    cluster.extra = [f'log_format = "{form}"', 'log_level = "debug"']
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    destination.sql(f'XCOPY SNAPSHOT demo.s\n  TO SNAPSHOT s -- "quoted" = \\ and \u2028 more\n  OPTIONS(src_region="{SOURCE}");')
    shown = destination.strait("sql", "--quiet", "--format", "json", "-e", "SHOW TASKS;")
    task = json.loads(shown.split("\n")[0])["task_id"]  # sql() would split at U+2028

    def events(region):
        return [event for line in region.log.splitlines() if (event := read(line)).get("task") == task]

    def names(region):
        return [event["event"] for event in events(region)]

    wait_for(lambda: "task ended" in names(destination) and "lease ended" in names(source),
             lambda: names(destination), lambda: names(source))
    assert names(destination)[0] == "task begun" and names(destination)[-1] == "task ended"
    assert "task phase" in names(destination)
    assert [name for name in names(source) if name != "lease renewed"] == ["lease granted", "lease ended"]
    begun, granted, ended = events(destination)[0], events(source)[0], events(source)[-1]
    assert begun["source"] == SOURCE and "\n  TO SNAPSHOT s" in begun["statement"] and "\u2028" in begun["statement"]
    assert granted["destination"] == DESTINATION and granted["kind"] == "copy"
    assert ended["why"] == "its task ended"
    for region in (source, destination):
        for line in region.log.split("\n")[:-1]:
            event = read(line)
            assert event["level"] in ("debug", "info", "warning", "error") and event["event"] and event["time"].endswith("Z")
            if re.match("(task|lease) ", event["event"]):
                assert re.fullmatch("[0-9a-f]{32}|[0-9]{17}[0-9a-z]+", event["task"]), event
