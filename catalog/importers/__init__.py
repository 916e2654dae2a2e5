"""Bring items, offers, users and interactions in from files: CSV, JSON Lines, Parquet.

A file is read a row at a time and copied as text into a temporary table (`staging`); the checks and
the merge are SQL over that table (`items`, `offers`, `users`, `interactions`).
`files.import_by_kind` does all; `undo` takes an import back. `uploads`, `preview` and `mapping` are
for people who bring a file of their own making.
"""
