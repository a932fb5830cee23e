"""What a document has to name because the code has it, and what it may not name because the code does not: rules of style.py.

A complaint is the line that is missing, as far as it can be made from the code. Says nothing of whether a sentence is true.
"""
import re

from project_files import ROOT, c_files, read

FORMATS, THREADS, TESTING, METRICS = "docs/FORMATS.md", "docs/THREADS.md", "docs/TESTING.md", "docs/METRICS.md"
TEST_FILE = re.compile(r"(_test|_fuzz|_trial|/testbed|/bench|/fake_node|/sim/.*|cluster-tests/.*)\.[ch]$|^cluster-tests/")
# Where a family's keys begin with a letter: what of the code says which.
KEY_LETTERS = {
    "catalog": [("store/", r"(?:catalog_key_(?:id|name|bytes)|rights_key_named|records_each|records_load|key_begin)\((?:[^'()]*, )?'(.)'"),
                ("node/channels.c", r"append_u8\(out, '(.)'")],
    "tasks": [("node/task/", r"xcopy_key\('(.)'")],
    "leases": [("node/task/token_use.c", r"#define KEY_\w+ +'(.)'"), ("node/task/receipts.c", r"key\[0\] = '(.)'"),
               ("node/task/xcopy_serving.c", r"key\[0\] = '(.)'"), ("node/task/repair_grant.c", r"'(.)'")],
    "meter": [("node/task/meter", r"key\[0\] (?:=|==) '(.)'|, '(.)'[,)]")],
    "schedule": [("node/schedule/schedule_store.c", r"(?:id_key\((?:ended \? )?|append_u8\(key, )'(.)'(?: : '(.)')?")],
}
# What of a document is a name of the code: tests, counters, and what stands in backquotes with an underscore.
NAMED = r"(?<![\w/])(test_[a-z0-9_]+|strait_[a-z_]+)(?![\w.*])|`([a-z0-9]+_[a-z0-9_]+)`"


def production(files):
    return [name for name in c_files(files) if not TEST_FILE.search(name)]


def missing_lines(document, wanted):
    """Those of `wanted` that no line of the document has, blanks counted as one."""
    lines = {" ".join(line.split()) for line in read(document).splitlines()}
    return [f"{document} lacks: {line}" for line in wanted if " ".join(line.split()) not in lines]


def missing_words(document, wanted):
    text = read(document)
    return [f"{document} does not name {word}" for word in sorted(wanted) if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]


# ---- docs/FORMATS.md ----


def rule_formats_families(files):
    """docs/FORMATS.md has each family of the database, and each letter that keys begin with"""
    text, bad = read(FORMATS), []
    for family in re.findall(r'X\(FAMILY_\w+, "(\w+)"\)', read("store/db.h")):
        if not re.search(rf"^(?:\| |    ){family}\b|[Ff]amily `{family}`", text, re.M):
            bad.append(f"{FORMATS} lacks family {family}")
    for family, places in KEY_LETTERS.items():
        block = family_block(text, family)
        for prefix, pattern in places:
            for name in production(files):
                for found in re.finditer(pattern, read(name)) if name.startswith(prefix) else ():
                    for letter in filter(None, found.groups()):
                        if letter not in block:
                            bad.append(f"{FORMATS} lacks key '{letter}' of family {family} ({name})")
    return sorted(set(bad))


def family_block(text, family):
    """The letters that the family's lines begin with, plain or quoted: from the line that begins with its name, or all below a
    sentence that names it."""
    letters = set()
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text, re.M):
        here = None
        for line in block.splitlines():
            named = re.match(r"    (catalog|history|meta|meter|tasks|leases|audit) +(.*)", line)
            here = named[1] if named else here
            rest = named[2] if named else line.strip()
            letter = re.match(r"'?([A-Za-z])'?(?= )", rest)
            if letter and (here or "schedule") == family:
                letters.add(letter[1])
    return letters


SCALARS = {"uint32": "u32", "uint64": "u64", "bool": "bool", "bytes": "bytes"}


def message_lines(name):
    """A line of docs/FORMATS.md for each message of a .proto: its fields by number, name and type."""
    text = re.sub(r"//[^\n]*", "", read(name))
    for message, line, lines in re.findall(r"^message (\w+) \{(?:([^\n}]*)\}|\n(.*?)^\})", text, re.M | re.S):
        fields = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", line or lines)
        yield f"{message}: " + ", ".join(f"{number} {field} {SCALARS.get(kind, kind)}{'*' if repeated else ''}"
                                         for repeated, kind, field, number in fields)


def rule_formats_messages(files):
    """docs/FORMATS.md has each message of proto/*.proto with its fields and their numbers"""
    text = " ".join(read(FORMATS).split())
    return [f"{FORMATS} lacks: {line}" for name in files if name.endswith(".proto") for line in message_lines(name)
            if line not in text]


def rule_formats_methods(files):
    """docs/FORMATS.md has each request of peers and operators with its number"""
    wanted = [f"{number} {name.lower()}" for header, prefix in (("proto/peer.h", "PEER"), ("proto/operator.h", "OPERATOR"))
              for name, number in re.findall(rf"^    {prefix}_(\w+) = (\d+),", read(header), re.M)
              if name not in ("RUNNING", "DONE", "FAILED")]
    table = set(re.findall(r"^\| (\d+ \w+) \|", read(FORMATS), re.M))
    return [f"{FORMATS} lacks request {one}" for one in wanted if one not in table]


def rule_formats_domains(files):
    """docs/FORMATS.md has each text that a digest is keyed with or a signature begins with"""
    domains = re.findall(r'X\(DOMAIN_\w+, "([^"]+)"\)', read("proto/digest.h"))
    for name in production(files):
        domains += re.findall(r'"strait/1 ([a-z0-9 ]+)"', read(name))
    text = read(FORMATS)
    return [f'{FORMATS} lacks "strait/1 {domain}"' for domain in sorted(set(domains)) if f"strait/1 {domain}" not in text]


def rule_formats_errors(files):
    """docs/FORMATS.md has each error code with its number on the wire"""
    codes = re.findall(r'^    X\((ERR_\w+), CLASS_\w+, "([^"]+)"', read("proto/err.h"), re.M)
    text = " ".join(read(FORMATS).split())
    return [f"{FORMATS} lacks: {number} {name} {public}" for number, (name, public) in enumerate(codes)
            if f"{number} {name} {public}" not in text]


def limit_value(expression, known):
    """Of a C constant of proto/limits.h."""
    text = re.sub(r"\bUINT64_C\((\w+)\)", r"\1", expression)
    text = re.sub(r"\bKIB\(", "1024 * (", re.sub(r"\bMIB\(", "1048576 * (", text))
    text = re.sub(r"\b(\d+)u\b", r"\1", re.sub(r"\bUINT32_MAX\b", "4294967295", text))
    text = re.sub(r"[A-Z][A-Z_0-9]+", lambda found: str(known[found[0]]), text)
    return eval(text.replace("/", "//"), {"__builtins__": {}})  # of our own header


def limits():
    """(name, value) of each, in order."""
    text = re.sub(r"/\*.*?\*/", "", read("proto/limits.h"), flags=re.S).replace("\\\n", " ")
    known = {}
    for name, expression in re.findall(r"^#define ([A-Z_0-9]+) +(\S.*)$", text, re.M):
        known[name] = limit_value(expression.strip(), known)
    return known


def shown(name, value):
    """Sizes in bytes by the largest unit that they are whole in."""
    if "BYTES" in name and "SECOND" not in name:
        for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
            if value % size == 0 and value >= size:
                return f"{value // size} {unit}"
    return f"{value:,}"


def rule_formats_limits(files):
    """docs/FORMATS.md has each limit of proto/limits.h with its value"""
    found = dict(re.findall(r"^    ([A-Z_0-9]{6,}) +([\d,]+(?: [KMGT]iB)?)(?:  |$)", read(FORMATS), re.M))
    return [f"{FORMATS} lacks: {name} {shown(name, value)}" for name, value in limits().items()
            if found.get(name) != shown(name, value)]


# ---- docs/THREADS.md, docs/TESTING.md ----


def rule_threads(files):
    """docs/THREADS.md names each file that starts threads or has a lock"""
    wanted = {name for name in production(files)
              if re.search(r"\bpthread_create\(|^ +(?:static )?pthread_(?:mutex|rwlock)_t \w+;|^static pthread_mutex_t", read(name), re.M)}
    text = read(THREADS)
    return [f"{THREADS} does not name {name}" for name in sorted(wanted)
            if not re.search(rf"\b{name.rsplit('/', 1)[1][:-2]}\.[ch]\b", text)]


def rule_environment(files):
    """docs/TESTING.md names each variable of the environment that programs and tests read"""
    wanted = set()
    for name in files:
        if not name.endswith((".md", ".svg")) and "corpus" not in name and (ROOT / name).stat().st_size < 1 << 20:
            text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
            wanted |= set(re.findall(r"(?<![A-Z_])(?:STRAIT|FAULTS)_[A-Z]+(?:_[A-Z]+)*(?![A-Z_(])", text))
            wanted |= set(re.findall(r'getenv\("([A-Z_]+)"\)', text))
    cmake = set(re.findall(r"\b(STRAIT_[A-Z_]+)\b", "".join(read(n) for n in files if n.endswith(("CMakeLists.txt", "CMakePresets.json")))))
    return missing_words(TESTING, wanted - cmake - {"STRAIT"})


def rule_stages(files):
    """docs/TESTING.md has each stage of cluster-tests/run"""
    stages = set(re.findall(r"^stage_(\w+)\(\)", read("cluster-tests/run"), re.M))
    return sorted(f"{TESTING} lacks stage {stage}" for stage in stages if not re.search(rf"^\| {stage} \|", read(TESTING), re.M))


# ---- docs/METRICS.md ----


def rule_metrics(files):
    """docs/METRICS.md has a line for each metric of the code, and no other"""
    told = set(re.findall(r"\b(?:strait|process)_\w+", " ".join(re.findall(r"^\| ([^|]*) \|", read(METRICS), re.M))))
    made = {name for file in production(files) for name in
            re.findall(r'metric_(?:add|family)\(\s*\w+,\s*COUNTER_\w+,\s*"(\w+)"', read(file))}
    return [f"{METRICS} lacks {name}" for name in sorted(made - told)] + [f"{METRICS}: there is no {name}" for name in sorted(told - made)]


# ---- what is named is there ----


def rule_deploy(files):
    """deploy/README.md names each file of deploy/, or the folder in it that has the file"""
    names = {name.split("/", 1)[1] for name in files if name.startswith("deploy/") and name != "deploy/README.md"}
    return missing_words("deploy/README.md", {name.split("/", 1)[0] + ("/" if "/" in name else "") for name in names})


def rule_folders(files):
    """ARCHITECTURE.md names each folder of the code"""
    text = read("ARCHITECTURE.md")
    folders = {"/".join(name.split("/")[:-1]) + "/" for name in production(files)}
    return sorted(f"ARCHITECTURE.md does not name {folder}" for folder in folders if folder not in text)


def rule_named_places(files):
    """what a document names with its file is in that file: `test_a`, x_test.c; x.c `function`"""
    bad, path = [], r"([\w/-]+\.(?:c|h|py))\b"
    for document in (n for n in files if n.endswith(".md")):
        text = read(document)
        named = [(name, place) for name, place in re.findall(rf"`(test_\w+)`,\s+{path}", text)]
        named += [(name, place) for place, names in re.findall(rf"{path}\s+((?:`\w+`, )*`\w+`)", text) for name in re.findall(r"\w+", names)]
        for name, place in named:
            where = [n for n in files if f"/{n}".endswith(f"/{place}")]
            if where and not any(re.search(rf"\b{name}\b", read(n)) for n in where):
                bad.append(f"{document}: {name} is not in {place}")
    return bad


def rule_named_files(files):
    """a file, test or counter that a document names is there, and a file that the code's comments name"""
    bad, there, words = [], set(files), set()
    for name in files:
        if (ROOT / name).stat().st_size < 1 << 20:
            words |= set(re.findall(r"\w+", (ROOT / name).read_text(encoding="utf-8", errors="replace"))) if not name.endswith(".md") else set()
    words |= {name.rsplit("/", 1)[-1].split(".")[0] for name in files}
    for document in (n for n in files if n.endswith((".md", ".c", ".h", ".proto"))):
        text = read(document)
        for path in re.findall(r"(?<![\w/.-])((?:proto|store|transport|node|cluster-tests|deploy|docs)/[\w/.-]+\.(?:c|h|py|md|proto|svg))\b", text):
            if not re.search(r"(^|/)(test_)?x(_\w+)?\.", path) and path not in there and f"{document.rsplit('/', 1)[0]}/{path}" not in there:
                bad.append(f"{document}: {path} is not there")
        if document.endswith(".md"):
            bad += [f"{document}: link to {link}" for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
                    if not (ROOT / document).parent.joinpath(link).exists()]
            named = {one or other for one, other in re.findall(NAMED, text) if not (one or other).startswith("x_")}
            if not document.startswith("deploy/"):  # there such names are those of containers and networks, too
                bad += [f"{document}: nothing is called {name}" for name in named - words - {"test_x"}]
    return sorted(set(bad))
