"""The privacy levels of outputs, most sensitive first; spelt as project.yaml spells them."""

HIGHLY_SENSITIVE = "highly_sensitive"
MODERATELY_SENSITIVE = "moderately_sensitive"
MINIMALLY_SENSITIVE = "minimally_sensitive"
PRIVACY_LEVELS = (HIGHLY_SENSITIVE, MODERATELY_SENSITIVE, MINIMALLY_SENSITIVE)
