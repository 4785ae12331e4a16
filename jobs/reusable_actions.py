"""TEMPORARY stand-in by the lead. The project helper owns this file: overwrite it whole."""


class Resolver:
    def __init__(self, **ignored):
        pass

    def __call__(self, run_command):
        return None
