"""GPT-2's way to write any byte as one printable letter."""

SYMBOLS = 256


def byte_symbols() -> list[str]:
    """The 256 symbols: printable bytes stand for themselves, the others for U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(SYMBOLS) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(SYMBOLS + place) for place in range(len(hidden))]
