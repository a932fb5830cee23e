"""The Debian package: what is in it, its pages, its service and its completion; and its life in a tree that debootstrap made,
where no service manager runs: the test starts the node as the unit says."""
import fcntl
import gzip
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import BIN, DESTINATION, ROOT, SOURCE, command
from debian_tree import Tree, next_version

BUILD, DEPLOY = ROOT / "build", ROOT / "deploy"
PAGES = ("straitd.8", "strait.1", "straitd.conf.5", "strait.conf.5")
RELOAD_SECONDS = 60
EXPOSURE_MAX = 1.2  # systemd-analyze security: 0 is the best, 10 the worst


def source(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def deb():
    """The package's path; made once, whichever worker comes first."""
    with open(BUILD / "package.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return Path(command(DEPLOY / "package", timeout=600).strip().splitlines()[-1])


# ---- pages ----

@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """name: roff"""
    folder = tmp_path_factory.mktemp("pages")
    for name in PAGES:
        command("/usr/bin/python3", "-B", DEPLOY / "man/pages.py", BIN, DEPLOY / f"man/{name}.in", folder / name)
    return {name: gzip.decompress((folder / name).read_bytes()).decode() for name in PAGES}


def items(text):
    """The terms of a page's lists, as a reader sees them."""
    return [term.replace("\\-", "-") for term in re.findall(r"^\.TP\n\\fB(.*)\\fR$", text, re.M)]


def getopt_names(text):
    return {f"--{name}" for name in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', text)}


def test_pages_have_every_setting(pages):
    for page, parser, example in (("straitd.conf.5", "node/config.c", "straitd.conf.example"),
                                  ("strait.conf.5", "node/client/client_config.c", "strait.conf.example")):
        known = set(re.findall(r'CFG_[A-Z_]+\("([a-z_]+)"', source(parser))) - {"peer"}
        told = {term.split(" = ")[0] for term in items(pages[page])}
        assert told == known, page
        assert known <= set(re.findall(r"^[# ]*([a-z_]+) = ", source(f"deploy/{example}"), re.M))


def test_pages_have_every_option_of_the_node(pages):
    wanted = getopt_names(source("node/main.c")) - {"--config"}
    assert wanted and wanted <= set(re.findall(r"--[a-z-]+", " ".join(items(pages["straitd.8"]))))


def test_pages_have_every_command_and_option_of_the_client(pages):
    text = pages["strait.1"].replace("\\-", "-").split(".SH COMMANDS")[1].split("\n.SH ")[0]
    table = source("node/client/main.c").split("commands[] = {")[1].split("\n};")[0]
    commands = re.findall(r'^    \{"([a-z]+)", command_', table, re.M)
    assert commands and re.findall(r"^\.SS strait ([a-z]+)$", text, re.M) == commands
    for path in sorted((ROOT / "node/client").glob("command_*.c")):
        for option in getopt_names(path.read_text()):
            assert option in text, f"{path.name}: {option}"
    rules = re.findall(r'\{"([a-z-]+)", (?:UP|DOWN|BOTH), \w+, \w+,\s*"', source("node/client/tunnel_options.c"))
    assert len(rules) > 15
    assert {term.lstrip("-") for term in items(text)} >= set(rules)


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_good_roff(pages, name):
    done = subprocess.run(["groff", "-man", "-ww", "-z", "-K", "utf8"], input=pages[name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for section in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert f".SH {section}\n" in pages[name]


def test_a_page_is_refused_where_the_example_cannot_be_read(tmp_path):
    deploy = tmp_path / "deploy"
    shutil.copytree(DEPLOY / "man", deploy / "man")
    (deploy / "straitd.conf.example").write_text("# Settings.\n\nregion = \"x\"\nwhat is this\n")
    done = subprocess.run(["/usr/bin/python3", "-B", str(deploy / "man/pages.py"), str(BIN),
                           str(deploy / "man/straitd.conf.5.in"), str(tmp_path / "page.gz")], capture_output=True, text=True)
    assert done.returncode == 1 and "straitd.conf.example:4: 'what is this'" in done.stderr
    assert not (tmp_path / "page.gz").exists()


# ---- completion ----

def completed(*words, function="_strait", cwd="/"):
    """What bash offers for the last of the words."""
    script = (f". {DEPLOY}/completion.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); {function}; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-c", script, "bash", *map(str, words)], capture_output=True, text=True, cwd=cwd,
                          env={"PATH": os.environ["PATH"], "HOME": str(cwd)})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return set(done.stdout.split("\n")) - {""}


def test_completion_has_commands_options_and_formats(tmp_path):
    strait = BIN / "strait"
    commands = set(re.findall(r'^    \{"([a-z]+)", command_', source("node/client/main.c"), re.M))
    assert completed(strait, "") == commands | {"-c", "--help", "--version"}
    assert completed(strait, "pe") == {"peers"}
    assert completed(strait, "sql", "--") == {"--format", "--project", "--quiet", "--statement-id", "--help"}
    assert completed(strait, "tasks", "--w") == {"--watch"}
    assert completed(strait, "status", "--format", "") >= {"table", "csv", "json", "prometheus"}
    assert completed(strait, "peers", "--format", "=", "c") == {"csv"}
    assert completed(strait, "tunnel", "") == {"upload", "download"}
    assert completed(strait, "tunnel", "download", "-l") == {"-limit"}
    assert "-acp" in completed(strait, "tunnel", "upload", "-") and "-acp" not in completed(strait, "tunnel", "download", "-")
    assert completed(strait, "tunnel", "upload", "-acp", "") == {"true", "false"}
    options = getopt_names(source("node/main.c")) - {"--config"}
    assert completed(BIN / "straitd", "", function="_straitd") == options | {"-c"}


def test_completion_has_files(tmp_path):
    (tmp_path / "ann's conf").write_text("")
    (tmp_path / "folder").mkdir()
    strait = BIN / "strait"
    for words in ((strait, "-c"), (strait, "pubkey"), (strait, "sql", "-f"), (strait, "-c", "x", "tunnel", "upload")):
        assert completed(*words, "", cwd=tmp_path) == {"ann's conf", "folder"}, words
    assert completed(BIN / "straitd", "-c", "ann", function="_straitd", cwd=tmp_path) == {"ann's conf"}


def test_completion_asks_the_node_and_offers_nothing_without_one(pair, tmp_path):
    source_region, destination = pair
    source_region.sql("CREATE TABLE sales (a BIGINT); CREATE TABLE sites (a BIGINT); CREATE PROJECT other;"
                      "CREATE TABLE other.stock (a BIGINT); INSERT INTO sales VALUES (1); CREATE SNAPSHOT TABLE s CLONE sales;")
    task = destination.xcopy("s")["task_id"]
    client = source_region.client
    assert completed(*client, "tunnel", "upload", "file.csv", "") == {"sales", "sites"}
    assert completed(*client, "tunnel", "upload", "-acp", "=", "true", "-h", "true", "--quiet", "file.csv", "sa") == {"sales"}
    assert completed(*client, "tunnel", "download", "other.s") == {"other.stock"}
    assert completed(*client, "sql", "--project", "") == {"demo", "other"}
    assert completed(*client, "pubkey", "--for", "") == {SOURCE, DESTINATION}
    assert completed(*destination.client, "cancel", "") == {task}
    assert completed(BIN / "strait", "-c", tmp_path / "absent", "tunnel", "download", "") == set()


# ---- the package ----

def test_package_has_what_it_should(deb):
    listed = command("dpkg-deb", "-c", deb).splitlines()
    files = {}
    for line in listed:
        mode, owner, _, _, _, name, *rest = line.split()
        assert owner == "root/root", line
        if not mode.startswith("d"):
            files[name.lstrip(".")] = (mode, " ".join(rest))
    doc = "/usr/share/doc/strait"
    programs = {"/usr/sbin/straitd", "/usr/bin/strait"}
    texts = {"/etc/strait/straitd.conf", "/lib/systemd/system/strait.service", f"{doc}/copyright", f"{doc}/changelog.gz",
             f"{doc}/examples/straitd.conf.example", f"{doc}/examples/strait.conf.example",
             "/usr/share/bash-completion/completions/strait", *(f"/usr/share/man/man{p[-1]}/{p}.gz" for p in PAGES)}
    assert set(files) == programs | texts | {"/usr/share/bash-completion/completions/straitd"}
    assert files["/usr/share/bash-completion/completions/straitd"][1] == "-> strait"
    assert {files[name][0] for name in programs} == {"-rwxr-xr-x"} and {files[name][0] for name in texts} == {"-rw-r--r--"}
    assert command("dpkg-deb", "-I", deb, "conffiles") == "/etc/strait/straitd.conf\n"
    depends = command("dpkg-deb", "-f", deb, "Depends")
    for library in ("libnng1", "librocksdb7.8", "libsodium23", "libprotobuf-c1"):
        assert re.search(rf"\b{re.escape(library)} \(>= ", depends), depends
    assert command("dpkg-deb", "-f", deb, "Version").strip() == command(BIN / "strait", "--version").split()[1]


def test_package_s_configuration_has_what_a_node_must_be_told():
    settings = set(re.findall(r"^[# ]*([a-z_]+) (?:= |\")", source("deploy/debian/straitd.conf"), re.M))
    required = set(re.findall(r'^        \{"([a-z_]+)", "', source("node/config.c"), re.M))
    assert len(required) >= 6 and settings == required | {"peer", "addresses", "key"}


def test_service_is_understood_and_hardened(deb, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    command("dpkg-deb", "-x", deb, tmp_path / "root")
    unit = tmp_path / "root/lib/systemd/system/strait.service"
    text = re.sub(r"(?<==)/usr/sbin/", f"{tmp_path}/root/usr/sbin/", unit.read_text())
    local = tmp_path / "strait.service"
    local.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(local)], capture_output=True,
                          text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    shown = command("systemd-analyze", "security", "--no-pager", "--offline=yes", f"--threshold={round(10 * EXPOSURE_MAX)}", local)
    assert float(re.search(r"exposure level for strait.service: ([0-9.]+)", shown)[1]) <= EXPOSURE_MAX


# ---- its life ----

@pytest.fixture(scope="module")
def tree(deb):
    made = Tree(BUILD / "package-tree", deb)
    yield made
    made.end()


def test_purge_of_a_package_that_stored_nothing_leaves_nothing(tree, deb):
    tree.run("dpkg", "-i", tree.give(deb))
    files = [tree.root / name.lstrip("/") for name in tree.run("dpkg", "-L", "strait").splitlines()]
    files = [path for path in files if not path.is_dir()]
    assert len(files) > 10
    told = tree.run("dpkg", "-P", "strait")
    assert "kept" not in told
    assert [path for path in files if os.path.lexists(path)] == []
    assert not (tree.root / "var/lib/strait").exists() and not (tree.root / "etc/strait").exists()


def set_up(tree):
    """The first start of straitd(8)."""
    tree.run("sh", "-ec", "umask 077; strait keygen /etc/strait/node.key >/root/node.pub; chown strait: /etc/strait/node.key;"
             "strait keygen /root/operator.key >/root/operator.pub")
    operators, peers = tree.ports
    tree.edit("/etc/strait/straitd.conf", ('region = ""', f'region = "{SOURCE}"'), ('{""}', f'{{"{tree.read("/root/operator.pub").strip()}"}}'),
              ("0.0.0.0:7070", f"127.0.0.1:{peers}"), ("127.0.0.1:7071", f"127.0.0.1:{operators}"))
    lines = re.findall(r"^(?:mkdir|printf) .*\.config/strait.*$", source("docs/operations.md"), re.M)  # as the manual says it
    tree.run("sh", "-ec", "\n".join(lines).replace("127.0.0.1:7071", f"127.0.0.1:{operators}"))


def rows(tree):
    return tree.run("strait", "sql", "--project", "demo", "--quiet", "--format", "csv", "-e", "SELECT a FROM t ORDER BY a;")


def reloaded(tree, node):
    """As ExecReload says it, which needs procps and the manager's word for the process."""
    check, ask = tree.settings("ExecReload")
    assert check == tree.setting("ExecStartPre") and ask == "/bin/kill -HUP $MAINPID"
    tree.as_service("ExecReload")
    before = tree.log().count("event=reloaded")
    node.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + RELOAD_SECONDS
    while tree.log().count("event=reloaded") == before and time.monotonic() < deadline:
        time.sleep(0.05)
    return tree.log().count("event=reloaded") == before + 1


def told_the_manager(tree, *words):
    """What the postinst says to a service manager that runs."""
    stand_ins = " ".join(f"/usr/local/bin/{name}" for name in ("systemctl", "deb-systemd-invoke"))
    tree.run("sh", "-ec", "mkdir -p /run/systemd/system; : >/tmp/told; echo '#!/bin/sh\necho \"$@\" >>/tmp/told' >/tmp/tell;"
             f"for one in {stand_ins}; do install /tmp/tell $one; done")
    tree.run("/var/lib/dpkg/info/strait.postinst", *words)
    tree.run("sh", "-ec", f"rm {stand_ins}; rmdir /run/systemd/system")
    return tree.read("/tmp/told")


def standing(tree):
    """What maintainer scripts make, to be the same after any number of their runs."""
    return tree.run("sh", "-ec", "stat -c '%n %U:%G %a' /etc/strait /etc/strait/* /var/lib/strait; getent passwd strait; getent group strait")


def test_life_of_the_package(tree, deb):
    # Unpacked and interrupted, then configured: as by one run.
    tree.run("dpkg", "--unpack", tree.give(deb))
    tree.run("dpkg", "--configure", "strait")
    first = standing(tree)
    assert "/etc/strait root:strait 750" in first and "/var/lib/strait strait:strait 700" in first
    passwd = next(line for line in first.splitlines() if line.startswith("strait:x:")).split(":")
    assert int(passwd[2]) < 1000 and passwd[6] == "/usr/sbin/nologin"
    told = tree.refused("straitd", "--check", "-c", "/etc/strait/straitd.conf")
    assert re.search(r"/etc/strait/straitd\.conf:\d+: region '': write a name", told), told
    link = tree.root / "etc/systemd/system/multi-user.target.wants/strait.service"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/lib/systemd/system/strait.service")  # systemctl enable

    set_up(tree)
    tree.as_service("ExecStartPre")
    node = tree.start()
    assert f"\nprocess_max_fds {tree.files_max()}\n" in tree.run("strait", "status", "--format", "prometheus")
    assert f"LimitNOFILE={tree.setting('LimitNOFILE')}," in source("docs/operations.md")
    assert reloaded(tree, node), tree.log()
    tree.run("strait", "sql", "--quiet", "-e",
             "CREATE PROJECT demo; USE demo; CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2);")
    want = "a\n1\n2\n"
    assert rows(tree) == want

    # The same once more, and the script by itself in each of the ways that dpkg calls it.
    before = standing(tree)
    tree.run("dpkg", "-i", tree.give(deb))
    script = "/var/lib/dpkg/info/strait.postinst"
    for way in (("configure", ""), ("configure", "0.0.1"), ("abort-upgrade", "0.0.1"), ("abort-remove",)):
        tree.run(script, *way)
    assert standing(tree) == before
    tree.run("dpkg-statoverride", "--update", "--add", "root", "strait", "0710", "/etc/strait")
    tree.run(script, "configure", "")
    assert "/etc/strait root:strait 710" in standing(tree)  # the administrator's
    tree.run("dpkg-statoverride", "--remove", "/etc/strait")
    assert "try-restart strait.service" in told_the_manager(tree, "configure", "0.0.1")
    assert "restart" not in told_the_manager(tree, "configure", "")
    tree.run(script, "configure", "")

    # An upgrade, under a node that runs. Its configuration is the administrator's.
    edited = tree.read("/etc/strait/straitd.conf")
    later = next_version(deb, tree.folder)
    tree.run("dpkg", "--force-confold", "-i", tree.give(later))
    assert tree.read("/etc/strait/straitd.conf") == edited and "of the next version" in tree.read("/etc/strait/straitd.conf.dpkg-dist")
    assert link.is_symlink() and rows(tree) == want
    tree.stop(node)
    node = tree.start()
    assert rows(tree) == want

    # Root leaves alone what belongs to the node's user.
    tree.run("strait", "backup", "--quiet", "/srv/backup")
    tree.stop(node)
    kept = tree.data()
    as_strait = ("runuser", "-u", "strait", "--")
    restore = ("straitd", "--restore", "/srv/backup", "-c", "/etc/strait/elsewhere.conf")
    tree.run("sh", "-ec", "umask 027; sed 's|/var/lib/strait|/var/lib/strait/restored|' /etc/strait/straitd.conf >/etc/strait/elsewhere.conf;"
             "chgrp strait /etc/strait/elsewhere.conf")
    for words in (("straitd", "--fsck", "-c", "/etc/strait/straitd.conf"), ("straitd", "--mend", "-c", "/etc/strait/straitd.conf"),
                  ("straitd", "-c", "/etc/strait/straitd.conf"), restore):
        assert "user strait's" in (told := tree.refused(*words)) and "run as that user: runuser -u strait -- straitd" in told, told
    assert tree.data() == kept
    assert "is user strait's" in tree.run("straitd", "--check", "-c", "/etc/strait/straitd.conf")
    assert " 0 faults" in tree.run(*as_strait, "straitd", "--fsck", "-c", "/etc/strait/straitd.conf")
    assert "Permission denied" in tree.refused(*as_strait, *restore)
    tree.run("chown", "-R", "strait:", "/srv/backup")
    assert "restored /var/lib/strait/restored" in tree.run(*as_strait, *restore)
    tree.run("rm", "-r", "/var/lib/strait/restored", "/etc/strait/elsewhere.conf")
    node = tree.start()
    assert rows(tree) == want

    # Removed: the programs go.
    tree.stop(node)
    kept = tree.data()
    tree.run("dpkg", "-r", "strait")
    assert not (tree.root / "usr/sbin/straitd").exists() and not (tree.root / "usr/bin/strait").exists()
    assert tree.read("/etc/strait/straitd.conf") == edited and tree.data() == kept
    tree.run("dpkg", "-i", tree.give(later))
    node = tree.start()
    assert rows(tree) == want
    tree.stop(node)

    # Purged: what cannot be made again stays, and is told.
    kept = tree.data()
    told = tree.run("dpkg", "-P", "strait")
    assert "/var/lib/strait" in told and "node.key" in told
    assert tree.data() == kept and not (tree.root / "etc/strait/straitd.conf").exists()
    assert (tree.root / "etc/strait/node.key").exists() and not link.is_symlink()
    tree.run("dpkg", "-i", tree.give(deb))
    tree.write("/etc/strait/straitd.conf", edited)
    node = tree.start()
    assert rows(tree) == want
    tree.stop(node)
