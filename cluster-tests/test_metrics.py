"""`strait status --format prometheus` and GET /metrics: the text format to the letter, figures that are right, and a listener that
holds against whoever comes."""
import contextlib
import re
import socket
import threading
import time
import urllib.error
import urllib.request

import pytest

from conftest import BIN, DESTINATION, SOURCE, command, free_port
from test_accounts import Principal
from test_usage import load_source

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{(.*)\}})? (\d+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|$)')
CONNECTIONS, REQUEST_BYTES, CONNECTION_S = 16, 8192, 10  # node/metrics_http.h


def labels_of(text):
    found, at = {}, 0
    while at < len(text or ""):
        label = LABEL.match(text, at)
        assert label, text
        assert label[1] not in found, text
        found[label[1]] = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label[2])
        at = label.end()
    return found


def parse(page):
    """{(name, ((label, value), ...)): value}, by the format's own rules: a family is one block with HELP and TYPE before it, no
    sample comes twice, every line ends."""
    assert page.endswith("\n") and "\n\n" not in page
    samples, seen, family, kind = {}, set(), None, None
    lines = page[:-1].split("\n")
    for number, line in enumerate(lines):
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert re.fullmatch(NAME, family) and family not in seen, line
            assert len(line.split(" ", 3)[3]) > 3 and re.fullmatch(r"(?:[^\\]|\\\\|\\n)*", line), line
            seen.add(family)
            kind = re.fullmatch(rf"# TYPE {family} (counter|gauge)", lines[number + 1])
            assert kind, lines[number + 1]
            assert (kind[1] == "counter") == family.endswith("_total"), line
        elif not line.startswith("# TYPE "):
            sample = SAMPLE.fullmatch(line)
            assert sample and sample[1] == family, line
            key = (family, tuple(sorted(labels_of(sample[2]).items())))
            assert key not in samples, line
            samples[key] = int(sample[3])
    with contextlib.suppress(ImportError):  # a second opinion where it is installed
        from prometheus_client.parser import text_string_to_metric_families
        theirs = [s for f in text_string_to_metric_families(page) for s in f.samples]
        assert {(s.name, tuple(sorted(s.labels.items()))): int(s.value) for s in theirs} == samples
    return samples


def status(region):
    return parse(region.strait("status", "--format", "prometheus"))


def value(samples, name, /, **labels):
    return samples[(name, tuple(sorted(labels.items())))]


def until(region, wanted, read=status):
    """The metrics once they are as wanted: looks at the store go on behind scrapes, one in five seconds."""
    deadline = time.monotonic() + 60
    while True:
        samples = read(region)
        with contextlib.suppress(KeyError):
            if wanted(samples):
                return samples
        assert time.monotonic() < deadline, samples
        time.sleep(0.2)


def listen(region):
    port = free_port()
    region.cluster.dev("stop-one", region.name)
    region.config.write_text(f'listen_metrics = "127.0.0.1:{port}"\n' + region.config.read_text())
    region.cluster.start(region.name)
    return port


def get(port, path="/metrics", method="GET", body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=body)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, dict(answer.headers), answer.read().decode()


def status_of(port, path="/metrics", method="GET", body=None):
    try:
        return get(port, path, method, body)[0]
    except urllib.error.HTTPError as error:
        return error.code


def test_what_was_copied_is_counted_by_peer_and_table(pair, tmp_path):
    source, destination = pair
    load_source(source, tmp_path, 3, 100)
    before = status(destination)
    assert value(before, "strait_tasks_ended_total", peer=SOURCE, state="DONE") == 0
    assert ("strait_xcopy_last_success_age_seconds", (("peer", SOURCE),)) not in before
    time.sleep(1.1)
    source.sql("CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s")
    table = {"project": "demo", "source_region": SOURCE, "source_project": "demo", "source_table": "t"}
    after = until(destination, lambda m: value(m, "strait_replica_lag_seconds", **table) >= 1)
    assert value(after, "strait_tasks_ended_total", peer=SOURCE, state="DONE") == 1
    assert value(after, "strait_tasks_listed", peer=SOURCE, state="DONE") == 1
    assert value(after, "strait_tasks_listed", peer=SOURCE, state="RUNNING") == 0
    assert value(after, "strait_xcopy_last_success_age_seconds", peer=SOURCE) < 120
    moved = int(source.snapshot("s")["bytes"])
    assert value(after, "strait_peer_bytes_total", peer=SOURCE, direction="received") > moved
    assert value(status(source), "strait_peer_bytes_total", peer=DESTINATION, direction="sent") > moved
    assert value(after, "strait_replica_tables", source_region=SOURCE) == 1
    assert value(after, "strait_replica_lag_seconds_max", source_region=SOURCE) == \
        value(after, "strait_replica_lag_seconds", **table)
    assert value(after, "strait_replica_tables_lag_unknown", source_region=SOURCE) == 0
    assert value(after, "strait_replica_told_age_seconds_max", source_region=SOURCE) < 120
    assert value(after, "strait_replica_tables_omitted") == 0 and value(after, "strait_metrics_omitted") == 0
    assert value(after, "strait_channel_limit_bytes_per_second", peer=SOURCE) == 10**10 // 8
    assert value(after, "strait_disk_free_bytes") <= value(after, "strait_disk_total_bytes")
    assert value(after, "strait_disk_reserve_bytes") > 0
    assert value(after, "strait_build_info", version="0.1.0", region=DESTINATION) == 1
    assert abs(time.time() - value(after, "process_start_time_seconds")) < 600
    assert abs(time.time() - value(after, "strait_cleanup_last_ms") / 1000) < 600  # none yet: the start
    assert 10 < value(after, "process_open_fds") < value(after, "process_max_fds")
    destination.xcopy("s2")
    until(destination, lambda m: value(m, "strait_replica_lag_seconds", **table) == 0)
    destination.cluster.dev("stop-one", DESTINATION)
    destination.cluster.start(DESTINATION)  # when the last copy was is known all the same
    again = until(destination, lambda m: value(m, "strait_database_bytes") > 0)  # the end wrote the log into tables
    assert value(again, "strait_xcopy_last_success_age_seconds", peer=SOURCE) < 600
    assert value(again, "strait_tasks_ended_total", peer=SOURCE, state="DONE") == 0


def test_errors_are_counted_by_their_code(pair):
    source, destination = pair
    destination.refused("SELEC 1;")
    destination.refused("SELECT * FROM nowhere;")
    destination.sql("CREATE TABLE big (a BIGINT); INSERT INTO big VALUES (9223372036854775807), (1);")
    destination.refused("SELECT SUM(a) FROM big;")
    destination.refused(f'XCOPY SNAPSHOT demo.nothing TO SNAPSHOT nothing OPTIONS(src_region="{SOURCE}");')
    here, there = status(destination), status(source)
    failed = {dict(labels)["name"]: n for (name, labels), n in here.items() if name == "strait_statement_errors_total"}
    assert failed["ERR_PARSE"] == 1 and failed["ERR_TABLE_NOT_FOUND"] >= 1 and sum(failed.values()) == 4, failed
    assert sum(n for (name, _), n in here.items() if name == "strait_task_errors_total") == 1
    assert value(here, "strait_task_errors_total", code="ODPS-0110062", name="ERR_NOT_FOUND") == 1
    assert value(there, "strait_peer_request_errors_total", code="ODPS-0110062", name="ERR_NOT_FOUND") == 1


def test_schedules_are_counted_by_how_they_ended(cluster):
    (region,) = cluster.up(SOURCE)
    region.sql('CREATE SCHEDULE good CRON "0 1 1 1 *" AS BEGIN SELECT 1; END;'
               'CREATE SCHEDULE bad CRON "0 1 1 1 *" AS BEGIN SELECT * FROM nowhere; END;'
               'CREATE SCHEDULE idle CRON "0 1 1 1 *" AS BEGIN SELECT 1; END; ALTER SCHEDULE idle PAUSE;'
               "RUN SCHEDULE good FOR '2026-01-01 01:00:00'; RUN SCHEDULE bad FOR '2026-01-01 01:00:00';")
    found = until(region, lambda m: value(m, "strait_schedules", last_run="SUCCEEDED") == 1
                  and value(m, "strait_schedules", last_run="FAILED") == 1)
    assert value(found, "strait_schedules", last_run="NONE") == 1 and value(found, "strait_schedules_paused") == 1
    assert value(found, "strait_schedule_last_run_succeeded", project="demo", schedule="good") == 1
    assert value(found, "strait_schedule_last_run_succeeded", project="demo", schedule="bad") == 0
    assert ("strait_schedule_last_run_succeeded", (("project", "demo"), ("schedule", "idle"))) not in found
    assert value(found, "strait_statement_errors_total", code="ODPS-0130131", name="ERR_TABLE_NOT_FOUND") == 1


def test_nobody_s_names_are_on_the_page(pair, tmp_path):
    source, destination = pair
    port = listen(destination)
    load_source(source, tmp_path, 1, 10)
    destination.xcopy("s")
    destination.sql('CREATE SCHEDULE secret_plan CRON "0 1 1 1 *" AS BEGIN SELECT 1; END;'
                    "RUN SCHEDULE secret_plan FOR '2026-01-01 01:00:00';")
    until(destination, lambda m: value(m, "strait_replica_tables", source_region=SOURCE) == 1
          and value(m, "strait_schedules", last_run="SUCCEEDED") == 1)
    code, headers, page = get(port)
    assert code == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = parse(page)
    assert value(samples, "strait_replica_tables", source_region=SOURCE) == 1
    assert {label for _, labels in samples for label, _ in labels} == {
        "version", "region", "peer", "state", "direction", "code", "name", "source_region", "last_run"}
    assert "demo" not in page and "secret_plan" not in page and "ALIYUN" not in page
    ours = status(destination)
    assert {name for name, _ in samples} < {name for name, _ in ours}


def test_an_operator_sees_no_names_of_others(cluster, tmp_path):
    """Sums are of all; names are of what one may see, operator or not. Who is no operator has none: test_strangers.py."""
    (region,) = cluster.up(SOURCE)
    key = tmp_path / "ann.key"
    command(BIN / "strait", "keygen", key)
    line = command(BIN / "strait", "pubkey", "--for", SOURCE, "ALIYUN$ann", key).strip()
    region.sql(f"CREATE ACCOUNT ALIYUN$ann PUBLIC KEY '{line}'; CREATE PROJECT anns OWNER ALIYUN$ann;")
    Principal(region, key).sql('CREATE SCHEDULE anns.hers CRON "0 1 1 1 *" AS BEGIN SELECT 1; END;'
                               "RUN SCHEDULE anns.hers FOR '2026-01-01 01:00:00';")
    until(region, lambda m: value(m, "strait_schedules", last_run="SUCCEEDED") == 1)
    assert "anns" not in region.strait("status", "--format", "prometheus")


def test_other_requests_are_refused(cluster):
    (region,) = cluster.up(SOURCE)
    port = listen(region)
    assert status_of(port) == 200 and status_of(port, "/metrics?x=1") == 200
    assert get(port, method="HEAD")[2] == ""
    for path in ("/", "/metrics/", "/metrics/../metrics", "//metrics", "/status", "/%2e%2e/metrics", "/metrics%00", "/metrics%00x", "/%6detrics",
                 "/metrics%", "/" + "a" * 4000):
        assert status_of(port, path) == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"):
        assert status_of(port, method=method, body=b"x" * 100000 if method in ("POST", "PUT") else None) == 405, method
    for text in (b"\0" * 4000 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 500,
                 b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"GET /metrics HTTP/1.1\r\n" + b"X: " + b"a" * (1 << 20)):
        with socket.create_connection(("127.0.0.1", port), timeout=CONNECTION_S * 3) as raw:
            with contextlib.suppress(OSError):  # it may have hung up by now
                raw.sendall(text)
                raw.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionError):
                while part := raw.recv(65536):
                    answer += part
            assert not answer.startswith(b"HTTP/1.1 200") and b"strait_" not in answer, (text[:40], answer[:80])
    assert status_of(port) == 200


def test_who_comes_slowly_or_in_crowds_keeps_nobody_away_for_long(cluster):
    """All places are taken by clients that drip their heads and never read: each goes after its ten seconds, however lively it is,
    descriptors stay bounded, the node works on, and the scraper gets its page."""
    (region,) = cluster.up(SOURCE)
    port = listen(region)
    before = value(status(region), "process_open_fds")
    drips, gone = [], threading.Event()
    for _ in range(100):
        drip = socket.create_connection(("127.0.0.1", port), timeout=30) if len(drips) < CONNECTIONS else socket.socket()
        if len(drips) >= CONNECTIONS:
            drip.setblocking(False)
            drip.connect_ex(("127.0.0.1", port))
        drips.append(drip)

    def drip_on():
        while not gone.wait(0.2):
            for drip in drips:
                with contextlib.suppress(OSError):
                    drip.send(b"a")

    dripping = threading.Thread(target=drip_on)
    dripping.start()
    try:
        region.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1);")
        assert value(status(region), "process_open_fds") <= before + CONNECTIONS + 8
        drips[0].settimeout(CONNECTION_S * 3)
        with contextlib.suppress(ConnectionError):
            assert drips[0].recv(1) == b""  # it never was idle, and is cut all the same
        deadline = time.monotonic() + 10 * CONNECTION_S
        while True:
            with contextlib.suppress(OSError):
                if status_of(port) == 200:
                    break
            assert time.monotonic() < deadline
    finally:
        gone.set()
        dripping.join()
        for drip in drips:
            drip.close()
    region.cluster.dev("stop-one", region.name)  # with whatever is still open
    region.cluster.start(region.name)


def test_an_address_that_is_none_is_refused_with_its_line(cluster):
    (region,) = cluster.up(SOURCE)
    port = listen(region)
    region.cluster.dev("stop-one", region.name)
    text = region.config.read_text()
    for address, words in (("localhost:9464", "write an IP address and a port"), ("127.0.0.1", "write an IP address"),
                           ("127.0.0.1:0", "write an IP address"), ("::1:9464", "write an IP address")):
        region.config.write_text(re.sub(r'listen_metrics = "[^"]*"', f'listen_metrics = "{address}"', text))
        with pytest.raises(Exception) as caught:
            command(BIN / "straitd", "--check", "-c", region.config)
        assert f"{region.config}:1: listen_metrics" in caught.value.stderr and words in caught.value.stderr
    region.config.write_text(text)
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(Exception):
            region.cluster.start(region.name)
        assert "cannot be listened on" in region.log
    region.cluster.start(region.name)
    assert status_of(port) == 200
