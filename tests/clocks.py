"""A clock that only the test moves."""


class Clock:
    """In seconds, in place of time.monotonic."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
