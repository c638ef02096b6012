"""Runnable examples; each module has a `main()`."""
