"""Inference: a prompt goes in, tokens come out, measured.

`protocol` says what travels, `client` is the side that asks, `host` the child process that
answers, `worker` the thread that owns the model. Only `llama` touches the native library.
"""
