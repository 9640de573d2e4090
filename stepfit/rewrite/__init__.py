"""Make a traced step fast on the platform it will run on, without changing what it computes.

>>> import jax, jax.numpy as jnp
>>> from stepfit.rewrite import rewrite
>>> step = jax.make_jaxpr(jnp.sin)(1.0)
>>> program, report = rewrite(step, platform="cpu")
>>> program is step, report.rewritten, report.fits_loop
(True, {}, True)
"""

from stepfit.rewrite.program import Report as Report
from stepfit.rewrite.program import rewrite as rewrite
