"""The rows of the benchmark: which operation is measured on which workload, at which size."""

import dataclasses

from benchmarks.workloads.a_dense import Dense
from benchmarks.workloads.b_mlp import Mlp
from benchmarks.workloads.base import Workload
from benchmarks.workloads.c_cnn import Cnn
from benchmarks.workloads.d_gan import Gan
from benchmarks.workloads.e_transformer import Transformer
from benchmarks.workloads.f_lstm import Lstm
from benchmarks.workloads.gpt import Gpt
from benchmarks.workloads.layers import Layers
from benchmarks.workloads.resnet50 import ResNet50


@dataclasses.dataclass(frozen=True)
class Row:
    """What one line of the table measures; `operation` is a method of `benchmarks.frameworks`."""

    title: str
    workload: Workload
    operation: str = "train"


def _rows(a, a_1000, b_32, b_128, c, d, e, f, small):
    return {
        "a": Row(f"a: {a.title}, batch {a.batch}", a),
        "a-1000": Row(f"a: {a_1000.rows} rows, one fit per epoch", a_1000, "train_again"),
        "a-evaluate": Row("a: evaluate", a, "evaluate"),
        "a-predict": Row("a: predict", a, "predict"),
        "b-32": Row(f"b: {b_32.title}, batch {b_32.batch}", b_32),
        "b-128": Row(f"b: the same, batch {b_128.batch}", b_128),
        "c": Row(f"c: {c.title}, batch {c.batch}", c),
        "d": Row(f"d: {d.title}, batch {d.batch}", d),
        "e": Row(f"e: {e.title}", e),
        "f": Row(f"f: {f.title}", f),
        "small-train": Row("MLP: train_on_batch", small, "train_on_batch"),
        "small-predict": Row("MLP: predict_on_batch", small, "predict_on_batch"),
        "small-call": Row("MLP: calling the model", small, "call"),
    }



def _layer_rows(*workloads):
    return {f"layers-{w.kind}": Row(f"layers: {w.title}", w) for w in workloads}


FULL = _rows(
    Dense(), Dense(rows=1000), Mlp(), Mlp(batch=128), Cnn(), Gan(), Transformer(), Lstm(),
    small=Mlp(rows=32),
) | _layer_rows(
    Layers(1024, 64, "lstm", (32, 64), (64,)),
    Layers(1024, 64, "gru", (32, 64), (64,)),
    Layers(512, 32, "attention", (64, 128), (4, 32)),
    Layers(512, 32, "batchnorm", (28, 28, 32)),
    Layers(512, 32, "conv1d", (128, 64), (64, 5)),
    Layers(256, 32, "conv2d", (28, 28, 32), (32, 3)),
    Layers(256, 32, "depthwise", (28, 28, 32), (3,)),
    Layers(256, 32, "transpose", (14, 14, 32), (32, 3)),
)  # fmt: skip

TINY = _rows(
    Dense(rows=128), Dense(rows=100), Mlp(rows=64, features=8, hidden=4),
    Mlp(rows=160, batch=128, features=8, hidden=4), Cnn(rows=8, batch=4, size=12, filters=(2, 4)),
    Gan(rows=4, batch=2, latent=4, filters=4),
    Transformer(rows=8, batch=4, length=8, vocabulary=20, width=8, heads=2, blocks=1),
    Lstm(rows=8, batch=4, length=4, features=3, units=4),
    small=Mlp(rows=32, features=8, hidden=4),
) | _layer_rows(
    Layers(8, 4, "lstm", (3, 2), (2,)),
    Layers(8, 4, "gru", (3, 2), (2,)),
    Layers(8, 4, "attention", (3, 4), (2, 2)),
    Layers(8, 4, "batchnorm", (4, 4, 2)),
    Layers(8, 4, "conv1d", (6, 2), (2, 3)),
    Layers(8, 4, "conv2d", (6, 6, 2), (2, 3)),
    Layers(8, 4, "depthwise", (6, 6, 2), (3,)),
    Layers(8, 4, "transpose", (4, 4, 2), (2, 3)),
)  # fmt: skip


def _gpu_rows(b, c, e, resnet50, gpt):
    named = {"b": b, "c": c, "e": e, "resnet50": resnet50, "gpt": gpt}
    titles = {  # the others' sizes are in their titles
        "b": f"b: MLP {b.features}-{b.hidden}-{b.hidden}-{b.classes}",
        "c": f"c: CNN 28x28 ({c.filters[0]}/{c.filters[1]})",
        "e": f"e: transformer {e.blocks} x {e.width}, seq {e.length}",
    }
    return {
        name: Row(f"{titles.get(name, w.title)}, batch {w.batch}", w) for name, w in named.items()
    }


GPU = _gpu_rows(
    Mlp(rows=64 * 1024, batch=1024, hidden=1024),
    Cnn(rows=16 * 1024, batch=512, filters=(64, 128)),
    Transformer(rows=1024, batch=64, length=256, width=512, heads=8, blocks=8),
    ResNet50(),
    Gpt(),
)

GPU_TINY = _gpu_rows(
    Mlp(rows=64, features=8, hidden=4),
    Cnn(rows=8, batch=4, filters=(2, 4)),
    Transformer(rows=8, batch=4, length=8, vocabulary=20, width=8, heads=2, blocks=1),
    ResNet50(rows=4, batch=2, size=32, width=4, blocks=(1, 1), classes=10),
    Gpt(rows=4, batch=2, length=16, vocabulary=64, width=32, heads=2, blocks=1),
)

# Start-up and memory are measured in processes of their own, on these.
STARTUP = {name: dataclasses.replace(w, rows=w.batch) for name, w in
           {"a": Dense(), "c": Cnn(), "e": Transformer()}.items()}  # fmt: skip
MEMORY = {
    "a": Dense(),
    "b-32": Mlp(),
    "b-60k": Mlp(rows=60_000, batch=128),
    "b-wide": Mlp(rows=2048, batch=128, hidden=4096),
    "c": Cnn(),
    "d": Gan(rows=64),
    "e": Transformer(),
    "f": Lstm(),
}
MEMORY_TITLES = {
    "b-60k": "b: 60,000 rows (188 MB of data)",
    "b-wide": "b: 4096 wide (240 MB of weights and slots)",
}
