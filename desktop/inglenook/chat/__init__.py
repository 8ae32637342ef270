"""What a person does with conversations: send, stop, retry, edit, continue; and the journal.

Joins the store and the engine; the window, the command line and the server all come through here.
"""
