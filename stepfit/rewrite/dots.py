"""Rules for matrix products."""

RULES: dict = {}
