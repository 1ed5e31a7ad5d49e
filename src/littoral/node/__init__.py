"""What runs beside the engines: converge, supervise, keep and flush the outbox."""
