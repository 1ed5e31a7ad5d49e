"""Filter, score, decide: where a request runs, with reasons and a prediction."""
