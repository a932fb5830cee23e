"""Gates and tokens of a live pair with both gates closed: opened by who may, and closed again while a copy is under way."""
import time

import pytest

from conftest import BIN, DESTINATION, SOURCE, Cluster, Region, command
from test_accounts import Principal, proof
from test_crash import ended, wait_for_end

CHANNEL_ON = "ALTER ACCOUNT SET XCOPY CHANNEL ON ACKNOWLEDGE COMPLIANCE;"
CHANNEL_OFF = "ALTER ACCOUNT SET XCOPY CHANNEL OFF;"
AT_ONCE_SECONDS = 5  # a renewal would come after 20
UNKNOWN = "no snapshot demo.s, or no right to it"


def gated_pair(folder):
    made = Cluster(folder)
    made.dev("up", SOURCE, DESTINATION, "--gated")
    source, destination = Region(made, SOURCE), Region(made, DESTINATION)
    source.sql("CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (1), (2); CREATE SNAPSHOT TABLE s CLONE t;")
    return made, source, destination


def enabled(source):
    return next(row["xcopy_enabled"] for row in source.sql("SHOW PROJECTS;") if row["project"] == "demo")


def test_both_gates_of_the_source_are_closed_at_first_and_no_others(tmp_path):
    made, source, destination = gated_pair(tmp_path / "cluster")
    try:
        text = f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s OPTIONS(src_region="{SOURCE}");'
        shown = source.one("SHOW XCOPY CHANNEL;")
        assert (shown["account"], shown["xcopy_channel"], shown["changed"]) == ("ALIYUN$root", "OFF", None)
        assert not enabled(source)
        refused = destination.refused(text)
        assert "the XCOPY channel of ALIYUN$root is off in " + SOURCE in refused
        assert CHANNEL_ON[:-1] in refused
        assert "ACKNOWLEDGE COMPLIANCE" in source.refused("ALTER ACCOUNT SET XCOPY CHANNEL ON;")
        source.sql(CHANNEL_ON.lower())
        assert "ALTER PROJECT demo ENABLE XCOPY" in destination.refused(text)
        source.sql("ALTER PROJECT demo ENABLE XCOPY;")
        assert destination.sql(text)[0]["state"] == "DONE"  # whose own gates are closed as ever
        assert not enabled(destination)
        made.kill(SOURCE)
        made.start(SOURCE)
        shown = source.one("SHOW XCOPY CHANNEL;")
        assert (shown["xcopy_channel"], shown["changed_by"]) == ("ON", "ALIYUN$root") and shown["changed"]
        listed = source.one("SHOW ACCOUNTS;")
        assert (listed["xcopy_channel"], listed["xcopy_channel_changed"]) == ("ON", shown["changed"])
        entry = source.one("SELECT principal, statement FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = "
                           "'ALTER ACCOUNT SET XCOPY CHANNEL';")
        assert entry == {"principal": "ALIYUN$root", "statement": CHANNEL_ON.lower()[:-1]}
    finally:
        made.end()


# ---- while a copy is under way ----

@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """(source, destination, their RAM$root:u): both gates open; the user may copy demo.s."""
    folder = tmp_path_factory.mktemp("gates")
    made, source, destination = gated_pair(folder / "cluster")
    key = folder / "u.key"
    command(BIN / "strait", "keygen", key)
    source.sql(CHANNEL_ON + "ALTER PROJECT demo ENABLE XCOPY;")
    users = []
    for region in (source, destination):
        user_made(region, key)
        users.append(Principal(region, key))
    yield source, destination, *users
    made.end()


def user_made(region, key):
    region.sql(f"CREATE USER RAM$root:u PUBLIC KEY '{proof(region, 'RAM$root:u', key)}'; USE demo; ADD USER RAM$u;")
    right = "Select ON TABLE s" if region.name == SOURCE else "CreateTable ON PROJECT demo"
    region.sql(f"USE demo; GRANT {right} TO USER RAM$u;")


def leases(region):
    text = region.strait("status", "--format", "prometheus")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("strait_leases"))


def copy_under_way(destination, principal, number):
    """Its destination has a lease, and is down."""
    cluster = destination.cluster
    cluster.kill(DESTINATION)
    cluster.start(DESTINATION, env={"STRAIT_CRASH": "task.described"})
    try:
        principal.sql(f'XCOPY SNAPSHOT demo.s TO SNAPSHOT s{number} OPTIONS(src_region="{SOURCE}", wait=false);')
    except Exception:  # noqa: BLE001  the node died under the statement: that is the point
        pass
    assert ended(cluster, DESTINATION, 15)


def leases_end_at_once(source):
    deadline = time.monotonic() + AT_ONCE_SECONDS
    while leases(source) > 0:
        assert time.monotonic() < deadline, source.log[-3000:]
        time.sleep(0.05)


def newest_token(principal):
    return principal.sql("SHOW XCOPY TOKENS;")[0]


WITHDRAWN = {  # what is said at the source, by whom; what the task fails with; what puts it right again
    "channel off": ("root", CHANNEL_OFF, "is off in " + SOURCE, CHANNEL_ON),
    "not allowed": ("root", "ALTER PROJECT demo DISABLE XCOPY;", "not on its region's allow-list", "ALTER PROJECT demo ENABLE XCOPY;"),
    "protected": ("root", "USE demo; SET ProjectProtection=true;", "project demo is protected", "USE demo; SET ProjectProtection=false;"),
    "no grant": ("root", "USE demo; REVOKE Select ON TABLE s FROM USER RAM$u;", UNKNOWN, "USE demo; GRANT Select ON TABLE s TO USER RAM$u;"),
    "token revoked": ("user", "REVOKE XCOPY TOKEN '{token}';", "the token was revoked by RAM$root:u", ""),
    "token revoked by its account": ("root", "REVOKE XCOPY TOKEN '{token}';", "the token was revoked by ALIYUN$root", ""),
    "removed": ("root", "USE demo; REMOVE USER RAM$u;", UNKNOWN, "USE demo; ADD USER RAM$u; GRANT Select ON TABLE s TO USER RAM$u;"),
    "key dropped": ("root", "ALTER USER RAM$root:u DROP LAST PUBLIC KEY '{key}';", UNKNOWN, "ALTER USER RAM$root:u ADD PUBLIC KEY '{proof}';"),
    "dropped": ("root", "DROP USER RAM$root:u;", UNKNOWN, None),
}


@pytest.mark.parametrize("what", WITHDRAWN)
def test_what_is_withdrawn_ends_the_lease_at_once_and_the_task_says_so(copied, what):
    source, destination, user_there, user_here = copied
    who, text, reason, again = WITHDRAWN[what]
    number = list(WITHDRAWN).index(what)
    copy_under_way(destination, user_here, number)
    assert leases(source) == 1
    token = newest_token(user_there)
    assert (token["state"], token["signer"], token["destination"]) == ("LEASED", "RAM$root:u", f"demo.s{number}")
    key = command(BIN / "strait", "pubkey", user_here.key).strip()
    line = proof(source, "RAM$root:u", user_here.key)
    (user_there if who == "user" else source).sql(text.format(token=token["token"], key=key))
    leases_end_at_once(source)
    destination.cluster.start(DESTINATION)
    end = wait_for_end(destination, token["task_id"])
    assert end["state"] == "FAILED" and reason in end["error"], end
    assert f"s{number}" not in {row["snapshot"] for row in destination.sql("SHOW SNAPSHOT TABLES;")}
    if again is None:
        user_made(source, user_here.key)
    else:
        source.sql(again.format(proof=line) or "WHOAMI;")
    assert user_here.xcopy("s", to=f"s{number}")["state"] == "DONE"


def test_tokens_are_listed_to_their_signer_and_its_account(copied):
    source, _, user_there, user_here = copied
    assert user_here.xcopy("s", to="listed")["state"] == "DONE"
    mine, all_of_them = newest_token(user_there), newest_token(source)
    assert mine == all_of_them
    assert (mine["kind"], mine["source"], mine["destination_region"], mine["destination"]) == (
        "ONCE", "demo.s", DESTINATION, "demo.listed")
    assert mine["state"] in ("LEASED", "USED")  # the lease may be on its way out
    assert mine["issued"] <= mine["used"] < mine["not_after"] and mine["revoked"] is None
    assert user_here.sql("SHOW XCOPY TOKENS;") == []  # nothing was copied from there


def test_an_account_of_the_same_name_with_another_key_gets_nothing(copied, tmp_path):
    """Whoever operates the destination makes accounts there as they like; the source goes by the key that signed."""
    source, destination, *_ = copied
    keys = {region.name: tmp_path / f"{region.name}.key" for region in (source, destination)}
    eves = {}
    for region in (source, destination):
        key = keys[region.name]
        command(BIN / "strait", "keygen", key)
        region.sql(f"CREATE ACCOUNT ALIYUN$eve PUBLIC KEY '{proof(region, 'ALIYUN$eve', key)}'; CREATE PROJECT eves OWNER ALIYUN$eve; "
                   "ALTER PROJECT eves ENABLE XCOPY;")
        eves[region.name] = Principal(region, key)
    eves[SOURCE].sql("USE eves; CREATE TABLE t (a BIGINT); INSERT INTO t VALUES (7); CREATE SNAPSHOT TABLE s CLONE t;" + CHANNEL_ON)
    text = f'XCOPY SNAPSHOT eves.s TO SNAPSHOT eves.s OPTIONS(src_region="{SOURCE}");'
    assert "no snapshot eves.s, or no right to it" in eves[DESTINATION].refused(text)
    refusal = eves[SOURCE].sql("SELECT message FROM SYSTEM_CATALOG.INFORMATION_SCHEMA.AUDIT_LOG WHERE action = 'XCOPY DESCRIBE' "
                               "AND object = 's' ORDER BY sequence DESC LIMIT 1;")
    assert "signer is not known" in refusal[0]["message"]
    owner = Principal(destination, keys[SOURCE])
    assert owner.unknown()  # the right key is nobody's there
