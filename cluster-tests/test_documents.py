"""What the documents say is run: docs/statements.md against two regions, README's shell blocks, and whether all is in them."""
import re
import subprocess

import pytest

from conftest import BIN, DESTINATION, ROOT, SOURCE
from documents import Block, Difference, Runner, blocks_read, document_check, result_matches, section_script

STATEMENTS = ROOT / "docs/statements.md"
SCRIPTS = [path for path in [ROOT / "docs/operations.md"] if path.exists()]  # documents of sh blocks


@pytest.fixture
def runner(cluster, tmp_path):
    made = Runner(tmp_path / "scratch", cluster.folder)
    yield made
    made.close()


def test_every_example_of_statements_does_what_it_shows(cluster, runner):
    source, _ = cluster.up(SOURCE, DESTINATION)
    document_check(STATEMENTS, runner)
    absent = "NOTHING" * 18
    views = re.search(r"INFORMATION_SCHEMA has (.*)", source.refused(f"SELECT * FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.{absent};"))[1]
    shown = {name for text in examples() for name in re.findall(r"INFORMATION_SCHEMA\.(\w+)", text)}
    assert set(views.split(", ")) == shown


def script_run(runner, script):
    code, out = runner.sh(script.replace("/tmp/strait", str(runner.cluster)))
    assert code == 0, f"{script}\n{out}"
    return out


def test_readme_does_by_hand_what_it_says(cluster, runner):
    text = (ROOT / "README.md").read_text()
    assert "| 299.00 | 2026-01-01 |" in script_run(runner, section_script(text, "Five minutes by hand"))


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_document_of_scripts_does_what_it_shows(runner, path):
    document_check(path, runner)


# ---- what has to be there ----

def blocks(kind):
    return [block for block in blocks_read(STATEMENTS.read_text(encoding="utf-8")) if block.kind == kind]


def statements_split(text):
    """Statements by ';', a schedule's up to its END; strings and comments as the grammar has them."""
    parts = re.findall(r"(?:'[^']*'|\"[^\"]*\"|\bBEGIN\b.*?\bEND\b|--[^\n]*|[^;'\"])+;", text, re.S)
    return [" ".join(re.sub(r"--[^\n]*", "", part).split()) for part in parts]


def examples():
    return [text for block in blocks("sql") for text in statements_split(block.text)]


def forms_split(text):
    """Forms one by one; a form goes on where a line begins deeper than it."""
    return [" ".join(line.split()) for line in re.sub(r"\n\s{4,}", " ", text).splitlines() if line.strip()]


def productions():
    """The first words of each statement that the parser takes, and of those it only knows."""
    table = re.search(r"productions\[\] = \{(.*?)\n\};", (ROOT / "node/sql/parser.c").read_text(), re.S)[1]
    rows = re.findall(r"\{\{(K\(\w+\)(?:,\s*K\(\w+\))*)\},\s*\w+,\s*\w+,\s*(\w+)\}", table)
    words = [(" ".join(re.findall(r"K\((\w+)\)", row)), parse) for row, parse in rows]
    assert len(words) == table.count("{{") and len(words) > 60
    return [row for row, parse in words if parse != "NULL"], [row for row, parse in words if parse == "NULL"]


def test_every_statement_of_the_parser_has_an_example_and_no_other():
    known, later = productions()
    texts = [text.upper() for text in examples()]
    known.remove("XCOPY TABLE")  # is there to be refused with a better word
    missing = [words for words in known if not any(re.match(rf"{words}[ ;]", text) for text in texts)]
    assert not missing, missing
    unknown = [text for text in texts if not any(text.startswith(words) for words in [*known, "SELECT", "WITH"])]
    assert not unknown, unknown
    assert "UPDATE" in later and not any(text.startswith("UPDATE") for text in texts)


def test_forms_are_those_of_the_help():
    told = subprocess.run([BIN / "strait", "sql", "--help"], capture_output=True, text=True, check=True, timeout=60).stdout
    told = forms_split(told.split("each ended by ';':\n")[1])
    written = [form for block in blocks("form") for form in forms_split(block.text)]
    assert sorted(written) == sorted(told)


def test_every_word_of_a_form_is_in_an_example_of_its_section():
    """Behind a form its examples; those of SHOW and EXPLAIN stand where what they show does."""
    sections = []
    for block in blocks_read(STATEMENTS.read_text(encoding="utf-8")):
        if block.kind == "form":
            sections.append([block, ""])
        elif block.kind == "sql" and sections:
            sections[-1][1] += f" {block.text}"
    for form, text in sections:
        first = form.text.split()[0]
        if first in ("SHOW", "EXPLAIN"):
            text = " ".join(example for example in examples() if example.startswith((first, "LIST")))
        plain = re.sub(r"'[^']*'|\"[^\"]*\"| {5}\([^()]*(?:\([^()]*\))?[^()]*\)|(?:ALIYUN|RAM)\$", "", form.text)
        words = set(re.findall(r"\b[A-Z]{2,}\b", plain))
        given = {word.upper() for word in re.findall(r"\w+", text)}
        assert words <= given, f"{form}: no example of {', '.join(sorted(words - given))}"


# ---- the comparison itself ----

@pytest.mark.parametrize("expected, actual, same", [
    ("| a |  b |", "| a | b |", True),
    ("| a | b |", "| a | c |", False),
    ("| a | b |", "| a | b |\nmore", False),
    ("+---+", "+-----+", True),
    ("+---+", "+---+---+", False),
    ("task <id> ended", "task 00112233445566778899aabbccddeeff ended", True),
    ("task <id> ended", "task 0011 ended", False),
    ("at <time>.", "at 2026-01-01 00:00:00.123.", True),
    ("at <time>.", "at noon.", False),
    ("<number>", "1.5", True),
    ("<number>", "many", False),
    ("two  blanks", "two blanks", False),
    ("<id:a> <id:a>", "0011223344556677 0011223344556677", True),
    ("<id:a> <id:a>", "0011223344556677 0011223344556678", False),
])
def test_results_are_compared_letter_by_letter(expected, actual, same):
    assert result_matches(expected, actual, {}) == same


def test_scripts_stop_at_their_first_error_and_keep_what_they_set(runner):
    assert runner.sh("x=1; f() { echo $x; }\nalias g='f'\ng")[1] == "1\n"
    assert runner.sh("g | cat") == (0, "1\n")
    assert runner.sh("false; echo not reached", fails=True) == (1, "")
    assert runner.sh("x=3; false", fails=True)[0] == 1 and runner.sh("g")[1] == "1\n"
    assert runner.sh("false | cat\necho not reached")[0] != 0


@pytest.mark.parametrize("text, words", [
    ("```sql\nA;\n```\n", "line 1, sql: expected a region"),
    ("```sql mars\nA;\n```\n", "line 1, sql mars: expected a region"),
    ("```sql sg failing\nA;\n```\n", "failing: expected"),
    ("```sh json\na\n```\n", "json: expected"),
    ("\n```sh\na\n", "line 2: this block has no end"),
    ("```result\na\n```\n", "no block before it"),
    ("```sh\na\n```\n```result\na\n```\n```result\nb\n```\n", "line 7, result: no block before it"),
])
def test_blocks_that_mean_nothing_are_refused(text, words):
    with pytest.raises(Difference, match=words):
        blocks_read(text)


def test_blocks_are_read_with_their_results():
    text = "```sql sg\nA;\n```\n\n```result\na\n```\n\n```sh\nb\n```\n```text\n```\n"
    first, second = blocks_read(text)
    assert (first.kind, first.words, first.text, first.result.text) == ("sql", ["sg"], "A;", "a")
    assert isinstance(second, Block) and (second.kind, second.result) == ("sh", None)
