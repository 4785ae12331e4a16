"""Which installation a database is of: a number that its first `manage.py run` gives it, and that moves with it."""

import uuid

from django.db import models


def _new_identifier() -> str:
    return uuid.uuid4().hex


class InstallationQuerySet(models.QuerySet):
    def identifier(self) -> str:
        """Empty as long as it was given none."""
        return self.values_list("identifier", flat=True).first() or ""

    def give_identifier(self) -> str:
        """The one it has, or a new one. Only ever one, also if two give it at once."""
        return self.get_or_create(pk=1)[0].identifier


class Installation(models.Model):
    identifier = models.CharField(max_length=32, default=_new_identifier)
    made_at = models.DateTimeField(auto_now_add=True)

    objects = InstallationQuerySet.as_manager()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="installation_is_one")]

    def __str__(self) -> str:
        return self.identifier
