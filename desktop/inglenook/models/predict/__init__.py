"""What a model will take and how fast it will run here, worked out before it is downloaded.

From a file's header (`shape.py`) and what the machine was measured at (`base/rates.py`) to memory
(`memory.py`), speed (`speed.py`) and a verdict (`prediction.py`). Pure arithmetic but for
`remote.py`, which reads headers from the hub, and `learned.py`, which keeps corrections in a file.
"""
