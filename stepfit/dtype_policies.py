"""Dtype policies: what layers compute in and what they store their variables in."""

from stepfit.core.dtypes import DTypePolicy, get_policy

__all__ = ["DTypePolicy", "get"]

get = get_policy
