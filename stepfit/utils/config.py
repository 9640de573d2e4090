"""`Config`: named values, as attributes and as a dict, that can be frozen."""

import json
from typing import Any

from stepfit.core import errors


class Config:
    """Named values.

    Args:
        kwargs: the values.

    >>> import stepfit as keras
    >>> config = keras.utils.Config(rate=0.1)
    >>> config.depth = 3
    >>> config.freeze()
    >>> config["depth"], config.rate, config.to_json()
    (3, 0.1, '{"rate": 0.1, "depth": 3}')
    """

    _config: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any):
        object.__setattr__(self, "_config", kwargs)
        object.__setattr__(self, "_frozen", False)

    @property
    def frozen(self) -> bool:
        """Whether it cannot be changed."""
        return self._frozen

    def freeze(self) -> None:
        """Refuse changes from now on."""
        object.__setattr__(self, "_frozen", True)

    def unfreeze(self) -> None:
        """Allow changes again."""
        object.__setattr__(self, "_frozen", False)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as a dict of its own."""
        return dict(self._config)

    def to_json(self) -> str:
        """Return the values as JSON."""
        return json.dumps(self._config)

    def keys(self) -> Any:
        """The names."""
        return self._config.keys()

    def values(self) -> Any:
        """The values."""
        return self._config.values()

    def items(self) -> Any:
        """Pairs of name and value."""
        return self._config.items()

    def get(self, keyname: str, value: Any = None) -> Any:
        """Return a value, or another one where there is none of that name."""
        return self._config.get(keyname, value)

    def pop(self, *args: Any) -> Any:
        """Take a value out, as `dict.pop` does."""
        self._check_open()
        return self._config.pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set several values, as `dict.update` does."""
        self._check_open()
        self._config.update(*args, **kwargs)

    def _check_open(self):
        if self._frozen:
            fix = "call unfreeze() first"
            raise errors.bad_value("Config", "a config that may be changed", "a frozen one", fix)

    def _missing(self, name, error):
        near = errors.nearest(name, self._config)
        text = f"Config has no value {name!r}"
        return error(f"{text}; did you mean {near!r}?" if near else f"{text}.")

    def __getattr__(self, name):
        if name.startswith("__") or name not in self._config:
            raise self._missing(name, errors.StepfitAttributeError)
        return self._config[name]

    def __getitem__(self, name):
        if name not in self._config:
            raise self._missing(name, KeyError)
        return self._config[name]

    def __setattr__(self, name, value):
        if hasattr(type(self), name):
            kind = "a name of a value"
            raise errors.bad_value("Config", kind, f"{name!r}, a name of its own", "choose another")
        self._check_open()
        self._config[name] = value

    __setitem__ = __setattr__

    def __delattr__(self, name):
        self._check_open()
        if name not in self._config:
            raise self._missing(name, errors.StepfitAttributeError)
        del self._config[name]

    def __delitem__(self, name):
        self._check_open()
        if name not in self._config:
            raise self._missing(name, KeyError)
        del self._config[name]

    def __contains__(self, name):
        return name in self._config

    def __iter__(self):
        return iter(sorted(self._config))

    def __len__(self):
        return len(self._config)

    def __repr__(self):
        return f"<Config {self._config}>"

    def __getstate__(self):
        return {"_config": self._config, "_frozen": self._frozen}

    def __setstate__(self, state):
        for name, value in state.items():
            object.__setattr__(self, name, value)
