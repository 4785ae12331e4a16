"""The text of a study's project.yaml as it was planned from, for the pages: the web reaches no git."""

import hashlib

from django.db import models

MOST_BYTES = 1_000_000


class ProjectFile(models.Model):
    """Stored once, however many requests name the same text."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="sha256 of the text, hexadecimal")
    text = models.TextField()

    def __str__(self) -> str:
        return self.digest

    @classmethod
    def keep_bytes(cls, content: bytes | None) -> "ProjectFile | None":
        """As committed; what is no UTF-8 is replaced. None if nothing was read, or more than a page can show."""
        if content is None or len(content) > MOST_BYTES:
            return None
        return cls.keep(content.decode("utf-8", "replace"))

    @classmethod
    def keep(cls, text: str) -> "ProjectFile":
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return cls.objects.get_or_create(digest=digest, defaults={"text": text})[0]
