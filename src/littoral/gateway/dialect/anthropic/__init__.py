"""Anthropic's Messages API: requests, answers, streams, errors and lists of models."""
