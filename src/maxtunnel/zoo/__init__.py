"""Networks by name: what ships in the package, saved files, runs, and the snapshots that the authors published."""
