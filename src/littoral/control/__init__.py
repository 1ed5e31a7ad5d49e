"""Fleet state and its loops: admin API, snapshot compiler, session server."""
