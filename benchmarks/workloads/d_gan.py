"""d: the GAN of the tf.keras guide on custom steps: 28x28x1 images, two networks, two optimizers.

The guide draws codes and label noise inside the step. Here they come with the images, so that all
frameworks see the same and their losses can be compared; drawing them costs next to nothing beside
the step. Networks, sizes, optimizers and the order of updates are the guide's.
"""

import dataclasses

import numpy as np

from benchmarks.workloads.base import EPSILON, Workload, glorot, zeros
from benchmarks.workloads.weights import (
    equinox_conv,
    equinox_dense,
    equinox_set,
    nnx_conv,
    nnx_dense,
    torch_conv,
    torch_dense,
    torch_set,
)

RATE = 3e-4
SLOPE = 0.2


@dataclasses.dataclass(frozen=True)
class Gan(Workload):
    rows: int = 128
    batch: int = 64
    latent: int = 128
    filters: int = 128

    name = "d"
    title = "GAN, own train_step"
    tolerance = 2e-5  # losses hardly move in so few steps

    def make_data(self, random):
        normal = lambda *shape: random.normal(size=shape).astype("float32")
        x = {
            "images": random.uniform(size=(self.rows, 28, 28, 1)).astype("float32"),
            "d_codes": normal(self.rows, self.latent),
            "g_codes": normal(self.rows, self.latent),
            "noise": 0.05 * random.uniform(size=(self.rows, 2)).astype("float32"),
        }
        return x, None

    def make_weights(self, random):
        """Return the discriminator's weights, then the generator's."""
        many, half = self.filters, self.filters // 2
        shapes = [
            (3, 3, 1, half), (3, 3, half, many), (many, 1),
            (self.latent, 49 * many), (4, 4, many, many), (4, 4, many, many), (7, 7, many, 1),
        ]  # fmt: skip
        pairs = [(glorot(random, *shape), zeros(shape[-1])) for shape in shapes]
        return [array for pair in pairs for array in pair]

    # Keras and stepfit

    def keras_networks(self, keras):
        layers, many, half = keras.layers, self.filters, self.filters // 2
        discriminator = keras.Sequential([
            keras.Input((28, 28, 1)),
            layers.Conv2D(half, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(SLOPE),
            layers.Conv2D(many, (3, 3), strides=(2, 2), padding="same"),
            layers.LeakyReLU(SLOPE),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ])  # fmt: skip
        generator = keras.Sequential([
            keras.Input((self.latent,)),
            layers.Dense(7 * 7 * many),
            layers.LeakyReLU(SLOPE),
            layers.Reshape((7, 7, many)),
            layers.Conv2DTranspose(many, (4, 4), strides=(2, 2), padding="same"),
            layers.LeakyReLU(SLOPE),
            layers.Conv2DTranspose(many, (4, 4), strides=(2, 2), padding="same"),
            layers.LeakyReLU(SLOPE),
            layers.Conv2D(1, (7, 7), padding="same", activation="sigmoid"),
        ])  # fmt: skip
        discriminator.set_weights(self.weights[:6])
        generator.set_weights(self.weights[6:])
        return discriminator, generator

    def keras_model(self, keras, **options):
        made = tape_gan(keras) if hasattr(keras, "GradientTape") else stateless_gan(keras)
        model = made(*self.keras_networks(keras))
        adam = lambda: keras.optimizers.Adam(RATE, epsilon=EPSILON)
        model.compile(adam(), adam(), keras.losses.BinaryCrossentropy(from_logits=True), **options)
        return model

    def epoch_losses(self, history):
        return [d + g for d, g in zip(history["d_loss"], history["g_loss"], strict=True)]

    # Plain JAX

    def optax_optimizer(self):
        import optax

        return optax.adam(RATE, eps=EPSILON)

    def jax_state(self):
        import jax.numpy as jnp

        weights = [jnp.array(w) for w in self.weights]
        for i in 8, 10:  # lax turns the kernels of transposed convolutions round
            weights[i] = jnp.array(turned(self.weights[i]))
        networks = weights[:6], weights[6:]
        return networks, [self.optax_optimizer().init(network) for network in networks]

    def jax_step(self, state, batch):
        import jax
        import jax.numpy as jnp
        import optax
        from jax import lax

        def conv(x, kernel, bias, stride=1):
            dims = ("NHWC", "HWIO", "NHWC")
            strides = (stride, stride)
            return lax.conv_general_dilated(x, kernel, strides, "SAME", None, None, dims) + bias

        def relu(x):
            return jax.nn.leaky_relu(x, SLOPE)

        def discriminate(weights, x):
            k1, b1, k2, b2, k3, b3 = weights
            x = relu(conv(x, k1, b1, 2))
            x = relu(conv(x, k2, b2, 2))
            return x.max((1, 2)) @ k3 + b3

        def generate(weights, x):
            k1, b1, k2, b2, k3, b3, k4, b4 = weights
            x = relu(x @ k1 + b1).reshape(-1, 7, 7, self.filters)
            for kernel, bias in ((k2, b2), (k3, b3)):
                x = relu(lax.conv_transpose(x, kernel, (2, 2), "SAME") + bias)
            return jax.nn.sigmoid(conv(x, k4, b4))

        def update(network, slots, loss_of):
            loss, gradients = jax.value_and_grad(loss_of)(network)
            updates, slots = self.optax_optimizer().update(gradients, slots)
            return optax.apply_updates(network, updates), slots, loss

        def d_loss(d):
            scores = discriminate(d, jnp.concatenate([fakes, x["images"]]))
            return optax.sigmoid_binary_cross_entropy(scores, labels).mean()

        def g_loss(g):
            scores = discriminate(d, generate(g, x["g_codes"]))
            return optax.sigmoid_binary_cross_entropy(scores, 0.0).mean()

        x, _ = batch
        (d, g), (d_slots, g_slots) = state
        labels = noisy_labels(x["noise"])
        fakes = generate(g, x["d_codes"])
        d, d_slots, one = update(d, d_slots, d_loss)
        g, g_slots, two = update(g, g_slots, g_loss)
        return ((d, g), [d_slots, g_slots]), one + two

    # flax nnx

    def nnx_state(self):
        from flax import nnx

        d, g = self.weights[:6], self.weights[6:]
        relu = lambda x: nnx.leaky_relu(x, SLOPE)

        def conv_transpose(kernel, bias):
            kernel = turned(kernel)
            layer = nnx.ConvTranspose(
                *kernel.shape[2:], (4, 4), strides=(2, 2), padding="SAME", rngs=nnx.Rngs(0)
            )
            layer.kernel[...], layer.bias[...] = kernel, bias
            return layer

        networks = (
            nnx.Sequential(
                nnx_conv(*d[:2], strides=2), relu, nnx_conv(*d[2:4], strides=2), relu,
                lambda x: x.max((1, 2)), nnx_dense(*d[4:]),
            ),
            nnx.Sequential(
                nnx_dense(*g[:2]), relu, lambda x: x.reshape(-1, 7, 7, self.filters),
                conv_transpose(*g[2:4]), relu, conv_transpose(*g[4:6]), relu,
                nnx_conv(*g[6:]), nnx.sigmoid,
            ),
        )  # fmt: skip
        return networks, [nnx.Optimizer(m, self.optax_optimizer(), wrt=nnx.Param) for m in networks]

    def nnx_step(self, state, batch):
        import jax.numpy as jnp
        import optax
        from flax import nnx

        def d_loss(d):
            scores = d(jnp.concatenate([fakes, x["images"]]))
            return optax.sigmoid_binary_cross_entropy(scores, labels).mean()

        def g_loss(g):
            return optax.sigmoid_binary_cross_entropy(d(g(x["g_codes"])), 0.0).mean()

        x, _ = batch
        (d, g), (d_optimizer, g_optimizer) = state
        labels = noisy_labels(x["noise"])
        fakes = g(x["d_codes"])
        one, gradients = nnx.value_and_grad(d_loss)(d)
        d_optimizer.update(d, gradients)
        two, gradients = nnx.value_and_grad(g_loss)(g)
        g_optimizer.update(g, gradients)
        return one + two

    # equinox

    def equinox_state(self):
        import equinox as eqx
        import jax

        d, g = self.weights[:6], self.weights[6:]
        function = eqx.nn.Lambda
        relu = function(lambda x: jax.nn.leaky_relu(x, SLOPE))

        def conv_transpose(kernel, bias):
            kernel = turned(kernel)
            layer = eqx.nn.ConvTranspose2d(
                *kernel.shape[2:], (4, 4), stride=2, padding=1, key=jax.random.key(0)
            )
            return equinox_set(
                layer, weight=kernel.transpose(3, 2, 0, 1), bias=bias[:, None, None]
            )

        networks = (
            eqx.nn.Sequential([
                equinox_conv(*d[:2], stride=2, padding="SAME"), relu,
                equinox_conv(*d[2:4], stride=2, padding="SAME"), relu,
                function(lambda x: x.max((1, 2))), equinox_dense(*d[4:]),
            ]),
            eqx.nn.Sequential([
                equinox_dense(*g[:2]), relu,
                function(lambda x: x.reshape(7, 7, -1).transpose(2, 0, 1)),
                conv_transpose(*g[2:4]), relu, conv_transpose(*g[4:6]), relu,
                equinox_conv(*g[6:], padding="SAME"), function(jax.nn.sigmoid),
            ]),
        )  # fmt: skip
        arrays = [eqx.filter(network, eqx.is_inexact_array) for network in networks]
        return networks, [self.optax_optimizer().init(one) for one in arrays]

    def equinox_step(self, state, batch):
        import equinox as eqx
        import jax
        import jax.numpy as jnp
        import optax

        def update(network, slots, loss_of):
            loss, gradients = eqx.filter_value_and_grad(loss_of)(network)
            updates, slots = self.optax_optimizer().update(gradients, slots)
            return eqx.apply_updates(network, updates), slots, loss

        def d_loss(d):
            images = x["images"].transpose(0, 3, 1, 2)
            scores = jax.vmap(d)(jnp.concatenate([fakes, images]))
            return optax.sigmoid_binary_cross_entropy(scores, labels).mean()

        def g_loss(g):
            scores = jax.vmap(d)(jax.vmap(g)(x["g_codes"]))
            return optax.sigmoid_binary_cross_entropy(scores, 0.0).mean()

        x, _ = batch
        (d, g), (d_slots, g_slots) = state
        labels = noisy_labels(x["noise"])
        fakes = jax.vmap(g)(x["d_codes"])
        d, d_slots, one = update(d, d_slots, d_loss)
        g, g_slots, two = update(g, g_slots, g_loss)
        return ((d, g), [d_slots, g_slots]), one + two

    # torch

    def torch_inputs(self, x):
        return {**x, "images": x["images"].transpose(0, 3, 1, 2)}

    def torch_state(self):
        import torch
        from torch import nn

        d, g, many = self.weights[:6], self.weights[6:], self.filters

        def conv_transpose(kernel, bias):
            layer = nn.ConvTranspose2d(many, many, 4, stride=2, padding=1)
            return torch_set(layer, weight=kernel.transpose(3, 2, 0, 1), bias=bias)

        def halve(kernel, bias):  # "same" padding: the odd row and column at the end
            return nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), torch_conv(kernel, bias, stride=2))

        # Dense units in the order (channel, row, column).
        kernel = g[0].reshape(-1, 49, many).swapaxes(1, 2).reshape(-1, 49 * many)
        networks = (
            nn.Sequential(
                halve(*d[:2]), nn.LeakyReLU(SLOPE), halve(*d[2:4]), nn.LeakyReLU(SLOPE),
                nn.AdaptiveMaxPool2d(1), nn.Flatten(), torch_dense(*d[4:]),
            ),
            nn.Sequential(
                torch_dense(kernel, g[1]), nn.LeakyReLU(SLOPE), nn.Unflatten(1, (many, 7, 7)),
                conv_transpose(*g[2:4]), nn.LeakyReLU(SLOPE),
                conv_transpose(*g[4:6]), nn.LeakyReLU(SLOPE),
                torch_conv(*g[6:], padding=3), nn.Sigmoid(),
            ),
        )  # fmt: skip
        adam = lambda m: torch.optim.Adam(m.parameters(), RATE, eps=EPSILON)
        return networks, [adam(network) for network in networks]

    def torch_step(self, state, batch):
        import torch

        bce = torch.nn.functional.binary_cross_entropy_with_logits
        x, _ = batch
        (d, g), (d_optimizer, g_optimizer) = state
        with torch.no_grad():
            fakes = g(x["d_codes"])
        noise = x["noise"]
        labels = torch.cat([1 + noise[:, :1], noise[:, 1:]])
        d_optimizer.zero_grad()
        d_loss = bce(d(torch.cat([fakes, x["images"]])), labels)
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        scores = d(g(x["g_codes"]))
        g_loss = bce(scores, torch.zeros_like(scores))
        g_loss.backward(inputs=list(g.parameters()))
        g_optimizer.step()
        return d_loss.detach() + g_loss.detach()


def turned(kernel):
    """Return Keras's kernel of a transposed convolution as `lax.conv_transpose` wants it."""
    return np.ascontiguousarray(kernel[::-1, ::-1].transpose(0, 1, 3, 2))


def noisy_labels(noise):
    """Return 1 for fakes and 0 for real images, plus noise; fakes come first."""
    import jax.numpy as jnp

    return jnp.concatenate([1 + noise[:, :1], noise[:, 1:]])


def tape_gan(keras):
    """Return the GAN with its step in tape style, which stepfit takes."""
    ops = keras.ops

    class TapeGan(keras.Model):
        def __init__(self, discriminator, generator):
            super().__init__()
            self.discriminator, self.generator = discriminator, generator
            self.d_tracker = keras.metrics.Mean(name="d_loss")
            self.g_tracker = keras.metrics.Mean(name="g_loss")

        def compile(self, d_optimizer, g_optimizer, loss, **options):
            super().compile(optimizer=None, **options)
            self.d_optimizer, self.g_optimizer, self.loss_fn = d_optimizer, g_optimizer, loss

        def train_step(self, x):
            fakes = self.generator(x["d_codes"])
            both = ops.concatenate([fakes, x["images"]])
            labels = ops.concatenate([1 + x["noise"][:, :1], x["noise"][:, 1:]])
            with keras.GradientTape() as tape:
                d_loss = self.loss_fn(labels, self.discriminator(both))
            weights = self.discriminator.trainable_variables
            self.d_optimizer.apply(tape.gradient(d_loss, weights), weights)

            with keras.GradientTape() as tape:
                scores = self.discriminator(self.generator(x["g_codes"]))
                g_loss = self.loss_fn(ops.zeros_like(scores), scores)
            weights = self.generator.trainable_variables
            self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)

            self.d_tracker.update_state(d_loss)
            self.g_tracker.update_state(g_loss)
            return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}

    return TapeGan


def stateless_gan(keras):
    """Return the GAN as Keras on JAX needs it: values picked from lists by position."""
    import jax

    ops = keras.ops

    class StatelessGan(keras.Model):
        def __init__(self, discriminator, generator):
            super().__init__()
            self.discriminator, self.generator = discriminator, generator
            self.d_tracker = keras.metrics.Mean(name="d_loss")
            self.g_tracker = keras.metrics.Mean(name="g_loss")
            self.built = True

        @property
        def metrics(self):
            return [self.d_tracker, self.g_tracker]

        def compile(self, d_optimizer, g_optimizer, loss, **options):
            d_optimizer.build(self.discriminator.trainable_variables)
            g_optimizer.build(self.generator.trainable_variables)
            super().compile(optimizer=d_optimizer, **options)
            self.g_optimizer, self.loss_fn = g_optimizer, loss
            # The state has room for one optimizer: the other's slots go as model variables.
            self.g_slots = g_optimizer.variables

        def train_step(self, state, x):
            trainable, g_slots, d_slots, trackers = state
            split = len(self.discriminator.trainable_variables)
            d, g = trainable[:split], trainable[split:]

            def d_loss(d):
                scores, _ = self.discriminator.stateless_call(d, [], both)
                return self.loss_fn(labels, scores)

            def g_loss(g):
                fakes, _ = self.generator.stateless_call(g, [], x["g_codes"])
                scores, _ = self.discriminator.stateless_call(d, [], fakes)
                return self.loss_fn(ops.zeros_like(scores), scores)

            fakes, _ = self.generator.stateless_call(g, [], x["d_codes"])
            both = ops.concatenate([fakes, x["images"]])
            labels = ops.concatenate([1 + x["noise"][:, :1], x["noise"][:, 1:]])
            one, gradients = jax.value_and_grad(d_loss)(d)
            d, d_slots = self.optimizer.stateless_apply(d_slots, gradients, d)
            two, gradients = jax.value_and_grad(g_loss)(g)
            g, g_slots = self.g_optimizer.stateless_apply(g_slots, gradients, g)

            means = [self.d_tracker, self.g_tracker]
            parts = [trackers[:2], trackers[2:]]
            parts = [m.stateless_update_state(p, v) for m, p, v in zip(means, parts, (one, two))]
            logs = {m.name: m.stateless_result(p) for m, p in zip(means, parts)}
            return logs, ([*d, *g], g_slots, d_slots, [*parts[0], *parts[1]])

    return StatelessGan
