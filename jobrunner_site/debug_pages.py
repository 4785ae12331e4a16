"""Which settings and variables of the environment Django's debug pages (development only) show as stars.

Django goes by words in their names and knows none of ours that hold addresses with passwords.
"""

import re

from django.views.debug import SafeExceptionReporterFilter

_OURS = r"PROXY|DATABASE_?URL|GIT_ENVIRONMENT|LICENSE|ORGANISATION_HASH|LOGS_NEVER_SHOW|WEBHOOK_URL"


class SecretsHidden(SafeExceptionReporterFilter):
    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|{_OURS}", re.IGNORECASE)
