"""Settings, the registry of drivers, wiring and the command line."""
