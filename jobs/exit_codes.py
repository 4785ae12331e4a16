"""What an exit code usually stands for: one table, for the sentence of the runner and for the job's page.

A command may choose any code by itself, so nothing here is claimed for certain. 137 alone is never called "out of
memory": the engine's own evidence decides that (Job.out_of_memory).
"""

_SENT = "sent by the study itself, by the system or by somebody on this machine"
# What a shell or an operating system usually says with it.
KNOWN_EXIT_CODES = {
    124: "the command `timeout` ended it because its time was over",
    126: "the command was found but could not be run (not executable, or not made for this kind of machine)",
    127: "the command, or a program that it calls, was not found in the image",
    129: "it was ended by a signal (SIGHUP)",
    130: f"it was ended by a signal (SIGINT, as by Ctrl-C), {_SENT}",
    131: "it was ended by a signal (SIGQUIT)",
    132: "it executed an illegal instruction (SIGILL), as where the image was built for another processor",
    134: "it aborted itself (SIGABRT), as programs do that find themselves in an impossible state",
    135: "it was ended by a bus error (SIGBUS)",
    136: "it was ended by an arithmetic error (SIGFPE)",
    137: f"it was killed by a signal (SIGKILL), {_SENT}; the engine did not report that memory ran out",
    139: "it crashed with a segmentation fault (SIGSEGV)",
    141: "it wrote into a pipe that nobody read any more (SIGPIPE), as before `head`",
    143: f"it was asked to end by a signal (SIGTERM), {_SENT}",
    152: "it used up a limit of processor time (SIGXCPU)",
    153: "a file grew beyond the size limit of this backend (SIGXFSZ)",
    159: "it made a system call that is not allowed here (SIGSYS)",
}
# Too common to be said in a message that goes to the study's author; on the page they help.
_EVERYDAY = {
    1: "the command reported a failure; its log says which",
    2: "the command reported a failure, often that it was called in a wrong way",
    125: "the command could not be started as it was asked for",
    255: "the command reported a failure of its own, or a number that is no exit code",
}


def meaning(exit_code: int | None, *, out_of_memory: bool) -> str:
    """A clause for people; empty where there is nothing to say."""
    if exit_code is None:
        return ""
    if out_of_memory:
        return "the engine reported that memory ran out"
    if exit_code == 0:
        return "the command ended well"
    return (KNOWN_EXIT_CODES | _EVERYDAY).get(exit_code, "the command chose this number; its log may say why")
