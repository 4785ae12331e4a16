"""Makes Django's admin ours: opened by a permission that roles give, and by our own log-in page."""

from django.contrib.admin import apps


class AdminConfig(apps.AdminConfig):
    default_site = "jobs.people.admin_site.RoleAdminSite"
