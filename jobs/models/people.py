"""What people keep here: saved views of the lists, and tokens for programs that speak for them."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone


class SavedView(models.Model):
    """A name for the filters of a list, as its address has them. Without an owner everybody sees it."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE)
    name = models.CharField(max_length=64)
    slug = models.SlugField(max_length=64, unique=True)
    query = models.CharField(max_length=1024, blank=True, help_text="what follows /jobs/? in the address")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class ApiTokenQuerySet(models.QuerySet):
    def valid(self) -> "ApiTokenQuerySet":
        alive = self.filter(revoked_at=None, user__is_active=True)
        return alive.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


class ApiToken(models.Model):
    """A program's right to speak for a person, never for more than that person may. Only a digest is stored."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=64, help_text="what uses it")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="sha256, hexadecimal")
    beginning = models.CharField(max_length=12, editable=False, help_text="its first letters, to tell tokens apart")
    may_change = models.BooleanField(default=False, help_text="cancel, retry and switch; otherwise it only reads")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}… of {self.user})"
