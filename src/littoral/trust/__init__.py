"""Keys, rights, envelopes and artefact checks; bytes in, verdicts out."""
