"""Users, grants, roles and protection on a live pair: three principals, each with a key of its own."""
import pytest

from conftest import DESTINATION, SOURCE, BIN, Cluster, Failed, command
from test_accounts import Principal, proof


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("rights") / "cluster")
    yield made.up(SOURCE, DESTINATION)
    made.end()


@pytest.fixture(scope="module")
def people(pair, tmp_path_factory):
    """Of each region: account a, which owns project as_, account b, and a's RAM user."""
    folder = tmp_path_factory.mktemp("keys")
    keys = {name: folder / f"{name}.key" for name in ("a", "b", "u")}
    for path in keys.values():
        command(BIN / "strait", "keygen", path)
    made = []
    for root in pair:
        for name in "ab":
            root.sql(f"CREATE ACCOUNT ALIYUN${name} PUBLIC KEY '{proof(root, f'ALIYUN${name}', keys[name])}';")
        root.sql("CREATE PROJECT as_ OWNER ALIYUN$a; CREATE PROJECT bs OWNER ALIYUN$b;")
        a, b = Principal(root, keys["a"]), Principal(root, keys["b"])
        a.sql(f"CREATE USER RAM$a:u PUBLIC KEY '{proof(root, 'RAM$a:u', keys['u'])}';")
        made.append((a, b, Principal(root, keys["u"])))
    a = made[0][0]
    a.sql("USE as_; CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2); CREATE SNAPSHOT TABLE s CLONE t;")
    return made


def test_a_stranger_may_nothing_until_it_is_granted_and_again_after(people, pair, tmp_path):
    a, b, user = people[0]
    for other in (b, user, pair[0]):  # the region's operator as well
        assert "has no Select on as_.t" in other.refused("SELECT * FROM as_.t;")
        assert "has no Select on as_.nothing" in other.refused("SELECT * FROM as_.nothing;")
    assert [row["project"] for row in b.sql("SHOW PROJECTS;")] == ["bs"]
    a.sql("USE as_; ADD USER ALIYUN$b; GRANT Select ON TABLE t TO USER ALIYUN$b;")
    assert [row["a"] for row in b.sql("SELECT a FROM as_.t ORDER BY a;")] == [1, 2]
    assert "has no Describe on as_.t" in b.refused("DESC as_.t;")
    with pytest.raises(Failed) as caught:
        b.download("as_.t", tmp_path / "t.csv")
    assert "has no Download on as_.t" in caught.value.stderr
    (tmp_path / "in.csv").write_text("a\n3\n")
    with pytest.raises(Failed) as caught:
        b.upload(tmp_path / "in.csv", "as_.t", "-h", "true")
    assert "has no Update on as_.t" in caught.value.stderr
    a.sql("USE as_; GRANT Download ON TABLE t TO USER ALIYUN$b;")
    assert b.download("as_.t", tmp_path / "t.csv").read_text().split() == ["1", "2"]
    a.sql("USE as_; SET ProjectProtection=true;")
    for anybody in (a, b):
        with pytest.raises(Failed) as caught:
            anybody.download("as_.t", tmp_path / "t.csv")
        assert "project as_ is protected" in caught.value.stderr
    assert "is protected" in b.refused("CREATE SNAPSHOT TABLE bs.mine CLONE as_.t;")
    a.sql("USE as_; ADD TRUSTEDPROJECT bs;")
    b.sql("CREATE SNAPSHOT TABLE bs.mine CLONE as_.t;")
    a.sql("USE as_; REMOVE TRUSTEDPROJECT bs; SET ProjectProtection=false; REMOVE USER ALIYUN$b;")
    assert "has no Select on as_.t" in b.refused("SELECT * FROM as_.t;")
    a.sql("USE as_; ADD USER ALIYUN$b;")
    assert "has no Select on as_.t" in b.refused("SELECT * FROM as_.t;")
    a.sql("USE as_; REMOVE USER ALIYUN$b;")


def test_rights_last_over_a_kill_and_end_with_the_user(people, pair):
    a, _, user = people[0]
    a.sql("USE as_; ADD USER RAM$u; CREATE ROLE dev; GRANT Select ON TABLE t TO ROLE dev; GRANT dev TO RAM$u;")
    pair[0].cluster.kill(SOURCE)
    pair[0].cluster.start(SOURCE)
    assert user.one("SELECT COUNT(*) AS n FROM as_.t;")["n"] == 2
    assert "has no Update" in user.refused("INSERT INTO as_.t VALUES (3);")
    grants = user.sql("USE as_; SHOW GRANTS;")
    assert [(row["grantee"], row["object"], row["actions"]) for row in grants] == [("role/dev", "projects/as_/tables/t", "Select")]
    # dropped from the region, and made again under its name
    a.sql("DROP USER RAM$a:u;")
    a.sql(f"CREATE USER RAM$a:u PUBLIC KEY '{proof(pair[0], 'RAM$a:u', user.key)}';")
    assert "has no Select on as_.t" in user.refused("SELECT * FROM as_.t;")
    a.sql("USE as_; ADD USER RAM$u;")
    assert "has no Select on as_.t" in user.refused("SELECT * FROM as_.t;")


def test_a_ram_user_copies_what_it_may_select(people):
    (a, b, user), (a_there, b_there, user_there) = people
    text = f'XCOPY SNAPSHOT as_.s TO SNAPSHOT as_.s OPTIONS(src_region="{SOURCE}");'
    assert "has no CreateTable on project as_" in user_there.refused(text)
    a_there.sql("USE as_; ADD USER RAM$u; GRANT CreateTable ON PROJECT as_ TO USER RAM$u;")
    assert "no snapshot as_.s, or no right to it" in user_there.refused(text)
    a.sql("USE as_; GRANT Select ON TABLE s TO USER RAM$u;")
    assert user_there.sql(text)[0]["state"] == "DONE"
    assert user_there.one("SELECT COUNT(*) AS n FROM as_.s;")["n"] == 2  # it made it
    tasks = user_there.sql("SHOW TASKS;")
    assert {row["state"] for row in tasks} == {"DONE", "FAILED"}
    assert len(a_there.sql("SHOW TASKS;")) == len(tasks)
    assert b_there.sql("SHOW TASKS;") == []
    a.sql("USE as_; SET ProjectProtection=true;")
    assert "project as_ is protected" in a_there.refused(text)
    a.sql(f"USE as_; ADD TRUSTEDPROJECT '{DESTINATION}.as_';")
    assert a_there.sql(text)[0]["state"] == "DONE"
    a.sql("USE as_; SET ProjectProtection=false;")
    # onto a snapshot that another made
    a_there.sql("CREATE TABLE as_.t (a BIGINT); CREATE SNAPSHOT TABLE as_.kept CLONE as_.t;")
    text = text.replace("TO SNAPSHOT as_.s", "TO SNAPSHOT as_.kept")
    for words in (text, "EXPLAIN " + text):
        assert "RAM$a:u has no Drop on as_.kept" in user_there.refused(words)
    assert a_there.one("SELECT COUNT(*) AS n FROM as_.kept;")["n"] == 0
    a_there.sql("USE as_; GRANT Drop ON TABLE kept TO USER RAM$u;")
    assert user_there.sql(text)[0]["state"] == "DONE"
    assert a_there.one("SELECT COUNT(*) AS n FROM as_.kept;")["n"] == 2
