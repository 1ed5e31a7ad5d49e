"""The data plane: parse, admit, decide, forward, stream, meter."""
