"""Regions under measurement: started, asked, sampled. No figure is made here."""
import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build/release/bin"
SOURCE, DESTINATION = "ap-southeast-1", "cn-hongkong"


def say(name, value, note=""):
    print(f"{name:<52}{value:>16}   {note}", flush=True)


def command(*words, **more):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


class Region:
    def __init__(self, folder, name):
        self.name, self.folder = name, folder / name
        self.client = [str(BIN / "strait"), "-c", str(self.folder / "strait.conf")]

    def sql(self, text):
        out = command(*self.client, "sql", "--quiet", "--format", "json", "-e", text)
        return [json.loads(line) for line in out.splitlines()]

    def xcopy(self, name, to=None):
        return self.sql(f'XCOPY SNAPSHOT demo.{name} TO SNAPSHOT {to or name} OPTIONS(src_region="{SOURCE}");')[0]

    def counter(self, name):
        """One counter of `status --format prometheus`, all labels added up."""
        out = command(*self.client, "status", "--format", "prometheus")
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in out.splitlines()
                   if re.match(rf"{name}(\{{|\s)", line))

    @property
    def pid(self):
        return int((self.folder / "straitd.pid").read_text())

    def anonymous_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status).group(1)) * 1024


class Peak(threading.Thread):
    """Samples RssAnon of both nodes every 20 ms between enter and exit."""

    def __init__(self, regions):
        super().__init__(daemon=True)
        self.regions, self.over, self.stop = regions, 0, threading.Event()

    def __enter__(self):
        self.idle = {region: region.anonymous_bytes() for region in self.regions}
        self.start()
        return self

    def run(self):
        while not self.stop.wait(0.02):
            for region in self.regions:
                self.over = max(self.over, region.anonymous_bytes() - self.idle[region])

    def __exit__(self, *_):
        self.stop.set()
        self.join()


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def each_ms(region, statements):
    """Mean of one statement within one client: its start and its connection are not in it."""
    started = time.monotonic()
    region.sql("WHOAMI;")
    start = time.monotonic() - started
    started = time.monotonic()
    region.sql("\n".join(statements))
    return (time.monotonic() - started - start) / len(statements) * 1000


def cluster(folder):
    command(ROOT / "deploy/dev-cluster", "up", folder / "cluster", SOURCE, DESTINATION)
    return [Region(folder / "cluster", name) for name in (SOURCE, DESTINATION)]


def restart_empty(folder, region):
    command(ROOT / "deploy/dev-cluster", "kill", folder / "cluster", region.name)
    shutil.rmtree(region.folder / "data", ignore_errors=True)
    command(ROOT / "deploy/dev-cluster", "up", folder / "cluster")
    os.sync()


def down(folder):
    command(ROOT / "deploy/dev-cluster", "down", folder / "cluster")
    shutil.rmtree(folder / "cluster")


def random_csv(path, stored_bytes):
    """A key and a text of 6 random bits a byte: what zstd leaves of it cannot be compressed again."""
    rows = stored_bytes // 768
    with open(path, "wb") as file:
        for first in range(0, rows, 1024):
            block = base64.b64encode(os.urandom(768 * 1024))
            file.write(b"".join(b"%d,%s\n" % (first + i, block[i * 1024:(i + 1) * 1024]) for i in range(1024)))
