"""Answers of engines that speak OpenAI's API in part, made whole.

What clients rely on and engines leave out is put in (ids, the public name of the model,
``refusal`` and ``logprobs`` that are null, the first role, a reason to end); what engines add is
left out; usage comes once, in an event of its own, to who asked for it.
"""
