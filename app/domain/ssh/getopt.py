"""Option parser equivalent to BSD getopt(3).

OpenSSH includes BSD getopt and uses it on Linux too: parsing stops at the first non-option argument, so
options of a remote command are not taken for options of ssh.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

UNKNOWN_OPTION = "?"
MISSING_VALUE = ":"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its letter, its value (None for a flag) and its argument indexes.

    For an unknown option, `letter` is UNKNOWN_OPTION; for a missing value, it is MISSING_VALUE. `value` is
    then the letter itself.
    """

    letter: str
    value: str | None
    arg_indexes: tuple[int, ...]


class Getopt:
    """Iterator over the options of `args` from `start`; `position` is the next unparsed argument.

    If `args` are words split from longer arguments, such as a process title, `word_arg_indexes` holds for
    each word the index of the argument that contains it.
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

        Like ssh(1), this only checks whether the argument before `position` is `--`. An option value `--`
        counts too.
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
                    return  # getopt stops without advancing: `-v-` becomes the first operand
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
