"""Where other apps keep the models that they downloaded: one finder for each, all pure.

A finder takes a folder and returns candidates with what the app knows of them: names, hashes, the
values that it sets. It opens no model and writes nothing, ever. `..adopt` puts them together.
"""
