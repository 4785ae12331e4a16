"""What the pages tell and ask, for people at a terminal and for scripts: the commands beside `add_job`.

Each module answers one question; the commands only parse options. Every change goes through the same verb as on the
pages (`jobs.asking`), and `--json` prints what the API answers. Knows nothing of HTTP, git and Docker.
"""
