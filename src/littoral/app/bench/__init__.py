"""The load generator: schedules, prompts, its own workers, statistics and reports."""
