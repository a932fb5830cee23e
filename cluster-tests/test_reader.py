"""A reader sees one version from start to end."""
import subprocess
import time

from conftest import BIN, command, read_csv


def test_overwriting_a_snapshot_leaves_its_reader_whole(pair, tmp_path):
    source, destination = pair
    source.sql("CREATE TABLE t (a BIGINT, b STRING);")
    rows = "\n".join(f"{i},first {i}" for i in range(400000))
    (tmp_path / "a.csv").write_text(rows + "\n")
    (tmp_path / "b.csv").write_text("\n".join(f"{i},second {i}" for i in range(400000)) + "\n")
    source.upload(tmp_path / "a.csv", "t")
    source.sql("CREATE SNAPSHOT TABLE s1 CLONE t;")
    source.upload(tmp_path / "b.csv", "t", "--replace-table")
    source.sql("CREATE SNAPSHOT TABLE s2 CLONE t;")
    destination.xcopy("s1", to="s")
    reader = subprocess.Popen([*destination.client, "tunnel", "download", "s", "-"], stdout=subprocess.PIPE, text=True)
    try:
        head = reader.stdout.readline()  # the cursor is open; the pipe's size holds the rest back
        time.sleep(0.2)
        assert destination.xcopy("s2", to="s")["state"] == "DONE"
        lines = [head, *reader.stdout]
    finally:
        reader.stdout.close()
        assert reader.wait(timeout=60) == 0
    assert len(lines) == 400000
    assert all(",first " in line for line in lines)
    out = destination.download("s", tmp_path / "out.csv")
    assert all(row[1].startswith("second ") for row in read_csv(out))
