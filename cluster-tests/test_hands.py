"""What a person at a terminal meets: the shell's own words, a node restarted under him, files with nothing in them."""
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

from conftest import BIN, DESTINATION, ROOT, SOURCE
from relay import ClientRelay

TERMINAL_SECONDS = 20


@pytest.fixture
def region(cluster):
    return cluster.up(SOURCE)[0]


class Terminal:
    """A command on a pseudo-terminal; size: its lines and columns, which it does not say otherwise."""

    def __init__(self, words, home, size=None):
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            if size:
                termios.tcsetwinsize(0, size)
            os.execvpe(words[0], words, {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home), "TERM": "dumb"})
        self.seen = ""
        self.all = ""

    def read_until(self, wanted):
        """The text up to and with `wanted`, a regular expression."""
        deadline = time.monotonic() + TERMINAL_SECONDS
        while not (found := re.search(wanted, self.seen)):
            ready = select.select([self.file], [], [], max(0, deadline - time.monotonic()))[0]
            assert ready, f"{wanted!r} did not come: {self.seen!r}"
            came = os.read(self.file, 65536).decode(errors="replace")
            self.seen += came
            self.all += came
        text, self.seen = self.seen[:found.end()], self.seen[found.end():]
        return text

    def type_edited(self, text):
        """At a prompt, once lines are edited: the shell shows it a moment before, and until then the kernel has the keys."""
        deadline = time.monotonic() + TERMINAL_SECONDS
        while termios.tcgetattr(self.file)[3] & termios.ICANON:
            assert time.monotonic() < deadline, "the shell does not edit lines"
            time.sleep(0.005)
        self.type(text)

    def type(self, text):
        os.write(self.file, text.encode())

    def end(self):
        """The exit code."""
        deadline = time.monotonic() + TERMINAL_SECONDS
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                os.close(self.file)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        pytest.fail(f"it did not end: {self.seen!r}")


@pytest.mark.parametrize("word", ["exit", "QUIT;", r"\q"])
def test_shell_explains_itself_and_can_be_left(region, tmp_path, word):
    shell = Terminal([*region.client, "sql"], tmp_path)
    shell.read_until("help explains, exit leaves")
    shell.read_until("demo> ")
    shell.type("help\n")
    told = shell.read_until("demo> ")
    assert "Ctrl-D" in told and "CLONE TABLE" in told and "GRANT action" in told
    shell.type("help run schedule\n")
    told = shell.read_until("demo> ")
    assert "RUN SCHEDULE s FOR" in told and "GRANT action" not in told
    shell.type("help nothing like this\n")
    assert "help alone lists all" in shell.read_until("demo> ")
    shell.type("SELECT 40 + 2;\n")
    assert "42" in shell.read_until(r"42[^$]*demo> ")
    shell.type(word + "\n")
    assert shell.end() == 0


@pytest.mark.parametrize("command", ["sql", "tunnel", "tasks", "cancel", "status", "peers", "scrub", "keygen", "pubkey"])
def test_each_command_explains_itself_without_a_node(tmp_path, command):
    told = subprocess.run([str(BIN / "strait"), command, "--help"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"strait {command}")


@pytest.mark.parametrize("words, said, form", [
    (["sql", "--x"], "unrecognized option '--x'", "[-e TEXT | -f FILE]"),
    (["tunnel", "upload", "--owerwrite", "a", "t"], "unrecognized option '--owerwrite'", "[OPTION VALUE]... PATH"),
    (["tunnel", "download", "--statement-id"], "option '--statement-id' requires an argument", "[PROJECT.]TABLE"),
    (["tasks", "--x"], "unrecognized option '--x'", "[--watch] [--format table|csv|json]"),
    (["status", "--x"], "unrecognized option '--x'", "[--format table|csv|json|prometheus]"),
    (["scrub", "--x"], "unrecognized option '--x'", "[--format table|csv|json]"),
    (["backup", "--x"], "unrecognized option '--x'", "DIR [--quiet]"),
    (["refill", "--x"], "unrecognized option '--x'", "--from FILE"),
])
def test_an_option_that_is_mistyped_is_told_with_the_form(tmp_path, words, said, form):
    told = subprocess.run([str(BIN / "strait"), *words], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    name = "strait " + " ".join(words[:2] if words[0] == "tunnel" else words[:1])
    first, then = told.stderr.split("\n", 1)
    assert (told.returncode, told.stdout, first) == (2, "", f"{name}: {said}")
    assert f"{name} " in then and form in then


@pytest.mark.parametrize("command, formats", [("status", "table, csv, json or prometheus"), ("peers", "table, csv or json")])
def test_a_format_that_is_none_is_told_with_those_that_are(tmp_path, command, formats):
    told = subprocess.run([str(BIN / "strait"), command, "--format", "xml"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (told.returncode, told.stderr) == (2, f"strait: --format xml: it is {formats}\n")


def upload_told(region, path, *options):
    return subprocess.run([*region.client, "tunnel", "upload", *options, str(path), "t"], capture_output=True, text=True,
                          timeout=60)


def test_tasks_watch_leaves_out_what_had_ended(cluster, tmp_path):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    xcopy = 'XCOPY SNAPSHOT demo.s TO SNAPSHOT demo.{} OPTIONS(src_region="' + SOURCE + '");'
    destination.sql(xcopy.format("before"))
    watch = Terminal([*destination.client, "tasks", "--watch", "--format", "csv"], tmp_path)
    watch.read_until("task_id")
    destination.sql(xcopy.format("since"))
    watch.read_until("demo.since.*DONE")
    watch.type("\x03")
    watch.end()
    assert "demo.before" not in watch.all
    assert len(destination.sql("SHOW TASKS;")) == 2


def drawn(text):
    """The lines that were written over each other on the screen, without what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text).split("\r\n")


def test_tasks_watch_goes_on_through_a_restart_of_its_node(cluster, tmp_path):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    xcopy = 'XCOPY SNAPSHOT demo.{} TO SNAPSHOT demo.{} OPTIONS(src_region="' + SOURCE + '", wait=false);'
    watch = Terminal([*destination.client, "tasks", "--watch"], tmp_path, size=(12, 84))
    watch.read_until("TASK +STATE +SNAPSHOT +PROGRESS")
    destination.refused(xcopy.format("absent", "absent").replace(", wait=false", ""))
    watch.read_until(r"\n\x1b\[K[0-9a-f]{32} FAILED +demo\.absent .*\n\x1b\[K  ODPS-[^\n]*\.\.\.\r\n")  # its error, cut, on a line of its own
    os.kill(source.pid, signal.SIGSTOP)
    try:
        destination.sql("".join(xcopy.format("s", f"copy_{i}") for i in range(12)))
        watch.read_until(r"\n\x1b\[K[0-9a-f]{32} RUNNING +demo\.copy_")
        watch.read_until(r"and \d+ more\r\n")
        cluster.kill(DESTINATION)
        watch.read_until(r"no answer from the node at 127\.0\.0\.1:\d+ since \d\d:\d\d:\d\d \(\d+ s\)")
        watch.read_until(r"RUNNING +demo\.copy_")  # what was known stays
        cluster.start(DESTINATION)
        watch.read_until(r"\x1b\[H\x1b\[KTASK .*\n.* RUNNING +demo\.copy_")  # and nothing stands above the head any more
    finally:
        os.kill(source.pid, signal.SIGCONT)
    watch.read_until(r"DONE +demo\.copy_")
    watch.type("\x03")
    assert watch.end() == 130
    assert max(map(len, drawn(watch.all))) == 84 and "\x1b[J" in watch.all
    for screen in watch.all.split("\x1b[H"):
        assert screen.count("\n") < 12


def test_tasks_watch_says_when_its_node_hangs(region, tmp_path):
    watch = Terminal([*region.client, "tasks", "--watch"], tmp_path, size=(24, 100))
    watch.read_until("PROGRESS")
    os.kill(region.pid, signal.SIGSTOP)
    try:
        watch.read_until(r"no answer from the node at .*Timed out")
    finally:
        os.kill(region.pid, signal.SIGCONT)
    watch.read_until(r"\x1b\[H\x1b\[KTASK")
    watch.type("\x03")
    assert watch.end() == 130


def test_tasks_on_a_terminal_are_lines_and_a_table_when_asked(cluster, tmp_path):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    destination.xcopy("s")
    told = {}
    for words in ((), ("--format", "table")):
        listed = Terminal([*destination.client, "tasks", *words], tmp_path, size=(24, 100))
        listed.read_until(r"DONE.*\n")
        assert listed.end() == 0
        told[words] = listed.all
    table = told["--format", "table"].rpartition("\r\n")[0].replace("\r\n", "\n")
    assert destination.strait("tasks").startswith(table) and table.startswith("+---")  # what a pipe gets
    head, task = drawn(told[()])[:2]
    assert head.split() == ["TASK", "STATE", "SNAPSHOT", "PROGRESS"]
    assert re.fullmatch(r"[0-9a-f]{32} DONE +s +[0-9.]+ k?B, 1 file, in \d+ s", task), task


def test_progress_of_a_copy_stays_on_its_line(cluster, tmp_path):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    os.kill(source.pid, signal.SIGSTOP)
    try:
        copy = Terminal([*destination.client, "sql", "-e", f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");'],
                        tmp_path, size=(24, 20))
        copy.read_until(r"\r\x1b\[Kasking the sourc\.\.\.\r")  # the cursor has the last column
    finally:
        os.kill(source.pid, signal.SIGCONT)
    assert copy.end() == 0


def test_log_says_how_each_copy_ended_once(cluster):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    destination.xcopy("s")
    destination.refused(f'XCOPY SNAPSHOT demo.absent TO SNAPSHOT absent OPTIONS(src_region="{SOURCE}");')

    def told():
        return [line for line in destination.log.splitlines() if "task ended" in line]

    deadline = time.monotonic() + TERMINAL_SECONDS
    while len(told()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    done, failed = sorted(told(), key=lambda line: "state=FAILED" in line)
    assert 'level=info event="task ended"' in done and "state=DONE" in done and "files=1 " in done and "demo.s" in done
    assert 'level=warning event="task ended"' in failed and "no snapshot demo.absent" in failed
    task = next(row["task_id"] for row in destination.sql("SHOW TASKS;") if row["state"] == "DONE")
    said = subprocess.run([*destination.client, "sql", "-e", f"CANCEL TASK '{task}';"], capture_output=True, text=True, timeout=TERMINAL_SECONDS)
    assert said.returncode == 0 and "the task had ended: DONE" in said.stderr
    said = subprocess.run([*destination.client, "cancel", task], capture_output=True, text=True, timeout=TERMINAL_SECONDS)
    assert said.returncode == 0 and said.stderr == "the task had ended: DONE\nOK\n"


def test_upload_of_an_empty_file_says_what_it_read(region, tmp_path):
    region.sql("CREATE TABLE t (a BIGINT);")
    (tmp_path / "empty.csv").write_text("")
    done = upload_told(region, tmp_path / "empty.csv")
    assert done.returncode == 0 and "0 rows" in done.stderr and "read 0 B\n" in done.stderr


def test_upload_ends_with_its_node_and_says_so(region):
    region.sql("CREATE TABLE t (a BIGINT);")
    upload = subprocess.Popen([*region.client, "tunnel", "upload", "-", "t"], stdin=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    assert "Upload session" in upload.stderr.readline()
    upload.stdin.write("1\n" * 1000)
    upload.stdin.flush()
    region.cluster.dev("restart", SOURCE)
    _, text = upload.communicate("2\n", timeout=60)
    assert upload.returncode == 1 and "begin it again" in text and "the table is unchanged" in text
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 0


def test_upload_interrupted_when_its_commit_has_left_does_not_load_twice(region, tmp_path):
    region.sql("CREATE TABLE t (a BIGINT);")
    (tmp_path / "rows.csv").write_text("1\n2\n")
    with ClientRelay(region, tmp_path) as relay:
        words = [*relay.client, "tunnel", "upload", str(tmp_path / "rows.csv"), "t"]
        subprocess.run(words, check=True, capture_output=True, timeout=60)
        relay.hold_after(relay.passed - 16)  # within the answer to the commit, which is the last
        upload = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        relay.wait_until_held()
        upload.send_signal(signal.SIGINT)
        _, text = upload.communicate(timeout=60)
    assert upload.returncode == 130 and "it is not known whether the load was committed" in text, text
    assert "unchanged" not in text
    again = re.search(r"--statement-id ([0-9a-f]{32})", text)[1]
    assert "committed before, nothing was loaded again" in upload_told(region, tmp_path / "rows.csv", "--statement-id", again).stderr
    assert region.one("SELECT count(*) AS n FROM t;")["n"] == 4


def test_dev_cluster_ends_quietly_when_nobody_reads(region):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([ROOT / "deploy/dev-cluster", "status", region.cluster.folder], stdout=writer,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert done.returncode == -signal.SIGPIPE and done.stderr == ""


# ---- Ctrl-C in the shell ----


SLOW_QUERY = "SELECT count(*) FROM t x JOIN t y ON x.a <> y.a JOIN t z ON y.a <> z.a;"  # 64 * 10^9 triples


def statements(region):
    text = region.strait("status", "--format", "prometheus")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(("strait_statements{", "strait_statements ")))


def wait_for(condition, what):
    deadline = time.monotonic() + TERMINAL_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def shell_of(region, home):
    shell = Terminal([*region.client, "sql"], home)
    shell.read_until("demo> ")
    return shell


def test_ctrl_c_at_the_prompt_drops_what_was_typed_and_goes_on(region, tmp_path):
    shell = shell_of(region, tmp_path)
    shell.type_edited("SELECT 'half a line")
    shell.read_until("half a line")
    shell.type_edited("\x03")
    shell.read_until(r"\^C\r?\n[^\n]*demo> ")
    shell.type_edited("SELECT 1 +\n")
    shell.read_until("-> ")
    shell.type_edited("2 + 'the second")
    shell.read_until("the second")
    shell.type_edited("\x03")
    shell.read_until(r"\^C\r?\n[^\n]*demo> ")  # not '->': the first line went, too
    shell.type_edited("\x03")
    shell.read_until(r"\^C\r?\n[^\n]*demo> ")
    shell.type_edited("SELECT 40 + 2;\n")
    assert "ODPS" not in shell.read_until(r"42[^$]*demo> ")
    shell.type_edited("\x04")
    assert shell.end() == 0


def test_ctrl_c_ends_a_query_of_the_shell_and_the_shell_goes_on(region, tmp_path):
    (tmp_path / "t.csv").write_text("".join(f"{i}\n" for i in range(4000)))
    region.sql("CREATE TABLE t (a BIGINT);")
    region.upload(tmp_path / "t.csv", "t")
    shell = shell_of(region, tmp_path)
    for _ in range(2):
        shell.type(SLOW_QUERY + "\n")
        wait_for(lambda: statements(region) == 1, "the query does not begin")
        shell.type("\x03")
        shell.read_until(r"\^C\r?\n(.*\r)?[^\n]*interrupted and cancelled\r?\n")
        shell.read_until("demo> ")
        wait_for(lambda: statements(region) == 0, "the query goes on")
        shell.type("SELECT count(*) + 2 FROM t;\n")
        shell.read_until(r"4002[^$]*demo> ")
    shell.type(SLOW_QUERY + " SELECT 7 * 11;\n")
    wait_for(lambda: statements(region) == 1, "the query does not begin")
    shell.type("\x03")
    shell.read_until("interrupted and cancelled")
    shell.read_until("demo> ")
    shell.type("exit\n")
    assert shell.end() == 0
    assert "77" not in shell.all.replace(SLOW_QUERY, "")  # what stood behind it on the line was not run


def test_ctrl_c_leaves_a_copy_of_the_shell_to_the_node_and_names_it(cluster, tmp_path):
    source, destination = cluster.up(SOURCE, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1); CREATE SNAPSHOT TABLE s CLONE t;")
    shell = shell_of(destination, tmp_path)
    os.kill(source.pid, signal.SIGSTOP)
    try:
        shell.type(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");\n')
        shell.read_until("asking the source")  # the first answer names the task
        shell.type("\x03")
        told = shell.read_until("interrupted; task [^ ]+ goes on")
        shell.read_until("demo> ")
    finally:
        os.kill(source.pid, signal.SIGCONT)
    task = told.split()[-3]
    assert destination.strait("tasks", "--format", "csv").count(task) == 1
    shell.type("SELECT 40 + 2;\n")
    shell.read_until(r"42[^$]*demo> ")
    wait_for(lambda: f"{task}," in destination.strait("tasks", "--format", "csv") and "DONE" in destination.strait("tasks", "--format", "csv"),
             "the task does not end")
    assert destination.one("SELECT count(*) AS n FROM s;")["n"] == 1
    shell.type("\x04")
    assert shell.end() == 0
