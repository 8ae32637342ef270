"""From a conversation to tokens: the chat template, the tokenizer, the marks of reasoning.

`preparer` does it on the prompt thread, beside the worker; templates run in a process of their own.
"""
