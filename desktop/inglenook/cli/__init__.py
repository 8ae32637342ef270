"""The command line: one short file per command, all over `app.App`.

`program.run_command` is called by `__main__` on the main thread. Errors of the world become one
line on stderr and an exit code here, and nowhere below.
"""
