"""A model file is looked at, made room for, and loaded: on the GPU, on the processor, or on both.

`loader` steps down until it fits; the other modules are what it asks on the way.
"""
