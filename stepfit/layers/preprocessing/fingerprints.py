"""Fingerprints of strings: FarmHash's and SipHash's 64 bits, the ones that TensorFlow uses.

Strings of one length are hashed side by side, as the rows of a matrix of bytes.

Source: Geoff Pike, FarmHash, https://github.com/google/farmhash (`farmhashna::Hash64`); Aumasson
and Bernstein, "SipHash: a fast short-input PRF" (2012).
"""

import numpy as np

_K0, _K1, _K2 = map(np.uint64, (0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F))
_CAT = np.uint64(0xC6A4A7935BD1E995)


def fingerprint64(texts):
    """Return the 64-bit fingerprints of a list of bytes, as an array of uint64.

    >>> fingerprint64([b"a", b""]).tolist()
    [12917804110809363939, 11160318154034397263]
    """
    return _by_length(texts, _farm)


def siphash64(texts, key):
    """Return SipHash-2-4 of a list of bytes with a key of two integers, as an array of uint64.

    >>> siphash64([b"a"], (1, 2)).tolist() == siphash64([b"a"], (1, 3)).tolist()
    False
    """
    k0, k1 = (np.uint64(k & 0xFFFFFFFFFFFFFFFF) for k in key)
    return _by_length(texts, lambda block: _sip(block, k0, k1))


def combined(first, second):
    """Return one fingerprint for two, both arrays of uint64."""
    mixed = (first ^ _CAT) ^ (_shift_mix(second * _CAT) * _CAT)
    return _shift_mix(_shift_mix(mixed * _CAT) * _CAT)


def _by_length(texts, function):
    """Apply a function of a matrix of bytes to the texts of each length."""
    result = np.empty(len(texts), np.uint64)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        joined = np.frombuffer(b"".join([texts[i] for i in rows]), np.uint8)
        with np.errstate(over="ignore"):  # numbers wrap around
            result[rows] = function(joined.reshape(len(rows), length))
    return result


def _word(block, start, dtype="<u8"):
    """Return the 8 (or 4) bytes from `start` on of each row, as uint64."""
    size = np.dtype(dtype).itemsize
    word = np.ascontiguousarray(block[:, start : start + size]).view(dtype)[:, 0]
    return word.astype(np.uint64)


def _rotate(x, by):
    """Rotate to the right."""
    return (x >> np.uint64(by)) | (x << np.uint64(64 - by))


def _shift_mix(x):
    return x ^ (x >> np.uint64(47))


def _mix16(u, v, mul):
    return _shift_mix((v ^ _shift_mix((u ^ v) * mul)) * mul) * mul


def _farm(block):
    count, length = block.shape
    size = np.full(count, length, np.uint64)
    mul = _K2 + size * np.uint64(2)
    if length > 64:
        return _farm_long(block, length)
    if length > 32:
        return _farm_64(block, length, mul)
    if length > 16:
        y, z, _, _ = _farm_ends(block, length, mul, _K1)
        return _mix16(y, z, mul)
    if length >= 8:
        a, b = _word(block, 0) + _K2, _word(block, length - 8)
        return _mix16(_rotate(b, 37) * mul + a, (_rotate(a, 25) + b) * mul, mul)
    if length >= 4:
        a, b = _word(block, 0, "<u4"), _word(block, length - 4, "<u4")
        return _mix16(size + (a << np.uint64(3)), b, mul)
    if length:
        a, b, c = (block[:, i].astype(np.uint64) for i in (0, length >> 1, length - 1))
        y, z = a + (b << np.uint64(8)), size + (c << np.uint64(2))
        return _shift_mix(y * _K2 ^ z * _K0) * _K2
    return np.full(count, _K2, np.uint64)


def _farm_ends(block, length, mul, first):
    """Mix the first and the last 16 bytes."""
    a, b = _word(block, 0) * first, _word(block, 8)
    c, d = _word(block, length - 8) * mul, _word(block, length - 16) * _K2
    return _rotate(a + b, 43) + _rotate(c, 30) + d, a + _rotate(b + _K2, 18) + c, a, b


def _farm_64(block, length, mul):
    y, second, a, _ = _farm_ends(block, length, mul, _K2)
    z = _mix16(y, second, mul)
    e, f = _word(block, 16) * mul, _word(block, 24)
    g, h = (y + _word(block, length - 32)) * mul, (z + _word(block, length - 24)) * mul
    return _mix16(_rotate(e + f, 43) + _rotate(g, 30) + h, e + _rotate(f + a, 18) + g, mul)


def _farm_long(block, length):
    """Read 64 bytes at a time into a state of seven words, the last 64 at the end once more."""
    x = np.full(len(block), 81, np.uint64)
    y = x * _K1 + np.uint64(113)
    z = _shift_mix(y * _K2 + np.uint64(113)) * _K2
    v = w = (np.zeros_like(x), np.zeros_like(x))
    x = x * _K2 + _word(block, 0)
    for start in range(0, length - 1 - (length - 1) % 64, 64):
        x, y, z, v, w = _farm_round(block, start, x, y, z, v, w, _K1, np.uint64(1))
    mul = _K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w0 = w[0] + np.uint64((length - 1) & 63)
    v = (v[0] + w0, v[1])
    w = (w0 + v[0], w[1])
    x, y, z, v, w = _farm_round(block, length - 64, x, y, z, v, w, mul, np.uint64(9))
    first = _mix16(v[0], w[0], mul) + _shift_mix(y) * _K0 + z
    return _mix16(first, _mix16(v[1], w[1], mul) + x, mul)


def _farm_round(block, start, x, y, z, v, w, mul, factor):
    x = _rotate(x + y + v[0] + _word(block, start + 8), 37) * mul ^ (w[1] * factor)
    y = _rotate(y + v[1] + _word(block, start + 48), 42) * mul
    y = y + v[0] * factor + _word(block, start + 40)
    z = _rotate(z + w[0], 33) * mul
    v = _farm_32(block, start, v[1] * mul, x + w[0])
    w = _farm_32(block, start + 32, z + w[1], y + _word(block, start + 16))
    return z, y, x, v, w


def _farm_32(block, start, a, b):
    """Mix 32 bytes into two words."""
    first, *middle, last = (_word(block, start + i) for i in (0, 8, 16, 24))
    a = a + first
    b = _rotate(b + a + last, 21)
    total = a + middle[0] + middle[1]
    return total + last, b + _rotate(total, 44) + a


def _sip(block, k0, k1):
    count, length = block.shape
    padded = np.zeros((count, length // 8 * 8 + 8), np.uint8)
    padded[:, :length] = block
    padded[:, -1] = length & 0xFF
    seeds = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    state = [np.full(count, np.uint64(s) ^ k) for s, k in zip(seeds, (k0, k1) * 2, strict=True)]
    for start in range(0, padded.shape[1], 8):
        word = _word(padded, start)
        state[3] = state[3] ^ word
        state = _sip_round(_sip_round(state))
        state[0] = state[0] ^ word
    state[2] = state[2] ^ np.uint64(0xFF)
    for _ in range(4):
        state = _sip_round(state)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _sip_round(state):
    a, b, c, d = state
    a, c = a + b, c + d
    b, d = _rotate(b, 51) ^ a, _rotate(d, 48) ^ c
    a, c = _rotate(a, 32) + d, c + b
    b, d = _rotate(b, 47) ^ c, _rotate(d, 43) ^ a
    return [a, b, _rotate(c, 32), d]
