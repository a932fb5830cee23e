"""deploy/regions, which makes keys and configurations of the regions in containers: interrupted anywhere, run again, and asked for
what cannot be."""
import os
import re
import stat
import subprocess

import pytest

from conftest import BIN, ROOT

REGIONS = ["ap-southeast-1", "cn-hongkong", "ap-northeast-1"]
FILES = ["client.conf", "node.key", "operator.key", "strait.conf", "straitd.conf"]
STEPS_MAX = 60


@pytest.fixture
def home(tmp_path):
    for name in REGIONS:
        (tmp_path / "regions" / name).mkdir(parents=True)
    return tmp_path / "regions"


def regions(home, *words, stdin="", path=BIN, **environment):
    return subprocess.run([ROOT / "deploy/regions", *words], input=stdin, capture_output=True, text=True, timeout=60,
                          env={"PATH": f"{path}:{BIN}:{os.environ['PATH']}", "REGIONS_HOME": str(home), **environment})


def state(home):
    return {path.relative_to(home): (path.read_text(), path.stat().st_ino) for path in home.rglob("*") if path.is_file()}


def whole(home):
    """Each region has its five files, 0600, and knows the others by the keys that they have."""
    public = {name: subprocess.run([BIN / "strait", "pubkey", home / name / "node.key"], capture_output=True, text=True,
                                   check=True).stdout.strip() for name in REGIONS}
    assert len(set(public.values())) == len(REGIONS)
    assert len({(home / name / "operator.key").read_text() for name in REGIONS}) == 1
    for name in REGIONS:
        assert sorted(os.listdir(home / name)) == FILES
        assert all(stat.S_IMODE((home / name / file).stat().st_mode) == 0o600 for file in FILES)
        known = dict(re.findall(r'peer "(\S+)" \{\s+addresses = .*\s+key = "(\S+)"', (home / name / "straitd.conf").read_text()))
        assert known == {other: key for other, key in public.items() if other != name}
        assert f'node_key = "{public[name]}"' in (home / name / "strait.conf").read_text()
        subprocess.run([BIN / "straitd", "--check", "-c", home / name / "straitd.conf"], check=True)


@pytest.mark.parametrize("program", ["strait", "mv"])
def test_interrupted_at_every_step_and_run_again(tmp_path, home, program):
    """The nth call of a program kills the script; the next run starts from what that left."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / program).write_text(f"""#!/bin/sh
left=$(cat {tmp_path}/left); echo $((left - 1)) >{tmp_path}/left
[ "$left" -gt 0 ] || {{ kill -9 $PPID; exit 1; }}
PATH={BIN}:/usr/bin:/bin exec {program} "$@"
""")
    (broken / program).chmod(0o755)
    for step in range(STEPS_MAX):
        (tmp_path / "left").write_text(str(step))
        if regions(home, "make", *REGIONS, path=broken).returncode == 0:
            break
    assert 3 < step < STEPS_MAX - 1
    whole(home)
    before = state(home)
    again = regions(home, "make", *REGIONS)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert state(home) == before


def test_a_region_that_lost_its_key_is_told_to_the_others(home):
    assert regions(home, "make", *REGIONS).returncode == 0
    for file in FILES:
        (home / REGIONS[2] / file).unlink()
    told = regions(home, "make", *REGIONS)
    assert told.returncode == 0
    for name in REGIONS[:2]:
        assert f"{name} does not know the key of {REGIONS[2]}" in told.stderr and "former_keys" in told.stderr
    assert len({(home / name / "operator.key").read_text() for name in REGIONS}) == 1


def test_a_configuration_is_taken_whole_or_not_at_all(home):
    assert regions(home, "make", *REGIONS).returncode == 0
    before = state(home)
    text = regions(home, "show", REGIONS[0]).stdout
    refused = regions(home, "set", REGIONS[0], stdin=text + "no_such_setting = 1\n")
    assert refused.returncode == 1 and "no_such_setting" in refused.stderr and "stays as it was" in refused.stderr
    assert state(home) == before
    assert regions(home, "set", REGIONS[0], stdin="workers = 3\n" + text).returncode == 0
    assert regions(home, "show", REGIONS[0]).stdout == "workers = 3\n" + text


@pytest.mark.parametrize("words, told", [
    ([], "usage: regions make"), (["mkae"], "usage: regions make"), (["make"], "needs the regions' names"),
    (["make", "nowhere"], "nowhere is no folder"), (["show"], "name one region"), (["set", "nowhere"], "there is no region 'nowhere'"),
    (["show", ".."], "there is no region '..'"),
])
def test_what_cannot_be_is_refused(home, words, told):
    done = regions(home, *words)
    assert done.returncode in (1, 2) and told in done.stderr, done
