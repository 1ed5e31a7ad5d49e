"""Words: memory as signed numbers of 64 bits, shared by processes of one machine."""

from typing import TypeAlias

Words: TypeAlias = memoryview
"""Of format ``q``: reading and writing one word is one access to memory."""
WORD_BYTES = 8
