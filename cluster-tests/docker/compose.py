"""Three regions in containers, from deploy/compose.yaml, driven as their operator drives them.

What is here: the image, made once; a cluster of a test module's own project; what is done to its containers, networks and
volumes; and what has to hold after each test. Never here: a test.

    compose.py image       builds the image, so that tests that begin later find it
    compose.py remove      removes every container, volume, network and image that tests of this checkout made
"""
import fcntl
import functools
import hashlib
import json
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "cluster-tests"))
import conftest  # noqa: E402

SINGAPORE, HONGKONG, TOKYO = REGIONS = ("ap-southeast-1", "cn-hongkong", "ap-northeast-1")
ALIASES = dict(zip(REGIONS, ("sg", "hk", "jp")))  # deploy/README.md's
NAME = "strait-test-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]  # images and projects of this checkout
BASE, BUILD = f"{NAME}-base", f"{NAME}-build"
PRODUCT_BASE = "debian:bookworm-slim"
DEPLOY_README = ROOT / "deploy/README.md"
BUILD_SECONDS, COMMAND_SECONDS, CONDITION_SECONDS = 560, 180, 120
OWN_BYTES, LOG_BYTES = 12 << 20, 150 << 20  # of an empty store, as in test_space.py
VISIBLE_SLACK_BYTES = 1 << 20
WORK = ("strait_tasks", "strait_leases", "strait_loads")
NO_MIRROR = 3  # of deploy/base-image


def command(*words, stdin=None, timeout=COMMAND_SECONDS, **options):
    """stdout, as text; `stdin`: text, bytes or an open file."""
    words = [str(word) for word in words]
    given = {"stdin": stdin} if hasattr(stdin, "fileno") else {"input": stdin.encode() if isinstance(stdin, str) else stdin}
    done = subprocess.run(words, capture_output=True, timeout=timeout, **given, **options)
    done.stdout, done.stderr = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    if done.returncode != 0:
        raise conftest.Failed(words, done)
    return done.stdout


def docker(*words, **options):
    return command("docker", *words, **options)


def until(condition, what, seconds=CONDITION_SECONDS):
    """What `condition` gives once that is true; `what` says what there is instead."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s: {what()}")


# ---- the image ----


def absent():
    """Why there can be no containers here; None: there can."""
    for program in ("docker", "docker-compose"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    done = subprocess.run(["docker", "version"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"no container engine answers: {done.stderr.strip().splitlines()[-1]}"


def has_image(name):
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True).returncode == 0


def base():
    """What the engine has, or what debootstrap makes; skips the test where nobody may make one or nothing comes from the mirror."""
    if has_image(PRODUCT_BASE):
        return PRODUCT_BASE
    if os.geteuid() != 0 and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode != 0:
        pytest.skip("no base image can be made: needs root, or sudo that does not ask")
    done = subprocess.run([ROOT / "deploy/base-image", "--name", BASE], capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode == NO_MIRROR:
        pytest.skip(f"no base image can be made: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, f"deploy/base-image: exit {done.returncode}\n{done.stderr[-3000:]}"
    return BASE


def build():
    """The image of this checkout, by compose.yaml, and what it was compiled in; layers that are there are taken."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "0", "STRAIT_BASE": base(), "STRAIT_IMAGE": NAME}  # not every client has the other builder
    label = Path(f"/var/tmp/{NAME}-build.json")
    label.write_text(json.dumps({"services": {"init": {"build": {"labels": {"strait.test": NAME}}}}}))
    try:
        docker("build", "--quiet", "--label", f"strait.test={NAME}", "--build-arg", f"BASE={base()}", "--target", "build", "-t", BUILD,
               "-f", ROOT / "deploy/Dockerfile", ROOT, timeout=BUILD_SECONDS, env=environment)
        command("docker-compose", "-p", NAME, "-f", ROOT / "deploy/compose.yaml", "-f", label, "build", "init",
                timeout=BUILD_SECONDS, env=environment)
    except conftest.Failed as failed:
        pytest.fail(f"the image cannot be built: {failed}")
    finally:
        label.unlink()


@functools.cache
def image():
    """The image of this checkout, or what STRAIT_IMAGE names. One process builds, others wait for it."""
    reason = absent()
    if reason:
        pytest.skip(reason)
    if "STRAIT_IMAGE" in os.environ:
        return os.environ["STRAIT_IMAGE"]
    with open(f"/var/tmp/{NAME}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build()
        return NAME


def remove():
    labelled = f"label=strait.test={NAME}"
    for kind, listing in (("container", ["ls", "-aq", "--filter", labelled]), ("volume", ["ls", "-q", "--filter", labelled]),
                          ("network", ["ls", "-q", "--filter", f"name=^{NAME}-"])):
        for one in docker(kind, *listing).split():
            docker(kind, "rm", *(["-f"] if kind != "network" else []), one)
    names = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={NAME}*").split()
    for one in names:
        docker("image", "rm", one)
    for one in set(docker("image", "ls", "-q", "--filter", f"label=strait.test={NAME}").split()):  # a later build took its name
        docker("image", "rm", "-f", one)
    for left in Path("/var/tmp").glob(f"{NAME}*"):
        left.unlink()


# ---- what the documents say ----


def blocks(path, heading):
    """The blocks of the sections whose heading begins so: fenced ones of `sh`, and indented ones."""
    sections = re.split(r"^## ", path.read_text(), flags=re.M)
    text = "\n".join(part for part in sections if part.startswith(heading))
    fenced = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
    indented = re.findall(r"(?:^    .*\n(?:^\n(?=    ))?)+", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S), re.M)
    return fenced + ["\n".join(line[4:] for line in block.splitlines()) for block in indented]


def block_of(words):
    """That block of deploy/README.md's "Three regions in service" which has these words."""
    found = [block for block in blocks(DEPLOY_README, "Three regions in service") if words in block]
    assert len(found) == 1, (words, found)
    return found[0]


def for_region(text, region):
    """What is said of Hong Kong, of another region; what is said of that one then is Hong Kong's."""
    swapped = {HONGKONG: region.name, "hk": ALIASES[region.name], region.name: HONGKONG, ALIASES[region.name]: "hk"}
    return re.sub(r"(?<![\w-])(%s)(?![\w])" % "|".join(swapped), lambda found: swapped[found[1]], text)


# ---- a cluster ----


class Region(conftest.Region):
    """One node, and its client in the same container."""

    def __init__(self, compose, name):
        self.compose, self.name = compose, name
        self.container = f"{compose.project}_{name}_1"
        self.client = ["docker", "exec", "-i", self.container, "strait"]

    def strait(self, *words, **options):
        return command(*self.client, *words, **options)

    def fill(self, table, rng, rows=12000, partitions=20):
        """A new table of 0.5 KB a row that does not compress, and TABLE_1, its snapshot."""
        self.sql(f"CREATE TABLE {table} (id BIGINT, text STRING) PARTITIONED BY (p BIGINT);")
        lines = "".join(f"{i},{rng.randbytes(512).hex()},{i % partitions}\n" for i in range(rows))
        self.strait("tunnel", "upload", "-acp=true", "-", table, stdin=lines)
        self.sql(f"CREATE SNAPSHOT TABLE {table}_1 CLONE {table};")

    def upload(self, path, table, *options):
        with open(path, "rb") as file:
            return self.strait("tunnel", "upload", *options, "-", table, stdin=file)

    def lines(self, table):
        """Its rows as CSV, sorted."""
        return sorted(self.strait("tunnel", "download", table, "-").splitlines())

    def task(self, task_id):
        return next(row for row in self.sql("SHOW TASKS;") if row["task_id"] == task_id)

    def begin(self, snapshot, source, bandwidth="2 Mbit/s"):
        """An XCOPY of which something is here and something is not: the channel is slow until `full_speed`."""
        return self.under_way(self.post(snapshot, source, bandwidth))

    def post(self, snapshot, source, bandwidth):
        self.sql(f"ALTER CHANNEL FROM '{source.name}' SET BANDWIDTH '{bandwidth}';")
        return self.xcopy(snapshot, source=source.name, wait="false")["task_id"]

    def under_way(self, task):
        until(lambda: int(self.task(task)["bytes_done"] or 0) > 0, lambda: self.task(task))
        row = self.task(task)
        assert row["state"] == "RUNNING", f"too fast to be disturbed: {row}"
        return task

    def full_speed(self, source):
        self.sql(f"ALTER CHANNEL FROM '{source.name}' SET BANDWIDTH DEFAULT;")

    def ends_well(self, task):
        until(lambda: self.task(task)["state"] not in ("QUEUED", "RUNNING"), lambda: f"{self.task(task)}\n{self.log[-3000:]}")
        row = self.task(task)
        assert row["state"] == "DONE", row
        return row

    def origin(self, row):
        """(region, snapshot) that a row of SHOW SNAPSHOT TABLES is a replica of; its own name where it was made here."""
        told = self.strait("sql", "--quiet", "-e", f"DESC EXTENDED {row['snapshot']};")
        named = re.search(r"OriginSnapshot: +(\S+)", told)
        return row["origin_region"], named[1] if named else row["snapshot"]

    # what is done to it

    def kill(self):
        self.compose.rows_compared.clear()
        docker("kill", "-s", "KILL", self.container)

    def start(self):
        docker("start", self.container)
        self.answers()

    def stop(self):
        """SIGTERM. A node that was killed after compose.yaml's grace, or ended itself after 10 s, has another status than 0."""
        self.compose.rows_compared.clear()
        docker("stop", "-t", "15", self.container)
        assert self.inspect("{{.State.ExitCode}}") == "0", self.log[-2000:]

    def pause(self):
        docker("pause", self.container)

    def unpause(self):
        docker("unpause", self.container)

    def cut_off(self):
        docker("network", "disconnect", f"{self.compose.project}_backbone", self.container)

    def join(self):
        docker("network", "connect", "--alias", self.name, f"{self.compose.project}_backbone", self.container)

    def answers(self):
        until(lambda: subprocess.run([*self.client, "status"], capture_output=True).returncode == 0, lambda: self.log[-3000:])

    def lose(self, *volumes):
        """The container and volumes of it ("data", "config") are gone; `compose.up` makes them anew, empty."""
        docker("rm", "-f", self.container, f"{self.compose.project}_init_1")
        self.compose.rows_compared.clear()
        for volume in volumes:
            docker("volume", "rm", f"{self.compose.project}_{self.name}-{volume}")

    def configure(self, *lines):
        """Adds settings, as deploy/README.md says, and starts the node again."""
        text = self.compose.run("run", "--rm", "-T", "init", "regions", "show", self.name)
        self.compose.run("run", "--rm", "-T", "init", "regions", "set", self.name, stdin="\n".join(lines) + "\n" + text)
        docker("restart", "-t", "15", self.container)
        self.answers()

    # what it is

    def inspect(self, form):
        return docker("inspect", "--format", form, self.container).strip()

    @property
    def log(self):
        done = subprocess.run(["docker", "logs", self.container], capture_output=True, timeout=COMMAND_SECONDS)
        return (done.stdout + done.stderr).decode(errors="replace")

    def gauges(self, *names):
        text = self.strait("status", "--format", "prometheus")
        return {name: int(re.search(rf"^{name} (\d+)", text, re.M)[1]) for name in names}

    def processes(self):
        return [row.split(None, 7)[7] for row in docker("top", self.container).splitlines()[1:]]

    def leftovers(self):
        """What is wrong with the space that it takes, after a clean-up; empty: nothing. Equal content of a table and its snapshots
        counts once."""
        live = int(self.one("CLEANUP;")["bytes_live"])
        seen = {(row["table"], int(row["bytes"])) for row in self.sql("SHOW TABLES;") if row["kind"] == "TABLE"}
        seen |= {(row["base_table"], int(row["bytes"])) for row in self.sql("SHOW SNAPSHOT TABLES;")}
        told = docker("exec", self.container, "find", "/var/lib/strait/tmp", "-mindepth", "1").split()
        most, least = sum(size for _, size in seen), max((size for _, size in seen), default=0)
        if not least <= live <= most * 1.02 + VISIBLE_SLACK_BYTES:
            told.append(f"{live} bytes live of {most} visible: {sorted(seen)}")
        return told

    def disk(self):
        """(bytes of everything but logs, bytes of logs) that it has stored."""
        sizes = docker("exec", self.container, "find", "/var/lib/strait", "-type", "f", "-printf", "%s %f\\n").splitlines()
        split = [(int(size), name.endswith(".log")) for size, name in (line.split(" ", 1) for line in sizes)]
        return sum(size for size, log in split if not log), sum(size for size, log in split if log)

    def fsck(self):
        """Stops the node and checks its store."""
        self.stop()
        settings = [word for one in json.loads(self.inspect("{{json .Config.Env}}")) for word in ("--env", one)]
        return docker("run", "--rm", "--network", "none", "--label", f"strait.test={NAME}", "--volumes-from", self.container, *settings,
                      self.inspect("{{.Config.Image}}"), "straitd", "--fsck", "-c", "/etc/strait/straitd.conf")


class Compose:
    """A project of its own name: deploy/compose.yaml and an override. `faults`: nodes whose clocks the test sets. `tag`: another
    image. `bound`: volume -> the folder of the machine that it is."""

    def __init__(self, name, faults=False, tag=None, bound=None):
        self.project = f"{NAME}-{name}"
        self.image = tag or image()
        self.faults = faults
        self.bound = bound or {}
        self.ahead = 0
        self.rows_compared = set()
        self.environment = {**os.environ, "STRAIT_IMAGE": self.image, "COMPOSE_PROJECT_NAME": self.project}
        self.override = Path(f"/var/tmp/{self.project}.json")
        self.regions = [Region(self, name) for name in REGIONS]

    def write_override(self):
        label = {"strait.test": NAME}  # not of networks: what is said of one here takes the place of all that compose.yaml says of it
        service = {"labels": label, "healthcheck": {"interval": "1s", "timeout": "2s", "retries": 2}}
        names = [f"{region}-{kind}" for region in REGIONS for kind in ("config", "data")]
        more = {
            "services": {"init": {"labels": label}, "client": {"labels": label}, **{name: dict(service) for name in REGIONS}},
            "volumes": {name: {"labels": label} for name in names},
        }
        for volume, folder in self.bound.items():
            more["volumes"][volume]["driver_opts"] = {"type": "none", "o": "bind", "device": str(folder)}
        if self.faults:
            more["volumes"]["faults"] = {"name": f"{self.project}_faults", "external": True}
            for name in (*REGIONS, "client"):
                environment = {"LD_PRELOAD": "/faults/faults.so", "FAULTS_AHEAD": "/faults/ahead"}
                if name in REGIONS:
                    environment["FAULTS_CLOCK"] = f"/faults/{name}"
                more["services"][name] |= {"volumes": ["faults:/faults"], "environment": environment}
        self.override.write_text(json.dumps(more))

    def make_faults(self):
        """faults/preload.c, compiled where the programs were; every clock is right at first."""
        volume = f"{self.project}_faults"
        docker("volume", "create", "--label", f"strait.test={NAME}", volume)
        inside = ["run", "--rm", "-i", "--network", "none", "--label", f"strait.test={NAME}", "-v", f"{volume}:/faults", BUILD]
        source = (ROOT / "cluster-tests/faults/preload.c").read_bytes()
        docker(*inside, "gcc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-x", "c", "-", "-o", "/faults/faults.so", stdin=source)
        files = " ".join(f"/faults/{name}" for name in ("ahead", *REGIONS))
        docker(*inside, "sh", "-c", f"truncate -s 8 {files} && chmod 666 {files}")

    def clock(self, name, seconds):
        """`ahead`: so many seconds more have gone by, for all; a region: its wall clock is off by so many."""
        running = next(region for region in self.regions if region.inspect("{{.State.Status}}") == "running")
        docker("exec", "-i", running.container, "dd", f"of=/faults/{name}", "conv=notrunc", "status=none",
               stdin=struct.pack("=q", seconds))

    def gone_by(self, seconds):
        """So many seconds more have gone by, for all three."""
        self.ahead += seconds
        self.clock("ahead", self.ahead)

    def set_to(self, moment):
        """It is that time, for all three; never earlier than it was."""
        wanted = int(moment.timestamp() - time.time())
        assert wanted >= self.ahead, (moment, self.ahead)
        self.gone_by(wanted - self.ahead)

    def run_told(self, *words):
        """stderr of what ended well."""
        done = subprocess.run([str(word) for word in self.words(*words)], capture_output=True, text=True, timeout=COMMAND_SECONDS,
                              env=self.environment)
        assert done.returncode == 0, done
        return done.stderr

    def words(self, *words):
        return ["docker-compose", "-p", self.project, "-f", ROOT / "deploy/compose.yaml", "-f", self.override, *words]

    def run(self, *words, **options):
        return command(*self.words(*words), env=self.environment, **options)

    def shell(self, text, folder, *, edit=""):
        """stdout of what deploy/README.md has for three regions, run as it stands, with its aliases; `$open` is the text that opens
        a project, `editor FILE` what `edit` (a script of sed) does to it."""
        mine = blocks(DEPLOY_README, "Three regions")
        aliases = [line for block in mine for line in block.splitlines() if line.startswith(("alias ", "open="))]
        files = shlex.join(str(word) for word in ("-f", ROOT / "deploy/compose.yaml", "-f", self.override))
        script = ["shopt -s expand_aliases", f'docker-compose() {{ [ "$1 $2" = "-f deploy/compose.yaml" ]; command docker-compose {files} "${{@:3}}"; }}',
                  f"editor() {{ sed -i {shlex.quote(edit)} \"$1\"; }}", *aliases, text.replace(" strait_", f" {self.project}_")]
        return command("bash", "-euc", "\n".join(script), cwd=folder, env=self.environment)

    def first_up(self, *settings):
        """With lines for every straitd.conf, which are there before the nodes start."""
        self.write_override()
        if self.faults:
            self.make_faults()
        add = f"for file in /regions/*/straitd.conf; do old=$(cat $file); printf '%s\\n' {shlex.join(settings)} \"$old\" >$file; done"
        self.run("run", "--rm", "-T", "init", "sh", "-ec", f"regions make {' '.join(REGIONS)}; {add}")
        return self.up()

    def up(self):
        self.run("up", "-d", "--no-build")
        with ThreadPoolExecutor() as pool:
            list(pool.map(Region.answers, self.regions))
        return self.regions

    def replace(self, region, image):
        """As deploy/README.md says, with an image that is there: one service, and nothing but it."""
        self.rows_compared.clear()
        self.environment["STRAIT_IMAGE"] = image
        steps = [line for line in block_of("--no-deps cn-hongkong\nuntil").splitlines() if "cn-hongkong" in line or line.startswith("until")]
        assert len(steps) == 2, steps
        self.shell(for_region("\n".join(steps), region), "/var/tmp")

    def open(self):
        """README's first step: a project in each region, whose data may leave."""
        text = ("CREATE PROJECT IF NOT EXISTS demo; ALTER PROJECT demo ENABLE XCOPY;"
                "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE;")
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda region: region.sql(text), self.regions))

    def down(self):
        if not self.override.exists():
            return
        self.run("down", "-v", "--remove-orphans", "-t", "15")
        subprocess.run(["docker", "volume", "rm", f"{self.project}_faults"], capture_output=True)
        self.override.unlink()


def opened(name, **options):
    """A cluster in which nothing that is replaced or dropped is kept for longer than a second; ended well, or not at all."""
    made = Compose(name, **options)
    with open(f"/var/tmp/{made.project}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run of the same tests
        made.down()  # of a run that was interrupted
        try:
            made.first_up('history_retention = "1s"')
            made.open()
            yield made
            empties(made)
        finally:
            made.down()


# ---- what holds after each test ----


def idle(region):
    until(lambda: not any(region.gauges(*WORK).values()), lambda: f"{region.name}: {region.gauges(*WORK)}\n{region.log[-3000:]}")
    until(lambda: region.processes() == ["straitd -c /etc/strait/straitd.conf"], lambda: f"{region.name}: {region.processes()}")
    assert not any(word in region.log for word in conftest.BROKEN), region.log[-6000:]
    until(lambda: not region.leftovers(), lambda: f"{region.name}: {region.leftovers()}")


def settled(compose):
    """Every visible replica is its source, by root and by rows; nothing is left running, and no space is taken but by what is visible."""
    by_name = {region.name: region for region in compose.regions}
    snapshots = {region.name: {row["snapshot"]: row for row in region.sql("SHOW SNAPSHOT TABLES;")} for region in compose.regions}
    compared = 0
    for region in compose.regions:
        for name, row in snapshots[region.name].items():
            if row["origin_region"] == region.name:
                continue
            origin, named = region.origin(row)
            if named not in snapshots[origin]:
                continue
            assert row["version"] == snapshots[origin][named]["version"], (region.name, row, snapshots[origin][named])
            compared += 1
            if (region.name, name, row["version"]) not in compose.rows_compared:  # it does not change in a process that lives on
                assert region.lines(name) == by_name[origin].lines(named), (region.name, name)
                compose.rows_compared.add((region.name, name, row["version"]))
    with ThreadPoolExecutor() as pool:
        list(pool.map(idle, compose.regions))
    return compared


def drop_all(region, project="demo"):
    shown = {kind: region.sql(f"SHOW {kind} IN {project};") for kind in ("SCHEDULES", "SNAPSHOT TABLES", "TABLES")}
    drops = [f"DROP SCHEDULE {row['schedule']};" for row in shown["SCHEDULES"]]
    drops += [f"DROP SNAPSHOT TABLE {row['snapshot']};" for row in shown["SNAPSHOT TABLES"]]
    drops += [f"DROP TABLE {row['table']};" for row in shown["TABLES"] if row["kind"] == "TABLE"]
    region.sql(f"USE {project}; {' '.join(drops)}")


def empty(region):
    drop_all(region)
    until(lambda: int(region.one("CLEANUP;")["bytes_live"]) == 0, lambda: region.one("CLEANUP;"))
    region.sql("CLEANUP;")
    stored, logs = region.disk()
    assert stored <= OWN_BYTES and logs <= LOG_BYTES, (region.name, stored, logs)
    assert " 0 faults" in region.fsck()


def empties(compose):
    """Nothing leaks space: once all is dropped, nothing is live, nothing is on disk, and fsck finds no fault."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(empty, compose.regions))


if __name__ == "__main__":
    VERBS = {("image",): lambda: print(image()), ("remove",): remove}
    sys.exit(VERBS.get(tuple(sys.argv[1:]), lambda: __doc__)())
