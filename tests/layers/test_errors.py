"""Bad arguments and bad inputs: the text of each error, word for word."""

import numpy as np
import pytest

from stepfit import layers as L
from tests.expect import refused

SEQ, IMG = np.ones((2, 4, 3)), np.ones((2, 4, 4, 3))


def again(layer, first, second):
    """Call a layer on one input, then on another."""
    layer(first)
    return layer(second)


ERRORS = [
    # Constructor arguments.
    (lambda: L.Dense(0), "Dense(units): expected a positive int, found 0."),
    (lambda: L.Dense(2.5), "Dense(units): expected a positive int, found 2.5."),
    (lambda: L.Dense(2, activaton="relu"),
     "Dense(...): expected the name of an argument, found 'activaton'; did you mean 'activation'?"),
    (lambda: L.Embedding(-1, 2), "Embedding(input_dim): expected a positive int, found -1."),
    (lambda: L.Function(3), "Function(function): expected a function, found 3."),
    (lambda: L.Function("nowhere"),
     "Function(function): expected a function or the name of a registered one, found 'nowhere'; "
     "register it with saving.register_keras_serializable."),
    (lambda: L.LeakyReLU(-0.1),
     "LeakyReLU(negative_slope): expected a number of at least 0, found -0.1."),
    (lambda: L.ReLU(max_value=-1),
     "ReLU(max_value): expected a number of at least 0, or None, found -1."),
    (lambda: L.Reshape((2, -1, -1)),
     "Reshape(target_shape): expected positive ints and at most one -1, found (2, -1, -1)."),
    (lambda: L.Permute((1, 3)), "Permute(dims): expected a permutation of 1 ... 2, found (1, 3)."),
    (lambda: L.RepeatVector(0), "RepeatVector(n): expected a positive int, found 0."),
    (lambda: L.ZeroPadding2D((1, 2, 3)),
     "ZeroPadding2D(padding): expected an int, or 2 ints or pairs of ints, found (1, 2, 3)."),
    (lambda: L.UpSampling2D(interpolation="bilinaer"),
     "UpSampling2D(interpolation): expected the name of an interpolation, found 'bilinaer'; did "
     "you mean 'bilinear'?"),
    (lambda: L.Conv2D(4, 0),
     "Conv2D(kernel_size): expected a positive int or a tuple of 2 positive ints, found 0."),
    (lambda: L.Conv2D(4, (3, 3, 3)),
     "Conv2D(kernel_size): expected a positive int or a tuple of 2 positive ints, found "
     "(3, 3, 3)."),
    (lambda: L.Conv2D(4, 3, padding="smae"),
     "Conv2D(padding): expected the name of a padding, found 'smae'; did you mean 'same'?"),
    (lambda: L.Conv2D(4, 3, padding="causal"),
     "Conv2D(padding): expected the name of a padding, found 'causal'; known names: 'same', "
     "'valid'."),
    (lambda: L.Conv2D(4, 3, groups=3),
     "Conv2D(filters): expected a multiple of groups=3, found 4."),
    (lambda: L.Conv2D(4, 3, data_format="channel_last"),
     "data_format: expected the name of a data format, found 'channel_last'; did you mean "
     "'channels_last'?"),
    (lambda: L.Conv2DTranspose(4, 3, output_padding=1),
     "Conv2DTranspose(output_padding): expected less than strides=(1, 1), found (1, 1)."),
    (lambda: L.MaxPooling1D(2, strides=0),
     "MaxPooling1D(strides): expected a positive int or a tuple of 1 positive ints, found 0."),
    (lambda: L.Dropout(1.5), "Dropout(rate): expected a number in [0, 1), found 1.5."),
    (lambda: L.Dropout("0.5"), "Dropout(rate): expected a number in [0, 1), found '0.5'."),
    (lambda: L.GaussianNoise(-1), "GaussianNoise(stddev): expected a number of at least 0, found "
     "-1."),
    (lambda: L.BatchNormalization(momentum=1.5),
     "BatchNormalization(momentum): expected a number in [0, 1), found 1.5."),
    (lambda: L.BatchNormalization(axis=[1, 2]),
     "BatchNormalization(axis): expected an int, found list of 2 elements."),
    (lambda: L.Dot(axes=0),
     "Dot(axes): expected an int or a pair of ints, other than the batch axis 0, found 0."),
    (lambda: L.LSTM(0), "LSTMCell(units): expected a positive int, found 0."),
    (lambda: L.GRU(2, dropout=1.5), "GRUCell(dropout): expected a number in [0, 1), found 1.5."),
    (lambda: L.LSTM(2, use_cudnn="yes"),
     "LSTM(use_cudnn): expected 'auto', True or False, found 'yes'."),
    (lambda: L.RNN(3), "RNN(cell): expected a cell: a layer with `call(inputs, states)`, found 3."),
    (lambda: L.RNN(L.Dense(2)),
     "RNN(cell): expected a cell with the attribute `state_size`, an int or a list of ints, found "
     "an object of type Dense; set self.state_size in its __init__."),
    (lambda: L.StackedRNNCells([L.GRUCell(2), L.GRUCell]),
     "StackedRNNCells(cells[1]): expected a cell: a layer with `call(inputs, states)`, found the "
     "class GRUCell."),
    (lambda: L.ConvLSTM2D(2, 3, strides=2, dilation_rate=2),
     "ConvLSTM2D(strides): expected 1, with dilation_rate=(2, 2), found (2, 2)."),
    (lambda: L.Bidirectional(3), "Bidirectional(layer): expected a layer, found 3."),
    (lambda: L.Bidirectional(L.GRU(2), "mean"),
     "Bidirectional(merge_mode): expected 'sum', 'mul', 'ave', 'concat' or None, found 'mean'."),
    (lambda: L.Bidirectional(L.GRU(2), backward_layer=L.GRU(2)),
     "Bidirectional(backward_layer): expected go_backwards=True, other than the layer's, found "
     "go_backwards=False."),
    (lambda: L.Bidirectional(
        L.GRU(2, return_state=True), backward_layer=L.GRU(2, go_backwards=True)),
     "Bidirectional(backward_layer): expected return_state=True, as the layer has, found "
     "return_state=False."),
    (lambda: L.EinsumDense("abc->ab", 3),
     "EinsumDense(equation): expected 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...', found "
     "'abc->ab'."),
    (lambda: L.MultiHeadAttention(0, 2),
     "MultiHeadAttention(num_heads): expected a positive int, found 0."),
    (lambda: L.MultiHeadAttention(2, 2, sliding_window=-1),
     "MultiHeadAttention(sliding_window): expected a positive int, found -1."),
    (lambda: L.GroupQueryAttention(2, 3, 2),
     "GroupQueryAttention(num_query_heads): expected a multiple of num_key_value_heads=2, found "
     "3."),
    (lambda: L.Attention(score_mode="dott"),
     "Attention(score_mode): expected the name of a score mode, found 'dott'; did you mean 'dot'?"),
    # Inputs.
    (lambda: again(L.Dense(3), np.ones((2, 32)), np.ones((2, 31))),
     "Dense 'dense' input axis -1: expected size 32 (as built), found size 31, shape (2, 31)."),
    (lambda: L.Dense(3)(np.ones(4)),
     "Dense 'dense' input: expected at least 2 axes, found 1 axes, shape (4,)."),
    (lambda: L.Conv2D(4, 3, name="edges")(SEQ),
     "Conv2D 'edges' input: expected at least 4 axes, found 3 axes, shape (2, 4, 3)."),
    (lambda: again(L.Conv2D(4, 3), IMG, np.ones((2, 4, 4, 1))),
     "Conv2D 'conv2d' input axis -1: expected size 3 (as built), found size 1, shape "
     "(2, 4, 4, 1)."),
    (lambda: L.Conv2D(4, 3, groups=2)(IMG),
     "Conv2D 'conv2d' input axis -1: expected channels that groups=2 divides, found 3 channels."),
    (lambda: L.Conv2D(4, 5)(IMG),
     "conv(inputs): expected space for at least one window, found float32[2,4,4,3] for a kernel "
     'of shape (5, 5, 3, 4); use padding="same", a smaller kernel or a larger input.'),
    (lambda: L.Conv2D(4, 3)(L.Input((4, 4, None))),
     "Conv2D 'conv2d' input axis -1: expected a known number of channels, found None; give the "
     "Input its channels (data_format is 'channels_last')."),
    (lambda: L.MaxPooling2D()(SEQ),
     "MaxPooling2D 'max_pooling2d' input: expected 4 axes, found 3 axes, shape (2, 4, 3)."),
    (lambda: L.Embedding(3, 2)(np.array([[0, 7]])),
     "Embedding 'embedding' input: expected integers in [0, 2], found 7; raise input_dim or check "
     "the vocabulary."),
    (lambda: L.Embedding(3, 2)(np.array([[0, -1]])),
     "Embedding 'embedding' input: expected integers in [0, 2], found -1; raise input_dim or "
     "check the vocabulary."),
    (lambda: L.Reshape((5, 2))(SEQ),
     "Reshape 'reshape' input: expected 10 elements per sample for target_shape (5, 2), found 12, "
     "shape (2, 4, 3)."),
    (lambda: L.Reshape((5, -1))(SEQ),
     "Reshape 'reshape' input: expected a multiple of 5 elements per sample for target_shape "
     "(5, -1), found 12, shape (2, 4, 3)."),
    (lambda: L.Cropping1D((2, 2))(SEQ),
     "Cropping1D 'cropping1d' input axis 1: expected more than the 4 elements that are cropped, "
     "found 4."),
    (lambda: L.GroupNormalization(2)(SEQ),
     "GroupNormalization 'group_normalization' input axis -1: expected channels that groups=2 "
     "divides, found 3 channels."),
    (lambda: L.LayerNormalization(axis=5)(SEQ),
     "LayerNormalization 'layer_normalization' input: expected an axis 5, found shape (2, 4, 3)."),
    (lambda: L.Dropout(0.5, noise_shape=(1, 1))(SEQ, training=True),
     "Dropout 'dropout' noise_shape: expected 3 axes, as the input has, found (1, 1)."),
    (lambda: L.Softmax()(SEQ, mask=np.ones((2, 4))),
     "Softmax 'softmax' mask: expected an array that broadcasts to (2, 4, 3), found shape (2, 4)."),
    (lambda: L.BatchNormalization()(SEQ, mask=np.ones(2, bool)),
     "BatchNormalization 'batch_normalization' mask: expected 2 axes, found 1 axes."),
    (lambda: L.Add()(SEQ),
     "Add 'add' inputs: expected a list of arrays, found one array; call Add()([x1, x2])."),
    (lambda: L.Add()([SEQ, np.ones((2, 5, 3))]),
     "Add 'add' inputs: expected shapes that broadcast, found shapes (2, 4, 3), (2, 5, 3)."),
    (lambda: L.Subtract()([SEQ, SEQ, SEQ]),
     "Subtract 'subtract' inputs: expected 2 arrays, found 3."),
    (lambda: L.Add()([SEQ, np.ones((3, 4, 3))]),
     "Add 'add' inputs: expected the same batch size, found shapes (2, 4, 3), (3, 4, 3)."),
    (lambda: L.Concatenate()([SEQ, np.ones((2, 5, 3))]),
     "Concatenate 'concatenate' inputs: expected the same shape except on axis -1, found shapes "
     "(2, 4, 3), (2, 5, 3)."),
    (lambda: L.LSTM(2)(IMG),
     "LSTM 'lstm' input: expected 3 axes, found 4 axes, shape (2, 4, 4, 3)."),
    (lambda: L.LSTM(2)(L.Input((4,))),
     "LSTM 'lstm' input: expected 3 axes (batch, steps, features), found 2 axes, shape (None, 4); "
     "for one number per step pass x[..., None]; an Embedding makes features of indices."),
    (lambda: L.MultiHeadAttention(2, 2)(SEQ, SEQ, attention_mask=np.ones((2, 3, 3), bool)),
     "MultiHeadAttention 'multi_head_attention' attention_mask: expected shape (batch, targets, "
     "sources), which end in (4, 4), found shape (2, 3, 3)."),
    (lambda: L.LSTM(2)(L.Input((4, None))),
     "LSTMCell 'lstm/lstm_cell' input axis -1: expected a known number of features, found None; "
     "give the Input its features."),
    (lambda: L.LSTM(2)(SEQ, initial_state=[np.ones((2, 2))]),
     "LSTM 'lstm' initial_state: expected 2 states, found 1."),
    (lambda: L.GRU(2, stateful=True)(L.Input((4, 3))),
     "GRU 'gru' stateful: expected a batch size that is known, found None; give the Input a "
     "batch_size."),
    (lambda: again(L.GRU(2, stateful=True), SEQ, SEQ[:1]),
     "GRU 'gru' input: expected a batch of 2, whose states it keeps, found a batch of 1; make "
     "every batch as large as the first, or use stateful=False."),
    (lambda: L.Bidirectional(L.GRU(2)).reset_state(),
     "Bidirectional 'bidirectional' reset_state(): expected a stateful layer, found "
     "stateful=False."),
    (lambda: L.TimeDistributed(L.Dense(2))(np.ones((2, 3))),
     "TimeDistributed 'time_distributed' input: expected at least 3 axes, found shape (2, 3)."),
    (lambda: L.TimeDistributed(L.Dense(2))(SEQ, mask=np.ones((2, 3))),
     "TimeDistributed 'time_distributed' mask: expected shape (2, 4), found shape (2, 3)."),
    (lambda: L.ConvLSTM2D(2, 3)(L.Input((4, None, 4, 3))),
     "ConvLSTMCell 'conv_lstm2d/conv_lstm_cell' input: expected known sizes but for the batch, "
     "found shape (None, None, 4, 3); give the Input its sizes."),
    (lambda: L.EinsumDense("abc,cd->abd", (5, 2))(SEQ),
     "EinsumDense 'einsum_dense' equation 'abc,cd->abd' axis 'b': expected size 5, as output_shape "
     "says, found 4 in the input's shape (2, 4, 3)."),
    (lambda: L.EinsumDense("abc,cd->abd", 2)(SEQ),
     "EinsumDense 'einsum_dense' equation 'abc,cd->abd' output_shape: expected a size for each of "
     "'bd', found (2,)."),
    (lambda: L.EinsumDense("ab,bc->ac", 2)(SEQ),
     "EinsumDense 'einsum_dense' equation 'ab,bc->ac' input: expected 2 axes, found shape "
     "(2, 4, 3)."),
    (lambda: L.EinsumDense("abc,cd->abd", (4, 2), bias_axes="c")(SEQ),
     "EinsumDense 'einsum_dense' equation 'abc,cd->abd' bias_axes: expected letters of the output "
     "'abd', found 'c'."),
    (lambda: L.EinsumDense("abc,cde->abd", (4, 2))(SEQ),
     "EinsumDense 'einsum_dense' equation 'abc,cde->abd' axis 'e' of the kernel: expected a known "
     "size, found none; give it in output_shape or in the Input's shape."),
    (lambda: L.EinsumDense("abc,cd->abe", (4, 2))(SEQ),
     "EinsumDense 'einsum_dense' equation 'abc,cd->abe': expected each letter of the output in the "
     "input or the kernel, found 'e'."),
    (lambda: L.MultiHeadAttention(2, 2)(SEQ, SEQ, np.ones((2, 5, 3))),
     "MultiHeadAttention 'multi_head_attention' key: expected the shape of value, (2, 4, 3), but "
     "for the last axis, found (2, 5, 3)."),
    (lambda: L.Attention()(SEQ),
     "Attention 'attention' inputs: expected a list [query, value] or [query, value, key], found "
     "float32[2,4,3]."),
    (lambda: L.Attention()([SEQ, SEQ], mask=np.ones((2, 4))),
     "Attention 'attention' mask: expected a list [query_mask, value_mask], found float32[2,4]."),
    (lambda: L.Dot(axes=1)([SEQ, np.ones((2, 5, 3))]),
     "Dot 'dot' inputs: expected the same size on axes 1 and 1, found shapes (2, 4, 3), "
     "(2, 5, 3)."),
]  # fmt: skip


@pytest.mark.parametrize("call, text", ERRORS, ids=[t.split(":")[0] + f"-{i}" for i, (_, t) in
                                                    enumerate(ERRORS)])  # fmt: skip
def test_error_texts(call, text):
    refused(call, (ValueError, TypeError, AttributeError), text)


def test_a_failed_call_leaves_the_layer_as_it_was():
    layer = L.BatchNormalization()
    layer(IMG, training=True)
    before = layer.get_weights()
    with pytest.raises(ValueError):
        layer(SEQ, training=True)
    for a, b in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_errors_inside_call_name_the_layer():
    with pytest.raises(ValueError) as caught:
        L.Conv2D(4, 5, name="edges")(IMG)
    assert caught.value.__notes__[0].startswith(
        "In Conv2D 'edges', called with inputs=float32[2,4,4,3]"
    )
