"""Distribution: how variables, batches and results are spread over a mesh of devices."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax

from stepfit.core import errors, placement
from stepfit.distribution.layout import TensorLayout, distribute_tensor
from stepfit.distribution.mesh import DeviceMesh


class Distribution:
    """Base of distributions: subclasses say the layout of each variable.

    Args:
        device_mesh: the `DeviceMesh`.
        batch_dim_name: name of the mesh's axis that batches are spread over.
        auto_shard_dataset: with several processes, whether all are given the same data, of which
            each uses its own rows; False: each is given a share of its own of each batch.
    """

    def __init__(
        self, device_mesh: DeviceMesh, batch_dim_name: str | None = None,
        auto_shard_dataset: bool = True,
    ):  # fmt: skip
        where = f"{type(self).__name__}(device_mesh)"
        if not isinstance(device_mesh, DeviceMesh):
            raise errors.bad_type(where, "a DeviceMesh", errors.describe(device_mesh))
        if batch_dim_name is not None and batch_dim_name not in device_mesh.axis_names:
            raise errors.unknown_name(
                f"{type(self).__name__}(batch_dim_name)", "mesh axis", batch_dim_name,
                device_mesh.axis_names,
            )  # fmt: skip
        self._device_mesh, self._batch_dim_name = device_mesh, batch_dim_name
        self._auto_shard_dataset = bool(auto_shard_dataset)

    # -- what users ask --------------------------------------------------------------------------

    @property
    def device_mesh(self) -> DeviceMesh:
        """The mesh."""
        return self._device_mesh

    @property
    def batch_dim_name(self) -> str | None:
        """The axis of the mesh that batches are spread over."""
        return self._batch_dim_name

    @property
    def auto_shard_dataset(self) -> bool:
        """Whether all processes are given the same data, and each uses its rows of it."""
        return self._auto_shard_dataset

    @auto_shard_dataset.setter
    def auto_shard_dataset(self, value: bool) -> None:
        self._auto_shard_dataset = bool(value)

    @property
    def num_processes(self) -> int:
        """How many processes train together."""
        return jax.process_count()

    @property
    def num_model_replicas(self) -> int:
        """How many copies of the model there are: parts that a batch is cut into."""
        return self._device_mesh.size_of(self._batch_dim_name)

    @property
    def data_shard_id(self) -> int:
        """Which part of the data is this process's."""
        per_replica = max(1, self.num_processes // self.num_model_replicas)
        return jax.process_index() // per_replica

    def get_data_layout(self, data_shape: Any) -> TensorLayout:
        """Return the layout of a batch of some shape: its first axis is spread."""
        axes = [self._batch_dim_name, *[None] * (len(data_shape) - 1)]
        return TensorLayout(axes[: len(data_shape)], self._device_mesh)

    def get_variable_layout(self, variable: Any) -> TensorLayout:
        """Return the layout of a Variable."""
        raise NotImplementedError(f"{type(self).__name__} must define get_variable_layout")

    def get_tensor_layout(self, path: str) -> TensorLayout | None:
        """Return the layout of what a layer returns, by a path such as "dense/output", or None."""
        return None

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Have this distribution be in force inside the block, and stay with models compiled there.

        Models built in the block are made spread out; a model that is compiled there is always run
        with this distribution.
        """
        with placement.within(self):
            yield

    # -- what layers and the engine ask ----------------------------------------------------------

    def spread_output(self, path, outputs):
        """Return what a layer returned, spread as the layout of its path says, if there is one.

        An axis that the devices do not divide, such as that of a small last batch, is not spread.
        """
        layout = self.get_tensor_layout(path)
        if layout is None:
            return outputs
        return jax.tree.map(lambda x: distribute_tensor(x, layout.fitted(x.shape)), outputs)

    def sharding_of(self, variable):
        """Return the `jax.sharding.NamedSharding` of a Variable.

        Raises:
            ValueError: its shape does not fit the layout.
        """
        layout = self.get_variable_layout(variable)
        layout.check_fits(variable.shape, f"{type(self).__name__}: variable {variable.path!r}")
        return layout.backend_layout

    @property
    def spans_processes(self):
        """Whether devices of other processes are among those of the mesh."""
        return not self.replicated().is_fully_addressable

    def replicated(self):
        """Return the sharding of what each device has a copy of."""
        return TensorLayout((), self._device_mesh).backend_layout

    def __deepcopy__(self, memo):
        return self  # devices cannot be copied

    def __reduce__(self):
        return _stays_behind, ()  # what is pickled may be read where there are other devices

    def _replicate(self, variable):
        return TensorLayout([None] * len(variable.shape), self._device_mesh)

    def __repr__(self):
        return f"<{type(self).__name__} device_mesh={self.device_mesh}>"


def _stays_behind():
    return None


def distribution() -> Distribution | None:
    """Return the distribution in force, or None."""
    return placement.in_force()


def set_distribution(value: Distribution | None) -> None:
    """Set the distribution for the whole process; None: each model on one device.

    Models that are there already are spread anew when they are next trained or evaluated.

    Raises:
        TypeError: not a distribution.

    Example:

    >>> import stepfit as keras
    >>> keras.distribution.set_distribution(keras.distribution.DataParallel(devices=["cpu:0"]))
    >>> keras.distribution.distribution().num_model_replicas
    1
    >>> keras.distribution.set_distribution(None)
    """
    if value is not None and not isinstance(value, Distribution):
        expected = "a distribution such as DataParallel(), or None"
        raise errors.bad_type("set_distribution(value)", expected, errors.describe(value))
    placement.put_in_force(value)
