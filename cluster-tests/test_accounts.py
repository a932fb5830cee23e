"""Accounts and RAM users of a live pair of regions: made, acted as, cut off."""
import json
import subprocess

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Failed, Region, command


class Principal(Region):
    """A region's node, spoken to with a key of one's own."""

    def __init__(self, region, key):
        super().__init__(region.cluster, region.name)
        self.key = key
        conf = key.with_suffix(f".{region.name}.conf")
        lines = [line for line in (region.home / "strait.conf").read_text().splitlines() if not line.startswith("key_file")]
        conf.write_text("\n".join([*lines, f'key_file = "{key}"']) + "\n")
        self.client = [str(BIN / "strait"), "-c", str(conf)]

    def unknown(self):
        """The node does not answer this key."""
        with pytest.raises(Failed) as caught:
            self.sql("WHOAMI;")
        return caught.value.code == 3


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Of all tests here: each makes accounts of its own."""
    made = Cluster(tmp_path_factory.mktemp("accounts") / "cluster")
    yield made.up(SOURCE, DESTINATION)
    made.end()


@pytest.fixture
def keygen(tmp_path):
    def make(name):
        path = tmp_path / f"{name}.key"
        command(BIN / "strait", "keygen", path)
        return path
    return make


def proof(region, name, key):
    """What registers the key."""
    return command(BIN / "strait", "pubkey", "--for", region.name, name, key).strip()


def public(key):
    return command(BIN / "strait", "pubkey", key).strip()


def connections(region):
    rows = [json.loads(line) for line in region.strait("status", "--format", "json").splitlines()]
    return next(int(row["value"]) for row in rows if row["name"] == "strait_connections")


def test_a_second_account_and_a_ram_user_act_as_themselves_in_both_regions(pair, keygen):
    bob, worker = keygen("bob"), keygen("worker")
    for root in pair:
        root.sql(f"CREATE ACCOUNT 'ALIYUN$bob@example.com' PUBLIC KEY '{proof(root, 'ALIYUN$bob@example.com', bob)}';"
                 "CREATE PROJECT bobs OWNER ALIYUN$bob@example.com;")
        account = Principal(root, bob)
        assert account.one("WHOAMI;")["principal"] == "ALIYUN$bob@example.com"
        assert account.one("WHOAMI;")["operator"] is False
        account.sql(f"CREATE USER 'RAM$bob@example.com:worker' PUBLIC KEY '{proof(root, 'RAM$bob@example.com:worker', worker)}';")
        user = Principal(root, worker)
        assert user.one("WHOAMI;")["principal"] == "RAM$bob@example.com:worker"
        # each within its own
        assert [row["project"] for row in account.sql("SHOW PROJECTS;")] == ["bobs"]
        assert "bobs" not in {row["project"] for row in root.sql("SHOW PROJECTS;")} or root.one("WHOAMI;")["operator"]
        account.sql("USE bobs; CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1);")
        for text in ("CREATE PROJECT mine;", "LIST ACCOUNTS;", "DROP ACCOUNT 'ALIYUN$root';", "CLEANUP;",
                     "ALTER PROJECT bobs DISABLE XCOPY;", "SELECT * FROM demo.nothing;"):
            account.refused(text)
            user.refused(text)
        assert "ALIYUN$bob@example.com" in user.refused(
            f"CREATE USER 'RAM$bob@example.com:another' PUBLIC KEY '{proof(root, 'RAM$bob@example.com:another', keygen('x' + root.name))}';")
        assert [row["user"] for row in account.sql("LIST RAM USERS;")] == ["RAM$bob@example.com:worker"]
        assert [row["account"] for row in root.sql("SHOW ACCOUNTS;")][:1] == ["ALIYUN$bob@example.com"]


def test_an_account_copies_its_own_snapshot_between_the_regions(pair, keygen):
    bob = keygen("bob")
    for root in pair:
        root.sql(f"CREATE ACCOUNT ALIYUN$ann PUBLIC KEY '{proof(root, 'ALIYUN$ann', bob)}'; CREATE PROJECT anns OWNER ALIYUN$ann;")
    source, destination = (Principal(root, bob) for root in pair)
    source.sql("CREATE TABLE anns.t (a BIGINT); INSERT INTO anns.t VALUES (1), (2); CREATE SNAPSHOT TABLE anns.s CLONE anns.t;")
    assert destination.xcopy("s", to="anns.s", project="anns")["state"] == "DONE"
    assert destination.one("SELECT count(*) AS n FROM anns.s;")["n"] == 2
    # not somebody else's
    text = f'XCOPY SNAPSHOT anns.s TO SNAPSHOT demo.s OPTIONS(src_region="{SOURCE}");'
    pair[1].sql("USE demo; ADD USER ALIYUN$ann; GRANT CreateTable ON PROJECT demo TO USER ALIYUN$ann;")
    for words in (text, "EXPLAIN " + text):
        assert "no snapshot anns.s, or no right to it" in pair[1].refused(words)
        told = destination.refused(words)
        assert "XCOPY copies within one account: ALIYUN$ann is not of the account that owns project demo" in told
    pair[1].sql("USE demo; REMOVE USER ALIYUN$ann;")
    assert destination.name == DESTINATION


def test_a_dropped_key_is_dead_and_its_connections_are_closed(pair, keygen):
    root, bob, spare = pair[0], keygen("bob"), keygen("spare")
    root.sql(f"CREATE ACCOUNT ALIYUN$cy PUBLIC KEY '{proof(root, 'ALIYUN$cy', bob)}'; CREATE PROJECT cys OWNER ALIYUN$cy;")
    account = Principal(root, bob)
    account.sql(f"ALTER ACCOUNT ALIYUN$cy ADD PUBLIC KEY '{proof(root, 'ALIYUN$cy', spare)}';")
    other = Principal(root, spare)
    assert {row["public_key"] for row in other.sql("SHOW PUBLIC KEYS;")} == {public(bob), public(spare)}
    # a connection of the old key, in the middle of a request
    with subprocess.Popen([*account.client, "tasks", "--watch"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        try:
            for _ in range(1000):
                if connections(root) >= 2:  # its own and the watch's
                    break
            assert watch.poll() is None and connections(root) >= 2
            assert "that very key" in account.refused(f"ALTER ACCOUNT ALIYUN$cy DROP PUBLIC KEY '{public(bob)}';")
            other.sql(f"ALTER ACCOUNT ALIYUN$cy DROP PUBLIC KEY '{public(bob)}';")
            watch.communicate(timeout=60)
            assert watch.returncode == 3  # closed, not answered
        finally:
            watch.kill()
    assert account.unknown()
    assert other.sql("SHOW TABLES IN cys;") == []
    assert "last key" in root.refused(f"ALTER ACCOUNT ALIYUN$cy DROP PUBLIC KEY '{public(spare)}';")
    # the whole of it holds over kill -9
    root.cluster.kill(root.name)
    root.cluster.start(root.name)
    assert account.unknown()
    assert other.one("WHOAMI;")["principal"] == "ALIYUN$cy"


def test_an_operators_key_alone_has_no_rights_to_data(pair, keygen):
    region, lone = pair[1], keygen("lone")
    conf = region.config.read_text()
    root = region.cluster.folder / "root.key"
    region.cluster.dev("stop-one", region.name)
    try:
        region.config.write_text(conf.replace(public(root) + '"', f'{public(root)}", "{public(lone)}"'))
        region.cluster.start(region.name)
        region.sql("CREATE TABLE IF NOT EXISTS secret (a BIGINT); INSERT INTO secret VALUES (1);")
        operator = Principal(region, lone)
        me = operator.one("WHOAMI;")
        assert me["operator"] is True and me["principal"].startswith("OPERATOR$")
        assert "Name: OPERATOR$" in operator.strait("sql", "-e", "WHOAMI;")
        for text in ("SELECT * FROM demo.secret;", "DESC demo.secret;", "DROP TABLE demo.secret;", "CREATE TABLE demo.mine (a BIGINT);",
                     "LIST RAM USERS;"):
            operator.refused(text)
        assert "OWNER" in operator.refused("CREATE PROJECT nobodys;")
        ann = keygen("operated")
        operator.sql(f"CREATE ACCOUNT ALIYUN$operated PUBLIC KEY '{proof(region, 'ALIYUN$operated', ann)}';"
                     "CREATE PROJECT operated OWNER ALIYUN$operated;")
        assert "account ALIYUN$nobody does not exist" in operator.refused("CREATE PROJECT x OWNER ALIYUN$nobody;")
        assert "RAM$root:u" in operator.refused("CREATE PROJECT x OWNER RAM$root:u;")
        operator.refused("SHOW TABLES IN operated;")
        # nor by giving itself a key of the account; one that has lost its only key gets another
        spare = keygen("spare")
        add = f"ALTER ACCOUNT ALIYUN$operated ADD PUBLIC KEY '{proof(region, 'ALIYUN$operated', spare)}';"
        assert "has none left" in operator.refused(add)
        operator.sql(f"ALTER ACCOUNT ALIYUN$operated DROP LAST PUBLIC KEY '{public(ann)}';" + add)
        assert Principal(region, ann).unknown()
        assert Principal(region, spare).sql("SHOW TABLES IN operated;") == []
    finally:
        region.cluster.dev("stop-one", region.name)
        region.config.write_text(conf)
        region.cluster.start(region.name)
    assert Principal(region, lone).unknown()


def test_a_drop_is_done_though_the_node_dies_before_it_knows(pair, keygen):
    root, key, spare = pair[0], keygen("key"), keygen("spare")
    root.sql(f"CREATE ACCOUNT ALIYUN$eve PUBLIC KEY '{proof(root, 'ALIYUN$eve', key)}';")
    Principal(root, key).sql(f"ALTER ACCOUNT ALIYUN$eve ADD PUBLIC KEY '{proof(root, 'ALIYUN$eve', spare)}';")
    drop = f"ALTER ACCOUNT ALIYUN$eve DROP PUBLIC KEY '{public(key)}';"
    words = ("--statement-id", "00112233445566778899aabbccddeeff")
    root.cluster.kill(root.name)
    root.cluster.start(root.name, env={"STRAIT_CRASH": "principal.committed"})
    with pytest.raises(Failed) as caught:
        root.sql(drop, *words)
    assert caught.value.code == 3
    root.cluster.kill(root.name)
    root.cluster.start(root.name)
    assert Principal(root, key).unknown()
    root.sql(drop, *words)  # the same answer, done once
    assert "no such key" in root.refused(drop)


def test_ids_of_statements_are_each_principals_own(pair, keygen):
    root, key = pair[0], keygen("fay")
    root.sql(f"CREATE ACCOUNT ALIYUN$fay PUBLIC KEY '{proof(root, 'ALIYUN$fay', key)}'; CREATE PROJECT fays OWNER ALIYUN$fay;")
    words = ("--statement-id", "ffeeddccbbaa99887766554433221100")
    root.sql("CREATE TABLE demo.ids (a BIGINT);", *words)
    fay = Principal(root, key)
    fay.sql("CREATE TABLE fays.ids (a BIGINT);", *words)
    assert [row["table"] for row in fay.sql("SHOW TABLES IN fays;")] == ["ids"]


def test_keys_and_names_that_are_refused(pair, keygen):
    root, bob, node = pair[0], keygen("bob"), pair[0].home / "node.key"
    peer = pair[1].home / "node.key"
    other = keygen("other")
    good = proof(root, "ALIYUN$dan", bob)

    for words in (("r", "dan"), ("r" * 65, "ALIYUN$dan"), ("r",)):
        with pytest.raises(Failed) as caught:
            command(BIN / "strait", "pubkey", "--for", *words, bob)
        assert caught.value.code == 2

    def create(key, name="ALIYUN$dan"):
        return root.refused(f"CREATE ACCOUNT '{name}' PUBLIC KEY '{key}';")

    assert "without the proof" in create(public(bob)) and "--for ap-southeast-1 'ALIYUN$dan'" in create(public(bob))
    assert "is not for ALIYUN$dan in ap-southeast-1" in create(proof(pair[1], "ALIYUN$dan", bob))
    assert "is not for ALIYUN$dan" in create(proof(root, "ALIYUN$eve", bob))
    assert "is not for" in create(public(bob) + "." + proof(root, "ALIYUN$dan", other).split(".")[1])
    assert "copied whole" in create(good[:-1]) and "wrong length" in create(good[:50])
    for known in (root.cluster.folder / "root.key", node, peer):
        assert "known to this region" in create(proof(root, "ALIYUN$dan", known))
    assert "RAM user" in create(proof(root, "RAM$dan:u", bob), "RAM$dan:u")
    for name in ("bob", "ALIYUN$", "ALIYUN$b b", "ALIYUN$b\u043eb", "ALIYUN$" + "b" * 150, "OPERATOR$bob", "ALIYUN$-b"):
        create(good, name)
    root.sql(f"CREATE ACCOUNT 'aliyun$Dan' PUBLIC KEY '{good}';")  # case does not count, the prefix is put right
    assert "ALIYUN$Dan" in {row["account"] for row in root.sql("LIST ACCOUNTS;")}
    assert "known to this region" in create(proof(root, "ALIYUN$edna", bob), "ALIYUN$edna")
    assert "exists already" in create(good) and "exists already" in create(proof(root, "ALIYUN$dan", other))
    root.sql(f"CREATE ACCOUNT IF NOT EXISTS ALIYUN$dan PUBLIC KEY '{good}';")
    account = Principal(root, bob)
    for name in ("RAM$root:u", "RAM$danny:u"):
        assert "may not change" in account.refused(f"CREATE USER '{name}' PUBLIC KEY '{proof(root, name, other)}';")
    assert "may not change" in root.refused(f"CREATE USER 'RAM$dan:u' PUBLIC KEY '{proof(root, 'RAM$dan:u', other)}';")
    assert "may not change" in account.refused(f"ALTER ACCOUNT ALIYUN$root ADD PUBLIC KEY '{proof(root, 'ALIYUN$root', other)}';")
    assert "has none left" in root.refused(f"ALTER ACCOUNT ALIYUN$dan ADD PUBLIC KEY '{proof(root, 'ALIYUN$dan', other)}';")
    account.sql(f"CREATE USER 'RAM$dan:u' PUBLIC KEY '{proof(root, 'RAM$dan:u', other)}';")
    assert "RAM$Dan:u" in root.refused("DROP ACCOUNT ALIYUN$dan;") or "RAM$dan:u" in root.refused("DROP ACCOUNT ALIYUN$dan;")
    account.sql("DROP USER RAM$dan:u; DROP USER IF EXISTS RAM$dan:u;")
    assert Principal(root, other).unknown()
    root.sql("CREATE PROJECT dans OWNER ALIYUN$dan;")
    assert "project dans" in root.refused("DROP ACCOUNT ALIYUN$dan;")
