"""How many lines without a figure read as the rows of a table: "M White", "F Asian", "M White"?

They have no more in common with each other than lines of prose have, but there are few different ones: people are
many, and groups of them few. Prose seldom says the same again.
"""

_MOST_WORDS = 8
_AT_ONCE = 1000  # lines that are judged together
_MOST_NEW = 50  # of these, which no line before them was
_MOST_REMEMBERED = 10_000  # different lines


class WordRows:
    """Told of each line that has no figure and no mark between cells."""

    def __init__(self) -> None:
        self.last_line, self.last_words = "", 0
        self.lines = self.new = 0  # since the last judgement
        self.seen: set[int] = set()  # hashes of lines, which need less memory

    def rows_with(self, line: str, words: int) -> int:
        """How many rows are known to have been there, now that this line is: none or those of the last thousand."""
        is_other = line != self.last_line
        has_same_shape = words == self.last_words and words <= _MOST_WORDS
        self.last_line, self.last_words = line, words
        # The same line again only says how often, as a log does.
        if not is_other or not has_same_shape:
            return 0
        self.lines += 1
        self._remember(hash(line))
        if self.lines < _AT_ONCE:
            return 0
        rows = self.lines if self.new < _MOST_NEW else 0
        self.lines = self.new = 0
        return rows

    def _remember(self, line: int) -> None:
        if line not in self.seen:
            self.new += 1
            if len(self.seen) < _MOST_REMEMBERED:
                self.seen.add(line)
