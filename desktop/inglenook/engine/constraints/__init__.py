"""What a reply must obey: a JSON schema or a grammar, followed byte by byte.

`constraint` compiles on the prompt thread, `constrained` draws on the worker's. All but the latter
is pure; the library's own grammars take no part.
"""
