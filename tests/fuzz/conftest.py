"""Fuzzers are run by hand; they need atheris, which nothing else does."""

collect_ignore_glob = ["fuzz_*.py"]
