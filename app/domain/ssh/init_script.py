"""Init scripts of the SSH server, such as `/etc/init.d/ssh start`.

The name of a process that runs a script is the name of the script, so an init script of sshd may look like
the client.
"""

import re
from collections.abc import Sequence

from app.domain.ssh.model import SshRole
from app.domain.ssh.parse_state import ParseState, basename

_SHELL_FILE = re.compile(r"/(usr/)?bin/(sh|bash|dash|ash|busybox)")
_ACTION = re.compile(r"[a-z]+(-[a-z]+)*")
_SCRIPT_NAMES = frozenset({"ssh", "sshd", "dropbear"})
_SCRIPT_FOLDERS = ("/etc/init.d/", "/etc/rc.d/")
_STARTING_ACTIONS = frozenset({"start", "restart", "reload", "force-reload", "try-restart"})


def parse_init_script(executable: str | None, args: Sequence[str]) -> ParseState | None:
    """Return the state of an init script of an SSH server, or None if the process runs no such script.

    The executable must be a shell in a system folder. The arguments alone do not prove that a script runs:
    the real ssh accepts `/etc/init.d/ssh` as the name of a host in its configuration, and options after it.
    """
    if len(args) not in (2, 3) or not _SHELL_FILE.fullmatch(executable or ""):
        return None
    if len(args) == 3 and not _ACTION.fullmatch(args[2]):
        return None
    script = args[1]
    if not script.startswith(_SCRIPT_FOLDERS) or basename(script) not in _SCRIPT_NAMES:
        return None
    server = "dropbear" if basename(script) == "dropbear" else "sshd"
    state = ParseState(server, role=SshRole.DAEMON)
    state.script = " ".join(args[1:3])
    state.starts_server = len(args) > 2 and args[2] in _STARTING_ACTIONS
    return state
