"""Link: sessions of nodes over a network: lanes, windows and resumption above TLS."""
