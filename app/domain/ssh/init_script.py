"""Init scripts of the SSH server, such as `/etc/init.d/ssh start`.

The name of a process that runs a script is the name of the script, so an init script of sshd may look like
the client.
"""

from collections.abc import Sequence

from app.domain.ssh.model import SshRole
from app.domain.ssh.parse_state import ArgumentValue, ParseState, basename

_SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox"})
_SCRIPT_NAMES = frozenset({"ssh", "sshd", "dropbear"})
_SCRIPT_FOLDERS = ("/etc/init.d/", "/etc/rc.d/")
_STARTING_ACTIONS = frozenset({"start", "restart", "reload", "force-reload", "try-restart"})


def parse_init_script(executable: str | None, args: Sequence[str]) -> ParseState | None:
    """Return the state of an init script of an SSH server, or None if the process runs no such script."""
    if len(args) < 2 or not args[1].startswith("/") or basename(args[1]) not in _SCRIPT_NAMES:
        return None
    runs_shell = not _SHELLS.isdisjoint((basename(executable or ""), basename(args[0])))
    if not runs_shell and not args[1].startswith(_SCRIPT_FOLDERS):
        return None
    action = args[2] if len(args) > 2 else ""
    server = "dropbear" if basename(args[1]) == "dropbear" else "sshd"
    state = ParseState(server, role=SshRole.DAEMON, script=args[1])
    if action not in _STARTING_ACTIONS:
        state.role = SshRole.NO_OP
        state.no_op_option = ArgumentValue(action, (2,) if action else (1,))
    return state
