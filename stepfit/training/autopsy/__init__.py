"""What made a loss non-finite: where, in which batch, and why.

Vocabulary
----------
*Bad step*: the first step whose loss, or whose new weights, are NaN or infinite.

*Guard*: looks at the losses of each chunk once it is done. *Journal*: a copy of the state made now
and then, and the chunks since, still in their buffers; with it the bad step can be run again from
the state before it. That costs training next to nothing: no program is changed.

*Origin*: the operation in the bad step whose inputs are finite and whose result is not, or the
batch or the weights, where they were not finite to begin with. It is found by going back from the
bad value through values that are bad themselves: infinities that a mask discards lead nowhere.
"""
