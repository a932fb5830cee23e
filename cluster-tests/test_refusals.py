"""Bad input: what, where, what to do; and nothing half done."""
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from conftest import BIN, DESTINATION, SOURCE, Failed, command


@pytest.fixture
def region(cluster):
    return cluster.up(SOURCE)[0]


def upload_refused(region, path, *options):
    with pytest.raises(Failed) as caught:
        region.upload(path, "t", *options)
    assert caught.value.code == 1
    return caught.value.stderr


def straitd_refused(config):
    done = subprocess.run([BIN / "straitd", "-c", config], capture_output=True, text=True, timeout=30)
    assert done.returncode not in (0, -6, -11, 134, 139), done
    return done.stderr


def edited(config, pattern, replacement):
    copy = config.with_name("edited.conf")
    text, count = re.subn(pattern, replacement, config.read_text(), count=1)
    assert count == 1
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("content, wanted", [
    ("1,a\nx,b\n", "line 2"), ("1,a\n2\n", "line 2"), ("1,a,b\n", "line 1"), ('1,"open\n', "line 1"),
    ("1,a\n99999999999999999999,b\n", "line 2"), ("1,\udcff\n", "line 1")])
def test_bad_csv_names_the_line_and_loads_nothing(region, tmp_path, content, wanted):
    region.sql("CREATE TABLE t (a BIGINT, b STRING); INSERT INTO t VALUES (7, 'kept');")
    path = tmp_path / "bad.csv"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert wanted in upload_refused(region, path)
    assert [row["a"] for row in region.sql("SELECT a FROM t;")] == [7]


def test_header_must_name_the_columns(region, tmp_path):
    region.sql("CREATE TABLE t (a BIGINT, b STRING);")
    (tmp_path / "h.csv").write_text("b,c\nx,1\n")
    text = upload_refused(region, tmp_path / "h.csv", "-h=true")
    assert "unknown column c" in text and "missing column a" in text
    (tmp_path / "h.csv").write_text("b,a\nx,1\n")
    region.upload(tmp_path / "h.csv", "t", "-h=true")
    assert region.sql("SELECT * FROM t;") == [{"a": 1, "b": "x"}]


def test_missing_file_and_missing_table(region, tmp_path):
    region.sql("CREATE TABLE here (a BIGINT);")
    with pytest.raises(Failed) as caught:
        region.upload(tmp_path / "no.csv", "here")
    assert "no.csv" in caught.value.stderr and caught.value.code in (1, 2)
    with pytest.raises(Failed) as caught:
        region.upload(tmp_path / "no.csv", "nowhere")
    assert "no.csv" in caught.value.stderr  # the first mistake, not what the node says of the second
    (tmp_path / "x.csv").write_text("1\n")
    assert "not found" in upload_refused(region, tmp_path / "x.csv")


@pytest.mark.parametrize("text, wanted", [
    ("SELEC 1;", "line 1, column 1"), ("CREATE TABLE t (a BIGINT,\n  b NOTYPE);", "line 2"),
    ("CREATE TABLE t (a BIGINT", "expected"), ("SELECT * FROM nowhere;", "not found"),
    ("DROP TABLE nowhere;", "not found"), ("CREATE TABLE t (a BIGINT, A STRING);", "a"),
    ("XCOPY SNAPSHOT demo.x TO SNAPSHOT demo.x OPTIONS(src_region='mars-1');", "mars-1"),
    (f"XCOPY SNAPSHOT demo.x TO SNAPSHOT demo.x OPTIONS(src_region='{SOURCE}');", "this region itself"),
    ("XCOPY SNAPSHOT demo.x TO SNAPSHOT demo.x;", "expected"), ("SELECT 'open;", "line 1")])
def test_bad_statements(region, text, wanted):
    assert wanted.lower() in region.refused(text).lower()


def test_xcopy_of_what_is_not_there(pair):
    source, destination = pair
    text = destination.refused(f'XCOPY SNAPSHOT demo.no TO SNAPSHOT demo.no OPTIONS(src_region="{SOURCE}");')
    assert "no" in text and SOURCE in text
    assert destination.sql("SHOW SNAPSHOT TABLES;") == []
    unknown = destination.refused("XCOPY SNAPSHOT demo.x TO SNAPSHOT demo.x OPTIONS(src_region='mars-1');")
    assert "mars-1" in unknown and f"({SOURCE})" in unknown
    source.sql("CREATE TABLE t (a BIGINT);")
    text = destination.refused(f'XCOPY SNAPSHOT demo.t TO SNAPSHOT demo.t OPTIONS(src_region="{SOURCE}");')
    assert "snapshot" in text.lower()


def test_xcopy_onto_a_table_is_refused(pair):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT); CREATE SNAPSHOT TABLE s CLONE t;")
    destination.sql("CREATE TABLE s (b STRING); INSERT INTO s VALUES ('mine');")
    assert "table" in destination.refused(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");').lower()
    assert destination.sql("SELECT * FROM s;") == [{"b": "mine"}]


def test_configuration(region):
    config = region.home / "straitd.conf"
    assert "nonsense" in straitd_refused(edited(config, r"\A", "nonsense = 1\n"))
    text = straitd_refused(edited(config, r"\A", 'region = "twice"\n'))
    assert "region" in text and "edited.conf" in text
    assert "disk_reserve" in straitd_refused(edited(config, r"\A", 'disk_reserve = "much"\n'))
    assert "missing.conf" in straitd_refused(region.home / "missing.conf")


def test_second_process_on_one_directory(region):
    config = region.home / "straitd.conf"
    for listener in ("listen_peers", "listen_operators"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = edited(config, rf"{listener} = .*", f'{listener} = {{"127.0.0.1:{port}"}}')
    text = straitd_refused(config)
    assert str(region.home / "data") in text
    region.sql("SHOW TABLES;")


def test_port_taken(region, tmp_path):
    region.cluster.down()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        config = edited(region.home / "straitd.conf", r'listen_operators = .*',
                        f'listen_operators = {{"127.0.0.1:{port}"}}')
        assert str(port) in straitd_refused(config)


def test_data_directory_of_another_node(pair):
    source, destination = pair
    source.cluster.down()
    config = edited(source.home / "straitd.conf", r'data_dir = "[^"]*"', f'data_dir = "{destination.home}/data"')
    text = straitd_refused(config)
    assert SOURCE in text and DESTINATION in text


def test_what_a_node_makes_is_its_users_alone(cluster):
    """Also in a data_dir that was made by somebody else, open to all."""
    data = cluster.folder / SOURCE / "data"
    data.mkdir(parents=True)
    data.chmod(0o755)
    old = os.umask(0o022)
    try:
        region = cluster.up(SOURCE)[0]
        region.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1);")
    finally:
        os.umask(old)
    region.cluster.down()
    made = [path for path in data.rglob("*")]
    assert len(made) > 5
    assert [path for path in made if path.stat().st_mode & 0o077] == []


def test_key_files(region, tmp_path):
    key = region.home / "node.key"
    with pytest.raises(Failed) as caught:
        command(BIN / "strait", "keygen", key)
    assert str(key) in caught.value.stderr and "exists already" in caught.value.stderr
    assert "ddltask" not in caught.value.stderr
    region.cluster.down()
    copy = Path(shutil.copy(key, tmp_path / "copy.key"))
    config = region.home / "straitd.conf"
    os.chmod(copy, 0o644)
    assert "chmod 600" in straitd_refused(edited(config, r'key_file = "[^"]*"', f'key_file = "{copy}"'))
    os.chmod(copy, 0o600)
    copy.write_bytes(b"garbage")
    assert "copy.key" in straitd_refused(edited(config, r'key_file = "[^"]*"', f'key_file = "{copy}"'))
    copy.unlink()
    assert "copy.key" in straitd_refused(edited(config, r'key_file = "[^"]*"', f'key_file = "{copy}"'))


def test_unknown_client_key_is_turned_away(region, tmp_path):
    command(BIN / "strait", "keygen", tmp_path / "other.key")
    config = tmp_path / "strait.conf"
    config.write_text(re.sub(r'key_file = "[^"]*"', f'key_file = "{tmp_path}/other.key"',
                             (region.home / "strait.conf").read_text()))
    done = subprocess.run([BIN / "strait", "-c", config, "sql", "-e", "SHOW TABLES;"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 3 and done.stderr


def test_node_down_is_exit_3(region):
    region.cluster.down()
    done = subprocess.run([*region.client, "sql", "-e", "SHOW TABLES;"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and "127.0.0.1" in done.stderr


def test_usage_is_exit_2():
    for words in (["nonsense"], ["tunnel", "sideways"], ["sql", "--nonsense"], []):
        done = subprocess.run([BIN / "strait", *words], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and done.stderr, words
