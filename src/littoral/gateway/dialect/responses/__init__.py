"""OpenAI's Responses, as Open Responses writes them down: a chat of the engine behind each one."""
