"""The recipe of the built-in guide model: corpus in, `assets/guide.gguf` and its card out.

Run by `packaging/guide/run.sh`; nothing in the app imports it. The modules that hold no
training (`corpus`, `frames`, `noise`, `murk`, `conversations`, `chatml`, `baseline`) need the
standard library alone, so that the tests of the app can check them.
"""
