"""What sends and receives: raw connections, a pacer, and the process they run in."""
