"""What runs inside engine processes: one module a kind, each with ``main(line)``."""
