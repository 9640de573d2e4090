"""Layer: maths with variables, built on first call.

What happens when a layer is called: the arguments are bound to `call`'s signature; `training` is
resolved (argument, else the caller's, else False); float inputs are cast to the compute dtype; the
layer is built if it is not; masks that inputs carry are handed on; then `call` runs with variables
read in the compute dtype. On symbolic tensors the same `call` is traced abstractly, and the call is
recorded as a node of a graph. Subclasses give `build` and `call`; what a layer holds, and what it
adds to the loss, are in `holds_variables` and `has_losses`.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from stepfit import regularizers
from stepfit.core import (
    dtypes,
    errors,
    jax_private,
    naming,
    placement,
    registry,
    remat,
    symbolic,
)
from stepfit.core import scope as scopes
from stepfit.layers import call_context, input_spec
from stepfit.layers.has_losses import HasLosses
from stepfit.layers.holds_variables import HoldsVariables
from stepfit.layers.signature import CallSignature, shapes_of


@registry.add_family_base
class Layer(HoldsVariables, HasLosses, registry.Configurable):
    """A callable with variables: the unit that models are made of.

    Subclasses make their variables in `build` (or ``__init__``) with `add_weight` and give their
    maths in `call`. Layers, Variables and SeedGenerators held in attributes, in lists, tuples or
    dicts, are found by themselves.

    Args:
        activity_regularizer: function (or name) of the output, added to the losses.
        trainable: whether the variables are updated in training.
        dtype: dtype or policy (name or `DTypePolicy`); default the global policy.
        autocast: whether float inputs are cast to the compute dtype.
        name: name; default from the class.

    Example:

    >>> import numpy as np, stepfit as keras
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, x):
    ...         return x * self.scale
    >>> layer = Scale()
    >>> layer(np.ones((2, 3))).shape, layer.count_params()
    ((2, 3), 3)
    """

    _signature: CallSignature
    _recomputed_whole = True  # by a `RematScope`: not layer by layer
    _convert_input_args = True  # whether `call` gets JAX arrays for what it is given
    _looks_at_values = False  # whether `call`, outside compiled code, checks what it is given

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            setattr(cls, "build", _once(cls.build))  # noqa: B010
        cls._signature = CallSignature(cls)

    def __init__(
        self,
        *,
        activity_regularizer: str | dict | Callable[[Any], Any] | None = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ):
        cls = type(self).__name__
        input_shape = kwargs.pop("input_shape", None)
        if "input_dim" in kwargs:
            input_shape = (kwargs.pop("input_dim"),)
        if kwargs:
            shared = ("activity_regularizer", "trainable", "dtype", "autocast", "name")
            own = list(inspect.signature(type(self).__init__).parameters)
            known = [k for k in (*own, *shared) if k not in ("self", "kwargs", "args")]
            raise errors.unknown_argument(f"{cls}(...)", next(iter(kwargs)), known)
        self._input_shape_argument = None if input_shape is None else tuple(input_shape)
        self.name = naming.check_name(name, cls) if name is not None else naming.auto_name(cls)
        parent = naming.current_path()
        self._path = f"{parent}/{self.name}" if parent else self.name
        self.dtype_policy = dtypes.get_policy(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = autocast
        self.input_spec: Any = None
        self.supports_masking = "mask" in self._signature.names or type(self).compute_mask is not (
            Layer.compute_mask
        )
        self._remat_mode = remat.current_mode()
        self.built = self._in_build = False
        self._has_run = False
        self._first_shapes: list = []  # of what the first call returned
        self._trainable = bool(trainable)
        self._weights_made = []  # by add_weight, whether or not kept in an attribute
        self._losses = []
        self._losses_token = None
        self._build_shapes: Any = None
        self._inbound_nodes: list[symbolic.Node] = []

    # -- what subclasses give --------------------------------------------------------------------

    def build(self, input_shape: Any) -> None:
        """Make the variables; called once, with the shapes of the first inputs.

        Args:
            input_shape: tuple with None for sizes not known, or a structure of such tuples. A
                layer whose `call` has several array arguments may take ``{name}_shape`` for each.
                A layer without a `build` of its own has the layers in it built for this shape.
        """
        self._check_ready()
        if self.built or self._in_build:  # by a subclass, in its own
            return
        if all(layer.built for layer in self._flatten_layers(include_self=False)):
            with self._build_scope():
                return
        self.compute_output_shape(input_shape)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; subclasses give the maths here."""
        raise errors.StepfitRuntimeError(
            f"{type(self).__name__} {self.name!r}: expected a `call` method, found none; define "
            "`def call(self, inputs): ...`."
        )

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """Return the mask of the outputs, given the inputs and their mask."""
        return previous_mask

    # -- calling -----------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._check_ready()
        if symbolic.any_symbolic(args, kwargs):
            return self._symbolic_call(args, kwargs)
        return self._run(args, kwargs)

    def _run(self, args, kwargs):
        arguments = self._signature.bind(self, args, kwargs)
        with call_context.enter(self) as context:
            if context.parent is None:
                self._begin_outermost_call(context.token)
            arguments.resolve_training(context)
            arguments.convert(self)
            if not self.built:
                self._build_for(arguments)
            arguments.fill_masks(self)
            self._check_input_spec(arguments.first)
            in_scope = naming.name_scope(self.name)
            dtype = self.compute_dtype if self.compute_dtype != self.variable_dtype else None
            try:
                with in_scope, jax.named_scope(self.name), scopes.autocast(dtype):
                    call = functools.partial(self.call, *arguments.args, **arguments.kwargs)
                    outputs = remat.call_layer(self, call)
            except Exception as e:
                self._add_note(e, arguments)
                raise
            if outputs is None:
                raise errors.bad_value(
                    f"{self._where()} call", "an array or a structure of arrays", "None",
                    "end `call` with a return statement",
                )  # fmt: skip
            distribution = placement.in_force()
            if distribution is not None:
                path = f"{naming.current_path()}/{self.name}/output".lstrip("/")
                outputs = distribution.spread_output(path, outputs)
            if self.activity_regularizer is not None:
                for y in jax.tree.leaves(outputs):
                    share = self.activity_regularizer(y) / jnp.asarray(y.shape[0], y.dtype)
                    self.add_loss(share)
            if self.supports_masking:
                arguments.set_output_mask(self, outputs)
            if not self._has_run:
                self._first_shapes = [shapes_of(x) for x in jax.tree.leaves(outputs)]
                self._has_run = True
        return outputs

    def _symbolic_call(self, args, kwargs):
        arguments = self._signature.bind(self, args, kwargs)
        if not self.built and type(self).build is not Layer.build:
            self._build_for(arguments)  # with None for unknown sizes
        self._check_input_spec(arguments.first)
        outputs = self.compute_output_spec(*args, **kwargs)
        node = symbolic.Node(self, args, kwargs, outputs)
        self._inbound_nodes.append(node)
        return outputs

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Call the layer as a pure function of its variables' values.

        Args:
            trainable_variables: values for `layer.trainable_variables`.
            non_trainable_variables: values for `layer.non_trainable_variables`.
            *args, **kwargs: the arguments of `call`.
            return_losses: whether the losses of the call are returned. Where they are not, the
                next `compute_loss` adds them.

        Returns:
            ``(outputs, non_trainable_variables)``, with ``losses`` third if `return_losses`.

        Raises:
            ValueError: the layer is not built, or a list has the wrong length or shapes.
        """
        self._check_ready()
        if not self.built:
            raise errors.StepfitValueError(
                f"{self._where()} stateless_call: expected a built layer, found one whose "
                "variables do not exist yet; call it on data or call build(input_shape) first."
            )
        trainable, frozen = self.trainable_variables, self.non_trainable_variables
        where = f"{self._where()} stateless_call"
        pairs = [
            *scopes.pair(f"{where}(trainable_variables)", trainable, trainable_variables),
            *scopes.pair(f"{where}(non_trainable_variables)", frozen, non_trainable_variables),
        ]
        with scopes.Scope(pairs, collect_losses=True) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses
        self._hand_on(scope, {id(v) for v, _ in pairs})
        new_frozen = [scope.get_current_value(v) for v in frozen]
        if return_losses:
            return outputs, new_frozen, losses
        if scope.parent is not None:
            scope.parent.forward_losses[id(self)] = losses
        else:
            self._forward_losses = losses
        return outputs, new_frozen

    def _hand_on(self, scope, given):
        """Hand what `call` assigned beside its state to the scope around, or refuse to lose it."""
        parent = scope.parent
        for key, variable in scope.variables.items():
            if key in given or (parent is not None and scopes.root_scope().abstract):
                continue
            value = scope.values[key]
            if parent is not None and jax_private.lives_with(value, parent.first_value()):
                variable.assign(value)
                continue
            raise errors.bad_value(
                f"{self._where()} stateless_call",
                "`call` to assign only to the layer's variables", f"{variable.path!r} assigned",
                "its new value would be lost: call it inside `with stepfit.StatelessScope("
                "[(variable, value)]) as scope:`, within the function that is transformed, and "
                "return scope.get_current_value(variable) from there",
            )  # fmt: skip

    # -- building and shapes -----------------------------------------------------------------------

    def _build_for(self, arguments):
        shapes = arguments.shapes()
        with self._build_scope():
            self._call_build(shapes, arguments)
        self._build_shapes = shapes
        self._check_held()

    @contextlib.contextmanager
    def _build_scope(self):
        """Name what is made inside after this layer; the layer is built when it ends well."""
        parent, made = naming.current_path(), len(self._weights_made)
        self._path = f"{parent}/{self.name}" if parent else self.name
        self._in_build = True
        try:
            with naming.name_scope(self.name), scopes.autocast(None):
                yield
        except BaseException:
            del self._weights_made[made:]  # the next attempt makes them again
            raise
        finally:
            self._in_build = False
        self.built = True

    def _check_held(self):
        """Refuse new weights that no layer of the running call holds: nobody would train them."""
        context = call_context.current()
        if context is not None and context.layer is self:
            context = context.parent
        if context is None or not self.weights:
            return
        while context.parent is not None:
            context = context.parent
        root = context.layer
        if root is not self and not any(layer is self for layer in root._flatten_layers()):
            raise errors.StepfitRuntimeError(
                f"{self._where()}: expected a layer that {root._where()} holds in an attribute, "
                "found one that it only calls, whose weights would never be trained or saved; "
                "make it in `__init__` as `self.layer = ...`."
            )

    def _call_build(self, shapes, arguments):
        if type(self).build is Layer.build:
            return  # variables come with the first run of `call`
        build: Any = self.build  # subclasses take what they need
        names, needed = self._signature.build_names, self._signature.build_needs
        taken = {n: shapes[n[:-6]] for n in names if n.endswith("_shape") and n[:-6] in shapes}
        by_name = all(n.endswith("_shape") for n in names) and names != ["input_shape"]
        if taken and by_name and needed <= taken.keys():
            build(**taken)
        elif names:
            if not shapes and needed and arguments.by_position():
                name, value = arguments.by_position()[0]
                where = f"{self._where()} call({name})"
                raise errors.bad_type(where, "an array", errors.describe(value))
            build(next(iter(shapes.values()), None))
        else:
            build()

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the input shapes that the layer was built for, None for one not built."""
        shapes = self._build_shapes
        if not shapes:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": {f"{name}_shape": shape for name, shape in shapes.items()}}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the layer for the shapes that `get_build_config` returned."""
        if config and "input_shape" in config:
            if config["input_shape"] is not None:
                self.build(as_shapes(config["input_shape"]))
        elif config and "shapes_dict" in config:
            build: Any = self.build
            build(**{name: as_shapes(shape) for name, shape in config["shapes_dict"].items()})

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Return `KerasTensor`s for the outputs of a call on symbolic tensors."""
        run = lambda *a, **k: self._run(a, k)
        return symbolic.infer(run, args, kwargs, self._where())

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """Return the output shape(s) for input shape(s) given as tuples with None where unknown."""
        if "input_shape" in kwargs:  # Keras's name for the only one
            args = (*args, kwargs.pop("input_shape"))
        tensors = [_as_tensors(a, self.compute_dtype) for a in args]
        keys = {k.removesuffix("_shape"): _as_tensors(v, self.compute_dtype)
                for k, v in kwargs.items()}  # fmt: skip
        return shapes_of(self.compute_output_spec(*tensors, **keys))

    def _check_input_spec(self, first):
        if self.input_spec is not None:
            input_spec.check(self.input_spec, first, self._where())

    # -- the rest ----------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The names of the layers around this one and its own, joined by "/"."""
        return self._path

    @property
    def dtype(self) -> str:
        """The dtype of the variables."""
        return dtypes.policy_at(self.dtype_policy, self._path).variable_dtype

    @property
    def variable_dtype(self) -> str:
        """The dtype of the variables."""
        return dtypes.policy_at(self.dtype_policy, self._path).variable_dtype

    @property
    def compute_dtype(self) -> str:
        """The dtype that `call` computes in."""
        return dtypes.policy_at(self.dtype_policy, self._path).compute_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that float inputs are cast to."""
        return self.compute_dtype

    @property
    def input(self) -> Any:
        """The symbolic input of this layer's first call in a graph."""
        return self._first_node("input").args[0]

    @property
    def output(self) -> Any:
        """The symbolic output of this layer's first call in a graph."""
        return self._first_node("output").outputs

    def _first_node(self, what):
        if not self._inbound_nodes:
            raise errors.StepfitAttributeError(
                f"{self._where()} has no {what!r}: it was never called on a symbolic tensor."
            )
        return self._inbound_nodes[0]

    def _current_config(self):
        dtype = registry.serialize(self.dtype_policy)
        cfg = {"name": self.name, "trainable": self._trainable, "dtype": dtype}
        if self.activity_regularizer is not None:
            cfg["activity_regularizer"] = self.activity_regularizer
        accepted = self._signature.init_names
        return cfg if accepted is None else {k: v for k, v in cfg.items() if k in accepted}

    _untracked_names = frozenset({"_init_arguments", "_inbound_nodes", "_losses", "_losses_token",
                                  "_forward_losses", "_last_call", "_build_shapes"})  # fmt: skip
    _unwatched_names = frozenset({"_losses", "_losses_token", "_forward_losses", "_last_call",
                                  "_weights_made"})  # fmt: skip

    def _where(self):
        return f"{type(self).__name__} {self._path!r}"

    def _check_ready(self):
        if "_inbound_nodes" not in self.__dict__:
            raise errors.StepfitRuntimeError(
                f"{type(self).__name__}: expected `super().__init__()` to have been called, found "
                "it missing; call it first in `__init__`."
            )

    def _add_note(self, e, arguments):
        if len(getattr(e, "__notes__", [])) < 4:
            e.add_note(f"In {self._where()}, called with {arguments.describe()}.")
            errors.drop_jax_note(e)

    if not TYPE_CHECKING:  # to a type checker, every name would be there

        def __getattr__(self, name):
            # Only reached for what is missing: say so if `super().__init__()` was forgotten.
            if not name.startswith("__") and "_init_arguments" in self.__dict__:
                self._check_ready()
            root = scopes.root_scope()
            if root is not None and root.is_step:
                root.missed.add((id(self), name))
            errors.check_not_old(self._where, name)
            return object.__getattribute__(self, name)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def _once(build):
    """Wrap a `build` method: called directly, it builds the layer as the first call would."""
    if getattr(build, "by_calling", False):  # runs `call`, which does all this
        return build

    @functools.wraps(build)
    def run(self, *args, **kwargs):
        self._check_ready()
        if self._in_build:  # from the first call, or through super().build(...)
            return build(self, *args, **kwargs)
        if not self.built:
            with self._build_scope():
                build(self, *args, **kwargs)
            names = self._signature.build_names
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            kept = {k.removesuffix("_shape"): v for k, v in given.items() if v is not None}
            self.__dict__["_build_shapes"] = kept
        return None

    return run


def as_shapes(tree):
    """Return shapes as tuples, where they came as lists from JSON."""
    if isinstance(tree, dict):
        return {k: as_shapes(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        parts = [as_shapes(v) for v in tree]
        if any(isinstance(p, (tuple, list, dict)) for p in parts):
            return parts
        if not all(d is None or (isinstance(d, int) and d >= 0) for d in parts):
            raise errors.bad_value("a shape", "non-negative ints and None", errors.describe(parts))
        return tuple(parts)
    return tree


def _as_tensors(shape, dtype):
    if isinstance(shape, dict):
        return {k: _as_tensors(v, dtype) for k, v in shape.items()}
    if shape and isinstance(shape[0], (tuple, list, dict)):
        return type(shape)(_as_tensors(s, dtype) for s in shape)
    return symbolic.KerasTensor(shape, dtype)
