"""Where the jobs of a request stand when they are drawn: computed once, by a child process, and stored as numbers.

Called after the jobs are stored, by whoever planned them, outside of every transaction. A picture is never worth a
request: whatever fails here is logged and forgotten, and the page draws by a simpler rule (`jobs.drawing`). The web
may not import this.
"""

import json
import logging
import subprocess
import sys
from pathlib import Path

from django.db import DatabaseError

from jobs.drawing import MOST_BOXES, MOST_LINKS, Drawing, boxes_of, links_of
from jobs.models import JobRequest

log = logging.getLogger(__name__)

SECONDS = 15
CHILD = Path(__file__).with_name("graph_child.py")
_MOST_ANSWER = 2_000_000


def lay_out(request: JobRequest) -> None:
    """Store where the request's jobs stand. Never raises for the picture's sake."""
    try:
        boxes = boxes_of(request)
        links = links_of(boxes)
        if len(boxes) < 2 or len(boxes) > MOST_BOXES or len(links) > MOST_LINKS:
            return
        drawing = ask_child([box.size for box in boxes], links)
        JobRequest.objects.filter(pk=request.pk).update(graph=drawing.stored())
    except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError, DatabaseError) as error:
        log.warning("request %s: its graph could not be laid out: %s", request.identifier, error)


def ask_child(sizes: list[tuple[float, float]], links: list[tuple[int, int]], child: Path = CHILD) -> Drawing:
    """Raises ValueError for an answer that is none, and subprocess.SubprocessError for a child that fails or hangs."""
    asked = json.dumps({"boxes": sizes, "links": links})
    # Isolated: neither the environment nor the current folder may name modules for it.
    done = subprocess.run(
        [sys.executable, "-I", str(child)],
        input=asked.encode(), capture_output=True, timeout=SECONDS, check=True, env={"LC_ALL": "C.UTF-8"}, cwd="/",
        start_new_session=True,
    )  # fmt: skip
    if len(done.stdout) > _MOST_ANSWER:
        raise ValueError("the answer is too long")
    answer = json.loads(done.stdout)
    return Drawing.read({**answer, "links": links}, boxes=len(sizes))
