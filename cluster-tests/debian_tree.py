"""A Debian system in a folder, made by debootstrap with what the package depends on, and the package's node in it, started as
its unit says: its command, user and limits, with the socket of a service manager that waits for READY=1."""
import fcntl
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from conftest import Failed, command, free_port

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
READY_SECONDS = 60
STOP_SECONDS = 15  # after 10 a node ends itself, with another status than 0
BASE_SECONDS = 500


def needs(deb):
    """Names of the packages that it depends on."""
    return [one.split("|")[0].split("(")[0].strip() for one in command("dpkg-deb", "-f", deb, "Depends").split(",")]


def mirror_answers():
    try:
        with urllib.request.urlopen(f"{MIRROR}/dists/{SUITE}/InRelease", timeout=10) as answer:
            return answer.status == 200
    except OSError:
        return False


def unmount(folder):
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        place = line.split()[1].encode().decode("unicode_escape")
        if place == str(folder) or place.startswith(f"{folder}/"):
            subprocess.run(["umount", place], check=True)


def remove(folder):
    unmount(folder)
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=True)


def mount(folder):
    """A file system in memory: dpkg syncs each file."""
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,dev", "strait-tree", str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"root may not mount here: {done.stderr.strip()}")


def base(folder, deb):
    """An archive of a fresh tree; made once, and again when the package depends on others. Other workers wait for it."""
    with open(folder / "base.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return base_locked(folder, deb)


def base_locked(folder, deb):
    names = sorted(set(needs(deb)))
    archive, list_file = folder / "base.tar", folder / "base.list"
    if archive.exists() and list_file.exists() and list_file.read_text().split() == names:
        return archive
    for program in ("debootstrap", "chroot"):
        if not shutil.which(program):
            pytest.skip(f"no {program} here")
    if not mirror_answers():
        pytest.skip(f"{MIRROR} does not answer")
    fresh, debs = folder / "fresh", folder / "debs"
    remove(fresh)
    fresh.mkdir()
    debs.mkdir(exist_ok=True)
    try:
        mount(fresh)
        command("debootstrap", "--variant=minbase", f"--include={','.join(names)}", f"--cache-dir={debs.resolve()}", SUITE, fresh,
                MIRROR, timeout=BASE_SECONDS)
        command("tar", "--one-file-system", "-C", fresh, "-cf", f"{archive}.new", ".", timeout=BASE_SECONDS)
        os.replace(f"{archive}.new", archive)
        list_file.write_text("\n".join(names))
    finally:
        remove(fresh)
    return archive


def give_to_caller(folder):
    """Under sudo what stays, the archive and the packages in it, belongs to who called."""
    if "SUDO_UID" in os.environ:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def next_version(deb, folder):
    """The same package as a later version, with a line more in its conffile."""
    unpacked, out = folder / "next", folder / "next.deb"
    command("dpkg-deb", "-R", deb, unpacked)
    control = unpacked / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: (.*)$", r"Version: \1.1", control.read_text(), flags=re.M))
    with open(unpacked / "etc/strait/straitd.conf", "a") as conffile:
        conffile.write("# of the next version\n")
    sums = unpacked / "DEBIAN/md5sums"
    sums.unlink(missing_ok=True)
    command("dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "-b", unpacked, out)
    return out


class Tree:
    """One tree, with the package `deb` not yet in it."""

    def __init__(self, folder, deb):
        if os.geteuid() != 0:
            pytest.skip("needs root: chroot, debootstrap")
        self.cache, self.folder = folder, folder / f"tree-{os.getpid()}"
        self.root = self.folder / "root"
        self.root.mkdir(parents=True)
        self.nodes = []
        self.ports = free_port(), free_port()
        try:
            command("tar", "-C", self.root, "-xpf", base(folder, deb), timeout=BASE_SECONDS)
        except BaseException:  # a skip, too
            self.end()
            raise

    def run(self, *words, **more):
        """A command in the tree; what it wrote."""
        words = ["chroot", str(self.root), *map(str, words)]
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                       "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        done = subprocess.run(words, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=environment, timeout=120, **more)
        if done.returncode != 0:
            done.stderr = ""
            raise Failed(words, done)
        return done.stdout

    def refused(self, *words):
        with pytest.raises(Failed) as caught:
            self.run(*words)
        return caught.value.stdout

    def give(self, path):
        """A file of ours, as the tree names it."""
        shutil.copy(path, self.root / "tmp")
        return f"/tmp/{path.name}"

    def read(self, name):
        return (self.root / name.lstrip("/")).read_text()

    def write(self, name, text):
        (self.root / name.lstrip("/")).write_text(text)

    def edit(self, name, *pairs):
        text = self.read(name)
        for old, new in pairs:
            assert text.count(old) == 1, f"{name}: {old}"
            text = text.replace(old, new)
        self.write(name, text)

    def data(self):
        """{path: bytes} of all that the node stored."""
        top = self.root / "var/lib/strait"
        return {str(path.relative_to(top)): path.stat().st_size for path in top.rglob("*") if path.is_file()}

    # -- the unit's commands --

    def settings(self, name):
        unit = self.read("/lib/systemd/system/strait.service")
        return re.findall(rf"^{name}=(.*)$", unit, re.M)

    def setting(self, name):
        return self.settings(name)[0]

    def files_max(self):
        """Descriptors of a process of the unit; a container may have less."""
        return min(int(self.setting("LimitNOFILE")), resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def service_words(self, name):
        user, group = self.setting("User"), self.setting("Group")
        return ["prlimit", f"--nofile={self.files_max()}", f"--core={self.setting('LimitCORE')}", "setpriv",
                f"--reuid={user}", f"--regid={group}", "--init-groups", "--no-new-privs", "--bounding-set=-all",
                *self.setting(name).split()]

    def as_service(self, name):
        return self.run(*self.service_words(name))

    def start(self):
        """The node, when it has said that it is ready."""
        assert self.setting("Type") == "notify"
        place = self.root / "run/notify"
        place.unlink(missing_ok=True)
        log = open(self.folder / "log", "ab")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, log:
            manager.bind(str(place))
            place.chmod(0o777)
            manager.settimeout(0.1)
            node = subprocess.Popen(["chroot", str(self.root), *self.service_words("ExecStart")], stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, env={"NOTIFY_SOCKET": "/run/notify", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
            self.nodes.append(node)
            deadline = time.monotonic() + READY_SECONDS
            while True:
                try:
                    assert manager.recv(100) == b"READY=1"
                    return node
                except TimeoutError:
                    assert node.poll() is None and time.monotonic() < deadline, f"it did not say that it is ready: {self.log()[-2000:]}"

    def log(self):
        return (self.folder / "log").read_text()

    def stop(self, node):
        node.send_signal(signal.SIGTERM)
        assert node.wait(STOP_SECONDS) == 0
        self.nodes.remove(node)

    def end(self):
        for node in self.nodes:
            node.kill()
            node.wait()
        remove(self.folder)
        give_to_caller(self.cache)
