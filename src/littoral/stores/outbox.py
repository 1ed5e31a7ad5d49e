"""The node's outbox of usage records on SQLite."""
