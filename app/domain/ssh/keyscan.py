"""Parser of ssh-keyscan, which asks servers for their host keys. Source: ssh-keyscan(1)."""

from collections.abc import Sequence

from app.domain.ssh.getopt import MISSING_VALUE, UNKNOWN_OPTION, Getopt
from app.domain.ssh.options import apply_port
from app.domain.ssh.parse_state import ArgumentValue, ParseState


def parse_keyscan(program: str, args: Sequence[str], start: int = 1) -> ParseState:
    """Parse the arguments of ssh-keyscan.

    The operands are hosts, address ranges such as 10.0.0.0/24, or lists of hosts with commas. The first is
    the destination, and the others are `more_targets`. With `-f`, the targets are in a file.
    """
    state = ParseState(program)
    getopt = Getopt(args, start, flags="46cDHqv", value_options="fOpTt")
    for option in getopt:
        if option.letter == "p":
            apply_port(state, option.value or "", option.arg_indexes)
        elif option.letter in (UNKNOWN_OPTION, MISSING_VALUE):
            state.record_error(f"invalid option -{option.value}", option.arg_indexes)
        elif option.letter == "f":
            state.target_file = ArgumentValue(option.value or "", option.arg_indexes)
    targets = [
        ArgumentValue(target, (index,))
        for index in range(getopt.position, len(args))
        for target in args[index].split(",")
        if target
    ]
    if targets:
        state.host, *state.more_targets = targets
    return state
