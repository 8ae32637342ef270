"""What this machine and a model do per second: `gauge` before any model, `measure` with one.

`ceiling` is llama.cpp's own program beside it.
"""
