"""Masking of passwords in arguments.

`parse_ssh` parses masked arguments, so that an SshInvocation never contains a password.
"""

import re
import shlex
from collections.abc import Sequence

MASK = "••••••"

_PASSWORD_ASSIGNMENT = re.compile(
    r"((?:password|passwd|passphrase|sshpass|--pass)=)('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE
)
_PASSWORD_OPTIONS = frozenset({"--password", "--passwd", "--passphrase", "--pass"})
_PUTTY_PROGRAMS = frozenset({"plink", "pscp", "psftp", "putty"})
_SSH_URI = re.compile(r"(?:ssh|scp|sftp)://")
# An attempt to match begins at `://`. The pattern matches no slash after `://`, so the attempt ends at the
# next slash. Each character is therefore part of at most one attempt, and the total time is linear.
_URI_PASSWORD = re.compile(r"(://[^\s:/@]*:)[^\s/]+@")
_SHELL_WORD = re.compile(r"(?:[^\s'\"]|'[^']*'|\"[^\"]*\")+|['\"]")
_SHELL_COMMAND_PREFIXES = "(`$;&|'\""
_MAX_QUOTING_DEPTH = 3


def mask_passwords(args: Sequence[str], *, name: str | None = None) -> tuple[str, ...]:
    """Return the arguments in the same order, with every password replaced by `MASK`.

    The function recognises a password in each of these texts:

    - an assignment: `SSHPASS=secret`
    - an option: `--password secret`, or `-pw secret` of plink
    - a URI: `ssh://erp:secret@web`
    - the option -p of sshpass: `sshpass -p secret ssh web`
    - sshpass after a wrapper command: `nohup sshpass -p secret ssh web`
    - sshpass in a shell command: `sh -c "sshpass -p secret ssh web"`

    `name` is the process name. If `name` is `sshpass`, the process is sshpass even if argv[0] is different.
    """
    masked = [_mask_text(arg) for arg in args]
    first_names = map(_command_name, filter(None, (name, *args[:1])))
    # ssh accepts `-i -pw host`, so -pw is an option for a password only in PuTTY's programs.
    password_options = _PASSWORD_OPTIONS
    if not _PUTTY_PROGRAMS.isdisjoint(first_names):
        password_options = _PASSWORD_OPTIONS | {"-pw"}
    index = 0
    while index < len(args):
        runs_sshpass = _command_name(args[index]) == "sshpass"
        if index == 0 and name is not None:
            runs_sshpass = runs_sshpass or _command_name(name) == "sshpass"
        if runs_sshpass:
            end, passwords = parse_sshpass_options(args, index + 1)
            for word, offset in passwords:
                masked[word] = args[word][:offset] + MASK
            index = max(end, index + 1)
            continue
        if args[index].lower() in password_options and index + 1 < len(args):
            masked[index + 1] = MASK
            index += 1
        index += 1
    return tuple(masked)


def masked_command_line(args: Sequence[str], *, name: str | None = None) -> str:
    """Return the masked arguments as one shell-quoted line, for display only."""
    return " ".join(_quote_for_display(arg) for arg in mask_passwords(args, name=name))


def parse_sshpass_options(args: Sequence[str], start: int) -> tuple[int, list[tuple[int, int]]]:
    """Return the index after sshpass's options, and a pair (word index, offset) for each password.

    The offset is the number of characters before the password in its word, such as 2 in `-psecret`. The
    options -f, -d, -p and -P take a value, and -e may have an attached value (sshpass(1)).
    """
    passwords: list[tuple[int, int]] = []
    index = start
    while index < len(args):
        word = args[index]
        if word == "--":
            return index + 1, passwords
        if not word.startswith("-") or word == "-":
            return index, passwords
        for place, letter in enumerate(word[1:], start=1):
            if letter == "e":
                break
            if letter in "fdpP":
                attached = place + 1 < len(word)
                value = (index, place + 1) if attached else (index + 1, 0)
                index = value[0]
                if letter == "p" and index < len(args):
                    passwords.append(value)
                break
        index += 1
    return min(index, len(args)), passwords


def _mask_text(text: str, depth: int = 0) -> str:
    if _SSH_URI.match(text):
        scheme, _, rest = text.partition("://")
        login, at, host = rest.rpartition("@")
        user, colon, _ = login.partition(":")
        if at and colon:
            return f"{scheme}://{user}:{MASK}@{host}"
    if "://" in text:
        text = _URI_PASSWORD.sub(rf"\1{MASK}@", text)
    if "=" in text:
        text = _PASSWORD_ASSIGNMENT.sub(rf"\1{MASK}", text)
    if "sshpass" in text and depth < _MAX_QUOTING_DEPTH and any(map(str.isspace, text)):
        text = _mask_shell_command(text, depth)
    return text


def _mask_shell_command(text: str, depth: int) -> str:
    """Mask the passwords of `sshpass` inside a command string such as a ProxyCommand."""
    spans = [found.span() for found in _SHELL_WORD.finditer(text)]
    words = [text[start:end] for start, end in spans]
    pieces: list[str] = []
    kept = index = 0
    while index < len(words):
        inner = words[index]
        if _command_name(inner) == "sshpass":
            index, passwords = parse_sshpass_options(words, index + 1)
            for word, offset in passwords:
                pieces += [text[kept : spans[word][0] + offset], MASK]
                kept = spans[word][1]
            continue
        if "sshpass" in inner and any(map(str.isspace, inner)):
            start, end = spans[index]
            quote = inner[-1] if inner[-1] in "'\"" else ""
            hidden = _mask_text(inner[1:-1] if quote and inner[0] == quote else inner, depth + 1)
            pieces += [
                text[kept:start],
                f"{quote}{hidden}{quote}" if quote and inner[0] == quote else hidden,
            ]
            kept = end
        index += 1
    return "".join([*pieces, text[kept:]])


def _command_name(word: str) -> str:
    return word.lstrip(_SHELL_COMMAND_PREFIXES).rpartition("/")[2].rpartition("=")[2]


def _quote_for_display(arg: str) -> str:
    # The mask is not quoted: the line is only displayed, never run, and is easier to read without quotes.
    plain = arg.replace(MASK, "x")
    return arg if plain and shlex.quote(plain) == plain else shlex.quote(arg)
