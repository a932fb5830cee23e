"""Documents that run: the fenced blocks of a Markdown file, from top to bottom, in a scratch folder.

usage: documents.py --write FILE.md    runs it on two regions of its own and writes the results in

    ```sh            bash with -e and pipefail; one shell for the whole document; it must end with 0
    ```sql sg        statements at a region (REGIONS), by `strait sql -e`; must end with 0
    ```sql ann@sg    the same as account ALIYUN$ann, whose key is made here, or ann:job@sg as RAM$ann:job; in a statement
                     '<key ann@sg>' is what `strait pubkey --for` prints of it, '<public ann>' the public string alone
    ```form          the forms of a statement, compared with `strait sql --help` (test_documents.py)
    ```result        what the block before it printed, both outputs; without one an sql block prints OK alone

Behind these words: `fails` (it must not end with 0), `until` (asked again until the result is the one that follows), `csv`, `json`
(the format). `/tmp/strait` stands for the cluster's folder.

Compared is every letter, but for the widths of table frames and these placeholders: PLACEHOLDERS. `<id:NAME>` keeps a value for
later: in a statement, a script or a result `<id:NAME>` is that value. Not here: what a document has to contain.
"""
import os
import re
import select
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("STRAIT_BIN", ROOT / "build/release/bin"))
REGIONS = {"sg": "ap-southeast-1", "hk": "cn-hongkong", "jp": "ap-northeast-1"}
WORDS = {"sh": {"fails", "until"}, "sql": {"fails", "until", "csv", "json"}, "form": set()}
FOLDER = "/tmp/strait"
BLOCK_SECONDS = 120
UNTIL_SECONDS = 30
PLACEHOLDERS = {
    "id": r"[0-9a-f]{16,}",
    "time": r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?Z?",
    "day": r"\d{4}-\d\d-\d\d",
    "number": r"\d+(?:\.\d+)?",
    "key": r"strait1_[\w-]+",
    "word": r"[A-Z]+",
    "path": r"/\S+",
    "any": r".*",
}
PLACEHOLDER = re.compile(r"<(" + "|".join(PLACEHOLDERS) + r")(?::(\w+))?>")
VOLATILE_COLUMNS = re.compile(r"seconds|wire_bytes|bytes_per_second|bytes_today")
PREAMBLE = r"""
set -e -o pipefail
shopt -s expand_aliases
"""


class Difference(AssertionError):
    """A block that did not do what the document says."""


class Block:
    def __init__(self, kind, words, text, line, first, last):
        self.kind, self.words, self.text, self.line = kind, words, text, line
        self.first, self.last = first, last  # lines of the text, as of a slice
        self.result = None  # the block of it

    def __str__(self):
        return f"line {self.line}, {' '.join([self.kind, *self.words])}"


def block_words_check(block):
    """A word that means nothing would make a block mean less than it says."""
    words = block.words[1:] if block.kind == "sql" else block.words
    place = block.words[0].rpartition("@")[2] if block.kind == "sql" and block.words else "sg"
    if place not in REGIONS or set(words) - WORDS[block.kind] or (block.kind == "sql" and not block.words):
        raise Difference(f"{block}: expected a region for sql ({', '.join(REGIONS)}), then some of "
                         f"{', '.join(sorted(WORDS[block.kind])) or 'nothing'}")


def blocks_read(text):
    """The fenced blocks that mean something, results with the block that they belong to."""
    blocks, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        if not lines[at].startswith("```"):
            at += 1
            continue
        info = lines[at][3:].split()
        end = next((number for number in range(at + 1, len(lines)) if lines[number] == "```"), None)
        if end is None:
            raise Difference(f"line {at + 1}: this block has no end")
        block = Block(info[0] if info else "text", info[1:], "\n".join(lines[at + 1:end]), at + 1, at + 1, end)
        if block.kind == "result":
            if not blocks or blocks[-1].result or blocks[-1].kind == "form":
                raise Difference(f"{block}: no block before it has this result")
            blocks[-1].result = block
        elif block.kind in ("sh", "sql", "form"):
            block_words_check(block)
            blocks.append(block)
        at = end + 1
    return blocks


def section_script(text, heading):
    """The `sh` blocks under a heading as one script, or its indented blocks where it has none; None: no such heading."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if not section:
        return None
    scripts = [block.text for block in blocks_read(section[1]) if block.kind == "sh"]
    return "\n".join(scripts or re.findall(r"^ {4}(.*)", section[1], re.M))


# ---- results ----

def line_plain(line):
    """A line of a table without its widths."""
    if re.fullmatch(r"\+[-+]+\+", line):
        return re.sub(r"-+", "-", line)
    return re.sub(r" +", " ", line) if line.startswith("|") else line.rstrip()


def line_pattern(line, kept):
    """What a line of a result means, as a regular expression, with a group for each name that is kept from here on."""
    pattern, new, at, line = "", set(), 0, line_plain(line)
    for found in PLACEHOLDER.finditer(line):
        kind, name = found.groups()
        pattern += re.escape(line[at:found.start()])
        if name in kept:
            pattern += re.escape(kept[name])
        elif name in new:
            pattern += f"(?P={name})"
        else:
            pattern += f"(?P<{name}>{PLACEHOLDERS[kind]})" if name else f"(?:{PLACEHOLDERS[kind]})"
            new |= {name} - {None}
        at = found.end()
    return pattern + re.escape(line[at:])


def result_matches(expected, actual, kept):
    """Whether it is what is expected; then `kept` has what it names, too."""
    expected, actual = expected.splitlines(), actual.splitlines()
    if len(expected) != len(actual):
        return False
    found = dict(kept)
    for want, got in zip(expected, actual):
        same = re.fullmatch(line_pattern(want, found), line_plain(got))
        if not same:
            return False
        found.update(same.groupdict())
    kept.update(found)
    return True


def is_rule(line):
    return re.fullmatch(r"\+[-+]+\+", line) is not None


def cells_of(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def table_end(lines, first):
    """Behind the table of a header and rows that begins there; `first`: there is none (DESC has frames of other kinds)."""
    rule = lines[first]
    if not is_rule(rule) or lines[first + 2:first + 3] != [rule] or not re.match(r"\|.*[^: ] *\|$", lines[first + 1]):
        return first
    end = next((at for at in range(first + 3, len(lines)) if not lines[at].startswith("|")), first)
    same = all(len(cells_of(line)) == rule.count("+") - 1 for line in [lines[first + 1], *lines[first + 3:end]])
    return end + 1 if same and lines[end:end + 1] == [rule] else first


def table_lay(header, rows):
    """A table's lines, with placeholders for figures that differ each time, each column as wide as its cells then."""
    volatile = [bool(VOLATILE_COLUMNS.search(name)) for name in header]
    rows = [["<number>" if v and re.fullmatch(r"[\d.]+", cell) else volatile_text(cell) for v, cell in zip(volatile, row)]
            for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    numbers = [all(re.fullmatch(r"-?[\d.]+|NULL|<number>", cell) for cell in column) and set(column) != {"NULL"}
               for column in zip(*rows)] or [False] * len(header)
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    head = "| " + " | ".join(cell.ljust(width) for cell, width in zip(header, widths)) + " |"
    body = ["| " + " | ".join(cell.rjust(width) if right else cell.ljust(width)
                              for cell, width, right in zip(row, widths, numbers)) + " |" for row in rows]
    return [rule, head, rule, *body, rule]


def volatile_text(text, pads=False):
    """With placeholders for ids, keys, and times of now and later."""
    def stand_in(name, found):
        return name.ljust(len(found[0])) if pads else name

    def time_of(found):
        when = datetime.strptime(found[0][:19].replace("T", " "), "%Y-%m-%d %H:%M:%S")
        near = timedelta(days=-1) < when - datetime.utcnow() < timedelta(days=420)
        return stand_in("<time>", found) if near else found[0]

    text = re.sub(PLACEHOLDERS["time"], time_of, text)
    text = re.sub(PLACEHOLDERS["key"], "<key>", text)
    return re.sub(r"\b[0-9a-f]{16,}\b", lambda found: stand_in("<id>", found), text)


def volatile_replace(actual):
    """A result as a document shows it: placeholders for what the next run will have otherwise."""
    out, lines, at = [], actual.splitlines(), 0
    while at < len(lines):
        end = table_end(lines, at)
        if end > at:
            out += table_lay(cells_of(lines[at + 1]), [cells_of(line) for line in lines[at + 3:end - 1]])
        else:
            out.append(volatile_text(lines[at], pads=lines[at].startswith("|")))
        at = max(end, at + 1)
    return "\n".join(out)


# ---- running ----

class Runner:
    """A scratch folder with one shell and the clients of a cluster in `cluster`, a folder of deploy/dev-cluster."""

    def __init__(self, folder, cluster):
        self.folder, self.cluster = Path(folder), Path(cluster)
        self.kept = {}
        (self.folder / "build/release").mkdir(parents=True)
        (self.folder / "build/release/bin").symlink_to(BIN)
        (self.folder / "deploy").symlink_to(ROOT / "deploy")
        self.told, telling = os.pipe()
        self.shell = subprocess.Popen(
            ["bash", "--norc"], cwd=self.folder, stdin=subprocess.PIPE, text=True, pass_fds=[telling],
            env={**os.environ, "STRAIT_BIN": str(BIN), "TOLD": str(telling)})
        os.close(telling)
        self.shell_send(PREAMBLE)

    def close(self):
        self.shell.stdin.close()
        self.shell.wait(timeout=BLOCK_SECONDS)
        os.close(self.told)

    def shell_send(self, text):
        self.shell.stdin.write(text + "\n")
        self.shell.stdin.flush()

    # -- sh

    def sh(self, text, fails=False):
        """(exit code, both outputs) of a script in the document's shell."""
        (self.folder / ".block.sh").write_text(text + "\n")
        if fails:
            self.shell_send('set +e; ( set -e; source ./.block.sh ) </dev/null >.block.out 2>&1; '
                            'code=$?; set -e; echo "$code" >&"$TOLD"')
        else:
            self.shell_send('source ./.block.sh </dev/null >.block.out 2>&1; echo 0 >&"$TOLD"')
        code = self.shell_wait()
        return code, (self.folder / ".block.out").read_text(errors="replace")

    def shell_wait(self):
        deadline = time.monotonic() + BLOCK_SECONDS
        while time.monotonic() < deadline:
            if select.select([self.told], [], [], 0.1)[0]:
                told = os.read(self.told, 100).decode()
                if told:
                    return int(told)
            if self.shell.poll() is not None:
                return self.shell.returncode or 1
        raise Difference("a script does not end")

    # -- sql

    def keygen(self, path):
        if not path.exists():
            subprocess.run([BIN / "strait", "keygen", path], check=True, capture_output=True, timeout=BLOCK_SECONDS)

    def public_key(self, who, region):
        """What '<key WHO@REGION>' and '<public WHO>' stand for. WHO: account ann, its user ann:job, ann.2 for a further key."""
        name = who.split(".")[0]
        principal = f"RAM${name}" if ":" in name else f"ALIYUN${name}"
        path = self.folder / f"{who}.key"
        self.keygen(path)
        proof = ["--for", REGIONS[region], principal] if region else []
        return subprocess.run([BIN / "strait", "pubkey", *proof, path], check=True, capture_output=True, text=True,
                              timeout=BLOCK_SECONDS).stdout.strip()

    def client(self, place):
        """The configuration of a region's operator, or of another principal there."""
        who, _, region = place.rpartition("@")
        conf = self.cluster / REGIONS[region] / "strait.conf"
        if not who:
            return conf
        mine = self.folder / f"{who}-{region}.conf"
        self.keygen(self.folder / f"{who}.key")
        mine.write_text(re.sub(r"^key_file.*", f'key_file = "{self.folder / who}.key"', conf.read_text(), flags=re.M))
        return mine

    def sql(self, place, text, words=()):
        """(exit code, both outputs)"""
        form = next((word for word in words if word in ("csv", "json")), "table")
        done = subprocess.run([BIN / "strait", "-c", self.client(place), "sql", "--format", form, "-e", text],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=BLOCK_SECONDS)
        return done.returncode, done.stdout

    # -- blocks

    def text_of(self, block):
        """With what is kept, the keys, and the cluster's folder in it."""
        text = re.sub(r"<(?:key (\S+)@(\w+)|public (\S+))>",
                      lambda found: self.public_key(found[1] or found[3], found[2]), block.text)
        text = PLACEHOLDER.sub(lambda found: self.kept.get(found[2], found[0]), text)
        return text.replace(FOLDER, str(self.cluster))

    def once(self, block):
        text = self.text_of(block)
        if block.kind == "sh":
            return self.sh(text, "fails" in block.words)
        return self.sql(block.words[0], text, block.words[1:])

    def run(self, block):
        """What a block printed, with the cluster's folder by its usual name. Raises Difference for its exit code."""
        deadline = time.monotonic() + UNTIL_SECONDS
        while True:
            code, out = self.once(block)
            out = out.replace(str(self.cluster), FOLDER)
            if (code != 0) != ("fails" in block.words):
                raise Difference(f"{block}: exit code {code}\n{out}")
            if "until" not in block.words or time.monotonic() > deadline or self.agrees(block, out):
                return out
            time.sleep(0.05)

    def agrees(self, block, out):
        if block.result:
            return result_matches(block.result.text, out, self.kept)
        return block.kind == "sh" or not re.sub(r"^OK$", "", out, flags=re.M).strip()

    def check(self, block):
        out = self.run(block)
        if not self.agrees(block, out):
            expected = block.result.text if block.result else "OK alone"
            raise Difference(f"{block}\n{block.text}\n-- the document says\n{expected}\n-- it printed\n{out}")


def document_check(path, runner):
    """Runs a document; raises Difference at the first block that is not as it says."""
    for block in blocks_read(path.read_text(encoding="utf-8")):
        if block.kind != "form":
            runner.check(block)


# ---- writing ----

def document_write(path, runner):
    """Runs a document and writes its results, but those that are right already. True: a block ended with another code."""
    lines = path.read_text(encoding="utf-8").splitlines()
    moved, bad = 0, False
    for block in blocks_read("\n".join(lines)):
        if block.kind == "form":
            continue
        try:
            out = runner.run(block)
        except Difference as difference:
            print(difference)
            bad = True
            continue
        if runner.agrees(block, out):
            continue
        new = volatile_replace(out).splitlines()
        first, last = (block.result.first, block.result.last) if block.result else (block.last + 1, block.last + 1)
        if not block.result:
            new = ["```result", *new, "```"]
        lines[first + moved:last + moved] = new
        moved += len(new) - (last - first)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{block}: written")
    return bad


def main(words):
    if len(words) != 2 or words[0] != "--write":
        print(__doc__, file=sys.stderr)
        return 2
    import tempfile
    folder = Path(tempfile.mkdtemp(prefix="strait-document-"))
    dev = [ROOT / "deploy/dev-cluster"]
    try:
        if "```sql" in Path(words[1]).read_text():
            subprocess.run([*dev, "up", folder / "cluster", REGIONS["sg"], REGIONS["hk"]], check=True, capture_output=True)
        runner = Runner(folder / "scratch", folder / "cluster")
        try:
            bad = document_write(Path(words[1]), runner)
        finally:
            runner.close()
    finally:
        if (folder / "cluster").exists():
            subprocess.run([*dev, "down", folder / "cluster"], check=True)
        shutil.rmtree(folder)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
