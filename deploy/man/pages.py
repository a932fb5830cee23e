"""A manual page from its template: what the programs say of themselves and the examples of settings are taken over as they
are, so that a page has each option, form and setting that there is.

usage: pages.py BIN TEMPLATE OUT.gz      BIN: the folder of strait and straitd

A template is roff; a line of it that begins with @ is replaced:
    @straitd           the forms of `straitd --help`
    @strait            the commands of `strait --help`, and what `strait COMMAND --help` says of each
    @settings FILE     the settings of deploy/FILE, with defaults and comments
and @VERSION@ anywhere by the version of `strait`. What is not of the form that is expected ends it, with the line.
"""
import gzip
import re
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent


class Unexpected(Exception):
    """A line that none of the forms below fits."""


def told(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True).stdout


def literal(text):
    """As it stands, whatever roff thinks of its characters."""
    for plain, roff in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"), ("~", "\\(ti")):
        text = text.replace(plain, roff)
    return "\\&" + text if text.startswith(".") else text


def prose(text):
    """A sentence: dashes of options are no hyphens, and what is in backquotes is bold."""
    parts = text.split("`")
    for i, part in enumerate(parts):
        part = literal(part) if i % 2 else re.sub(r"(?<!\w)-", r"\\-", part.replace("\\", "\\e")).replace("~", "\\(ti")
        parts[i] = f"\\fB{part}\\fR" if i % 2 else part
    text = "".join(parts)
    return "\\&" + text if text.startswith((".", "'")) else text


def item(head, text):
    return [".TP", f"\\fB{literal(head)}\\fR", prose(text)]


def block(lines):
    return [".PP", ".nf", *[literal(line) or "\\&" for line in lines], ".fi"]


# ---- straitd ----

def straitd_forms(text):
    """[form, what it does] from the usage text."""
    forms = []
    for line in text.splitlines():
        form = re.match(r"(?:usage: | {7})(straitd .*?)(?: {2,}(.*))?$", line) or re.match(r" +(--\S.*?) {2,}(.*)$", line)
        more = re.match(r" {20,}(\S.*)$", line)
        if form:
            forms.append([form[1], form[2] or ""])
        elif more and forms:
            forms[-1][1] += " " + more[1]
        else:
            raise Unexpected(f"straitd --help: {line!r}")
    return forms


def straitd(folder):
    return [line for form, text in straitd_forms(told(folder / "straitd", "--help")) for line in item(form, text)]


# ---- strait ----

def strait_commands(text):
    """(command, what it does) from the usage text."""
    return re.findall(r"^  ([a-z][a-z-]*) +(\S.*)$", text, re.M)


def help_of(program, *words):
    """What a command says of itself: forms as they are, options as a list; then of its own commands (strait X Y ...)."""
    out, forms, inner = [], [], []
    for line in told(program, *words, "--help").splitlines():
        option = re.match(r"  (--?[a-z][a-z-]*) +(\S.*)$", line)
        if option:
            out += item(option[1], option[2])
        else:
            forms.append(line)
            inner += re.findall(rf"strait {' '.join(words)} ([a-z]+) \.\.\.", line)
    if not forms:
        raise Unexpected(f"strait {' '.join(words)} --help says nothing")
    return block(forms) + out + [line for word in inner for line in help_of(program, *words, word)]


def strait(folder):
    program, out = folder / "strait", []
    for name, text in strait_commands(told(program, "--help")):
        out += [f".SS strait {literal(name)}", prose(text), *help_of(program, name)]
    return out


# ---- settings ----

def settings(name):
    """Of an example: what stands above its first empty line; then `name = value   # text`, commented out where it shows a default,
    and `peer "x" {   # text`."""
    head, body = (DEPLOY / name).read_text(encoding="utf-8").split("\n\n", 1)
    out = [prose(line.lstrip("# ")) for line in head.splitlines()]
    for number, line in enumerate(body.splitlines(), head.count("\n") + 3):
        setting = re.match(r"(# *)?( *)([a-z_]+) = (.*?)(?: {2,}# (.*))?$", line)
        group = re.match(r'(# *)?([a-z_]+) "[^"]*" \{(?: +# (.*))?$', line)
        more = re.match(r"#? {20,}# (.*)$", line)
        if setting and not re.match(r"# [A-Z]", line):
            text = (setting[5] or "") + ("" if setting[1] else "; required" if setting[5] else "required")
            out += item(f"{setting[3]} = {setting[4]}", text)
        elif group:
            out += [f".SS {group[2]} \\(dqREGION\\(dq {{ ... }}", prose(group[3] or "")]
        elif more and out:
            out[-1] += " " + prose(more[1])
        elif line not in ("", "}") and not re.match(r"# [A-Z]", line):
            raise Unexpected(f"{name}:{number}: {line!r}")
    return out


def page(template, folder):
    makers = {"straitd": lambda: straitd(folder), "strait": lambda: strait(folder), "settings": settings}
    out = []
    for line in template.read_text(encoding="utf-8").splitlines():
        words = line[1:].split() if line.startswith("@") else []
        out += makers[words[0]](*words[1:]) if words else [line]
    version = told(folder / "strait", "--version").split()[1]
    return "\n".join(out).replace("@VERSION@", version) + "\n"


def main():
    if len(sys.argv) != 4:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    folder, template, out = map(Path, sys.argv[1:])
    try:
        text = page(template, folder.resolve())
    except Unexpected as line:
        print(f"pages.py: {template.name}: not understood: {line}", file=sys.stderr)
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
