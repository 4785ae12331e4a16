"""The text of a study's project.yaml as it was planned from, for the pages: the web reaches no git."""

import hashlib

from django.db import models


class ProjectFile(models.Model):
    """Stored once, however many requests name the same text."""

    digest = models.CharField(max_length=64, primary_key=True, help_text="sha256 of the text, hexadecimal")
    text = models.TextField()

    def __str__(self) -> str:
        return self.digest

    @classmethod
    def keep(cls, text: str) -> "ProjectFile":
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return cls.objects.get_or_create(digest=digest, defaults={"text": text})[0]
