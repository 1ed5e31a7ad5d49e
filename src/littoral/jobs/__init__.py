"""Long work as durable, idempotent steps."""
