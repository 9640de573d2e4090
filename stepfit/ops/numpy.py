# ruff: noqa: F401
"""NumPy's functions on arrays and symbolic tensors, with Keras's signatures: a table.

A row gives the signature and one sentence; the function is the one of the same name in `jax.numpy`
unless the row names another. What needs code of its own stands in `stepfit.ops.numpy_extra`.
"""

import jax.numpy as jnp

from stepfit.ops.math import slogdet as slogdet
from stepfit.ops.numpy_extra import (
    arange,
    array,
    bincount,
    clip,
    divide_no_nan,
    einsum,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    geomspace,
    get_item,
    histogram,
    identity,
    linspace,
    logspace,
    matmul,
    mean,
    meshgrid,
    ndim,
    nonzero,
    ones,
    ones_like,
    pad,
    round,
    searchsorted,
    select,
    size,
    stack,
    tri,
    unique,
    var,
    vectorize,
    view,
    where,
    zeros,
    zeros_like,
)  # fmt: skip
from stepfit.ops.table import as_float, same

# Arithmetic.
add = same("add(x1, x2)", "Sum, element by element.")
subtract = same("subtract(x1, x2)", "Difference, element by element.")
multiply = same("multiply(x1, x2)", "Product, element by element.")
divide = same("divide(x1, x2)", "Quotient, element by element.")
true_divide = same("true_divide(x1, x2)", "Quotient, element by element.")
floor_divide = same("floor_divide(x1, x2)", "Quotient rounded down.")
mod = same("mod(x1, x2)", "Remainder with the sign of the divisor.")
fmod = same("fmod(x1, x2)", "Remainder with the sign of the dividend.")
power = same("power(x1, x2)", "`x1` raised to `x2`.")
negative = same("negative(x)", "`-x`.")
reciprocal = same("reciprocal(x)", "`1 / x`.")
absolute = same("absolute(x)", "Absolute value.")
abs = same("abs(x)", "Absolute value.")
fabs = same("fabs(x)", "Absolute value as a float.")
sign = same("sign(x)", "-1, 0 or 1 by sign.")
signbit = same("signbit(x)", "Whether the sign bit is set.")
square = same("square(x)", "`x * x`.")
sqrt = same("sqrt(x)", "Square root.")
cbrt = same("cbrt(x)", "Cube root.")
maximum = same("maximum(x1, x2)", "Larger of two, element by element; NaN wins.")
minimum = same("minimum(x1, x2)", "Smaller of two, element by element; NaN wins.")
fmax = same("fmax(x1, x2)", "Larger of two, element by element; NaN loses.")
fmin = same("fmin(x1, x2)", "Smaller of two, element by element; NaN loses.")
gcd = same("gcd(x1, x2)", "Greatest common divisor.")
lcm = same("lcm(x1, x2)", "Least common multiple.")
hypot = same("hypot(x1, x2)", "`sqrt(x1**2 + x2**2)` without overflow.")
heaviside = same("heaviside(x1, x2)", "Step function of `x1`, with `x2` at zero.")
nextafter = same("nextafter(x1, x2)", "Next float after `x1` towards `x2`.")
ldexp = same("ldexp(x1, x2)", "`x1 * 2**x2`.")

# Exponentials, trigonometry, rounding.
exp = same("exp(x)", "Exponential.")
exp2 = same("exp2(x)", "`2**x`.")
expm1 = same("expm1(x)", "`exp(x) - 1`, exact near zero.")
log = same("log(x)", "Natural logarithm.")
log10 = same("log10(x)", "Logarithm to base 10.")
log1p = same("log1p(x)", "`log(1 + x)`, exact near zero.")
log2 = same("log2(x)", "Logarithm to base 2.")
logaddexp = same("logaddexp(x1, x2)", "`log(exp(x1) + exp(x2))` without overflow.")
logaddexp2 = same("logaddexp2(x1, x2)", "`log2(2**x1 + 2**x2)` without overflow.")
sin = same("sin(x)", "Sine of radians.")
cos = same("cos(x)", "Cosine of radians.")
tan = same("tan(x)", "Tangent of radians.")
sinh = same("sinh(x)", "Hyperbolic sine.")
cosh = same("cosh(x)", "Hyperbolic cosine.")
tanh = same("tanh(x)", "Hyperbolic tangent.")
arcsin = same("arcsin(x)", "Inverse sine, in radians.")
arccos = same("arccos(x)", "Inverse cosine, in radians.")
arctan = same("arctan(x)", "Inverse tangent, in radians.")
arctan2 = same("arctan2(x1, x2)", "Angle of the point `(x2, x1)`, in radians.")
arcsinh = same("arcsinh(x)", "Inverse hyperbolic sine.")
arccosh = same("arccosh(x)", "Inverse hyperbolic cosine.")
arctanh = same("arctanh(x)", "Inverse hyperbolic tangent.")
sinc = same("sinc(x)", "`sin(pi x) / (pi x)`.")
i0 = same("i0(x)", "Modified Bessel function of the first kind, order 0.")
deg2rad = same("deg2rad(x)", "Degrees to radians.")
rad2deg = same("rad2deg(x)", "Radians to degrees.")
ceil = same("ceil(x)", "Round up.", lambda x: jnp.ceil(as_float(x)))
floor = same("floor(x)", "Round down.", lambda x: jnp.floor(as_float(x)))
trunc = same("trunc(x)", "Round towards zero.")
nan_to_num = same(
    "nan_to_num(x, nan=0.0, posinf=None, neginf=None)", "Replace NaN and infinities by numbers."
)

# Complex numbers.
angle = same("angle(x)", "Angle of a complex number, in radians.")
real = same("real(x)", "Real part.")
imag = same("imag(x)", "Imaginary part.")
conj = same("conj(x)", "Complex conjugate.")
conjugate = same("conjugate(x)", "Complex conjugate.")

# Comparison and logic.
equal = same("equal(x1, x2)", "`x1 == x2`.")
not_equal = same("not_equal(x1, x2)", "`x1 != x2`.")
greater = same("greater(x1, x2)", "`x1 > x2`.")
greater_equal = same("greater_equal(x1, x2)", "`x1 >= x2`.")
less = same("less(x1, x2)", "`x1 < x2`.")
less_equal = same("less_equal(x1, x2)", "`x1 <= x2`.")
logical_and = same("logical_and(x1, x2)", "Both true.")
logical_or = same("logical_or(x1, x2)", "At least one true.")
logical_xor = same("logical_xor(x1, x2)", "Exactly one true.")
logical_not = same("logical_not(x)", "Not true.")
isclose = same(
    "isclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False)",
    "Whether `|x1 - x2| <= atol + rtol * |x2|`, element by element.",
)
allclose = same(
    "allclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False)",
    "Whether `|x1 - x2| <= atol + rtol * |x2|` everywhere.",
)
isfinite = same("isfinite(x)", "Neither NaN nor infinite.")
isinf = same("isinf(x)", "Infinite.")
isnan = same("isnan(x)", "Not a number.")
isneginf = same("isneginf(x)", "Minus infinity.")
isposinf = same("isposinf(x)", "Plus infinity.")
isreal = same("isreal(x)", "Without imaginary part.")
isin = same("isin(x1, x2, assume_unique=False, invert=False)", "Whether each `x1` is in `x2`.")
bitwise_and = same("bitwise_and(x, y)", "Bits set in both.")
bitwise_or = same("bitwise_or(x, y)", "Bits set in at least one.")
bitwise_xor = same("bitwise_xor(x, y)", "Bits set in exactly one.")
bitwise_not = same("bitwise_not(x)", "Bits turned over.")
bitwise_invert = same("bitwise_invert(x)", "Bits turned over.")
bitwise_left_shift = same("bitwise_left_shift(x, y)", "Bits moved up by `y`.")
bitwise_right_shift = same("bitwise_right_shift(x, y)", "Bits moved down by `y`.")
left_shift = same("left_shift(x, y)", "Bits moved up by `y`.")
right_shift = same("right_shift(x, y)", "Bits moved down by `y`.")

# Reductions and scans.
all = same("all(x, axis=None, keepdims=False)", "Whether all are true along `axis`.")
any = same("any(x, axis=None, keepdims=False)", "Whether any is true along `axis`.")
sum = same("sum(x, axis=None, keepdims=False)", "Sum along `axis`.")
prod = same("prod(x, axis=None, keepdims=False, dtype=None)", "Product along `axis`.")
max = same("max(x, axis=None, keepdims=False, initial=None)", "Largest along `axis`.")
min = same("min(x, axis=None, keepdims=False, initial=None)", "Smallest along `axis`.")
amax = same("amax(x, axis=None, keepdims=False)", "Largest along `axis`.")
amin = same("amin(x, axis=None, keepdims=False)", "Smallest along `axis`.")
ptp = same("ptp(x, axis=None, keepdims=False)", "Largest minus smallest along `axis`.")
std = same("std(x, axis=None, keepdims=False)", "Standard deviation along `axis`.")
median = same("median(x, axis=None, keepdims=False)", "Median along `axis`.")
quantile = same(
    "quantile(x, q, axis=None, method='linear', keepdims=False)", "Quantiles `q` in [0, 1]."
)
percentile = same(
    "percentile(x, q, axis=None, method='linear', keepdims=False)", "Percentiles `q` in [0, 100]."
)
argmax = same("argmax(x, axis=None, keepdims=False)", "Index of the first largest.")
argmin = same("argmin(x, axis=None, keepdims=False)", "Index of the first smallest.")
cumsum = same("cumsum(x, axis=None, dtype=None)", "Running sum along `axis`.")
cumprod = same("cumprod(x, axis=None, dtype=None)", "Running product along `axis`.")
average = same("average(x, axis=None, weights=None)", "Weighted mean along `axis`.",
               lambda x, weights, axis: jnp.average(x, axis=axis, weights=weights))  # fmt: skip
count_nonzero = same("count_nonzero(x, axis=None)", "Number of elements that are not zero.")
nanargmax = same("nanargmax(x, axis=None, keepdims=False)", "`argmax` leaving NaN out.")
nanargmin = same("nanargmin(x, axis=None, keepdims=False)", "`argmin` leaving NaN out.")
nancumprod = same("nancumprod(x, axis=None, dtype=None)", "`cumprod` with NaN as 1.")
nancumsum = same("nancumsum(x, axis=None, dtype=None)", "`cumsum` with NaN as 0.")
nanmax = same("nanmax(x, axis=None, keepdims=False)", "`max` leaving NaN out.")
nanmean = same("nanmean(x, axis=None, keepdims=False)", "`mean` leaving NaN out.")
nanmedian = same("nanmedian(x, axis=None, keepdims=False)", "`median` leaving NaN out.")
nanmin = same("nanmin(x, axis=None, keepdims=False)", "`min` leaving NaN out.")
nanprod = same("nanprod(x, axis=None, keepdims=False)", "`prod` with NaN as 1.")
nanstd = same("nanstd(x, axis=None, keepdims=False)", "`std` leaving NaN out.")
nansum = same("nansum(x, axis=None, keepdims=False)", "`sum` with NaN as 0.")
nanvar = same("nanvar(x, axis=None, keepdims=False)", "`var` leaving NaN out.")
nanquantile = same(
    "nanquantile(x, q, axis=None, method='linear', keepdims=False)", "`quantile` leaving NaN out."
)
nanpercentile = same(
    "nanpercentile(x, q, axis=None, method='linear', keepdims=False)",
    "`percentile` leaving NaN out.",
)
diff = same("diff(a, n=1, axis=-1)", "`n`-th difference of neighbours along `axis`.")
trapezoid = same("trapezoid(y, x=None, dx=1.0, axis=-1)", "Integral by the trapezoid rule.")

# Order and search.
sort = same("sort(x, axis=-1)", "Sort along `axis`.")
argsort = same("argsort(x, axis=-1)", "Indices that sort along `axis`.",
               lambda x, axis: jnp.argsort(x, axis=axis if jnp.ndim(x) else None))  # fmt: skip
argpartition = same("argpartition(x, kth, axis=-1)", "Indices that put the `kth` in its place.")
digitize = same("digitize(x, bins)", "Index of the bin that holds each element.")
unravel_index = same("unravel_index(indices, shape)", "Flat indices to indices per axis.")

# Products.
dot = same("dot(x1, x2)", "Dot product over the last axis of `x1`.")
vdot = same("vdot(x1, x2)", "Dot product of flattened arrays, `x1` conjugated.")
inner = same("inner(x1, x2)", "Dot product over the last axes.")
outer = same("outer(x1, x2)", "Products of all pairs of flattened arrays.")
tensordot = same("tensordot(x1, x2, axes=2)", "Sum of products over `axes`.")
kron = same("kron(x1, x2)", "Kronecker product.")
cross = same(
    "cross(x1, x2, axisa=-1, axisb=-1, axisc=-1, axis=None)", "Cross product of 3-vectors."
)
correlate = same(
    "correlate(x1, x2, mode='valid')",
    "Cross-correlation of two 1D arrays.",
    lambda x1, x2, mode: jnp.correlate(as_float(x1), as_float(x2), mode=mode),
)
corrcoef = same("corrcoef(x)", "Correlation of the rows.")

# Shape and order of axes.
reshape = same("reshape(x, newshape)", "The same elements in another shape (-1: infer one axis).",
               lambda x, newshape: jnp.reshape(x, newshape))  # fmt: skip
ravel = same("ravel(x)", "Flatten.")
transpose = same("transpose(x, axes=None)", "Axes in another order (None: reversed).")
swapaxes = same("swapaxes(x, axis1, axis2)", "Exchange two axes.")
moveaxis = same("moveaxis(x, source, destination)", "Move axes to other places.")
expand_dims = same("expand_dims(x, axis)", "Insert axes of size 1.")
squeeze = same("squeeze(x, axis=None)", "Drop axes of size 1.")
broadcast_to = same("broadcast_to(x, shape)", "Repeat along axes of size 1 up to `shape`.")
tile = same("tile(x, repeats)", "Repeat whole, `repeats` times per axis.",
            lambda x, repeats: jnp.tile(x, repeats))  # fmt: skip
repeat = same("repeat(x, repeats, axis=None)", "Repeat each element.")
flip = same("flip(x, axis=None)", "Reverse along `axis`.")
fliplr = same("fliplr(x)", "Reverse along axis 1.")
flipud = same("flipud(x)", "Reverse along axis 0.")
roll = same("roll(x, shift, axis=None)", "Shift along `axis`, wrapping round.")
rot90 = same("rot90(array, k=1, axes=(0, 1))", "Turn by 90 degrees `k` times.")
append = same("append(x1, x2, axis=None)", "Join two arrays (None: flattened).")
concatenate = same("concatenate(xs, axis=0)", "Join along an existing axis.")
hstack = same("hstack(xs)", "Join side by side.")
vstack = same("vstack(xs)", "Join one below the other.")
dstack = same("dstack(xs)", "Join along the third axis.")
split = same("split(x, indices_or_sections, axis=0)", "Split into equal parts, or at indices.")
array_split = same(
    "array_split(x, indices_or_sections, axis=0)", "Split into parts of nearly equal size."
)
hsplit = same("hsplit(x, indices_or_sections)", "Split along the second axis.")
vsplit = same("vsplit(x, indices_or_sections)", "Split along the first axis.")
dsplit = same("dsplit(x, indices_or_sections)", "Split along the third axis.")
copy = same("copy(x)", "A copy.")

# Matrices.
diag = same("diag(x, k=0)", "Diagonal of a matrix, or the matrix of a diagonal.")
diagflat = same("diagflat(x, k=0)", "Matrix with the flattened `x` on diagonal `k`.")
diagonal = same("diagonal(x, offset=0, axis1=0, axis2=1)", "Diagonals over two axes.")
trace = same("trace(x, offset=0, axis1=0, axis2=1)", "Sum of the diagonal over two axes.")
tril = same("tril(x, k=0)", "Zero above diagonal `k`.")
triu = same("triu(x, k=0)", "Zero below diagonal `k`.")
vander = same("vander(x, N=None, increasing=False)", "Vandermonde matrix of powers.")
take = same("take(x, indices, axis=None)", "Elements at `indices` along `axis`.",
            lambda x, indices, axis: jnp.take(jnp.asarray(x), indices, axis=axis))  # fmt: skip
take_along_axis = same(
    "take_along_axis(x, indices, axis=None)", "Elements at `indices`, matched with `x` elsewhere."
)

# Windows of `x` points.
bartlett = same("bartlett(x)", "Triangular window of `x` points.")
blackman = same("blackman(x)", "Blackman window of `x` points.")
hamming = same("hamming(x)", "Hamming window of `x` points.")
hanning = same("hanning(x)", "Hann window of `x` points.")
kaiser = same("kaiser(x, beta)", "Kaiser window of `x` points.")
