"""Option parser equivalent to BSD getopt(3).

OpenSSH includes BSD getopt and also uses it on Linux. BSD getopt stops at the first argument that is not an
option, so options of a remote command are not parsed as options of ssh.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

UNKNOWN_OPTION = "?"
MISSING_VALUE = ":"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its letter, its value (None for a flag) and the indexes of its arguments.

    For an unknown option, `letter` is UNKNOWN_OPTION. For an option without its required value, `letter` is
    MISSING_VALUE. In both cases, `value` is the letter from the command line.
    """

    letter: str
    value: str | None
    arg_indexes: tuple[int, ...]


class Getopt:
    """Iterator over the options in `args[start:]`; `position` is the index of the next unparsed argument.

    A process title is often one argument with several words, such as `sshd: /usr/sbin/sshd -D`. The caller
    splits the title and passes the words as `args`. `word_arg_indexes[i]` is then the index of the argument
    that contains the word `args[i]`.
    """

    def __init__(
        self,
        args: Sequence[str],
        start: int,
        *,
        flags: str,
        value_options: str,
        word_arg_indexes: Sequence[int] | None = None,
    ) -> None:
        self._args = args
        self._start = start
        self._flags = frozenset(flags)
        self._value_options = frozenset(value_options)
        self._word_arg_indexes = word_arg_indexes
        self.position = start

    @property
    def ended_by_double_dash(self) -> bool:
        """True if `--` ended the options.

        Like ssh(1), this only checks whether the argument before `position` is `--`. It is therefore also
        True if that argument is the value of an option, as in `-l --`.
        """
        return self.position > self._start and self._args[self.position - 1] == "--"

    def __iter__(self) -> Iterator[Option]:
        args = self._args
        while self.position < len(args):
            word = args[self.position]
            if word == "--":
                self.position += 1
                return
            if not word.startswith("-") or word == "-":
                return
            for place in range(1, len(word)):
                letter = word[place]
                last = place == len(word) - 1
                if letter in self._value_options:
                    yield self._with_value(letter, word[place + 1 :])
                    break
                if letter == "-" and last:
                    # In `-v-`, getopt parses -v and stops at the last `-`. It does not advance to the next
                    # argument, so `-v-` is also the first operand.
                    return
                known = letter in self._flags
                option = Option(
                    letter if known else UNKNOWN_OPTION,
                    None if known else letter,
                    self._arg_indexes(self.position),
                )
                if last:
                    self.position += 1
                yield option

    def _with_value(self, letter: str, attached: str) -> Option:
        here = self.position
        self.position += 1
        if attached:
            return Option(letter, attached, self._arg_indexes(here))
        if self.position >= len(self._args):
            return Option(MISSING_VALUE, letter, self._arg_indexes(here))
        self.position += 1
        return Option(letter, self._args[here + 1], self._arg_indexes(here, here + 1))

    def _arg_indexes(self, *words: int) -> tuple[int, ...]:
        if self._word_arg_indexes is None:
            return words
        return tuple(sorted({self._word_arg_indexes[word] for word in words}))
