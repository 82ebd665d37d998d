"""The commands of `zoo`, one a file: `SUMMARY`, `arguments(add)` and `run(options)`."""
