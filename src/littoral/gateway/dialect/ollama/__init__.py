"""Ollama's API, for clients that know nothing else: requests, answers, streams, lists of models."""
