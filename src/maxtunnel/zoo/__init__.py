"""Networks by name: what ships in the package, saved files, runs, and the snapshots of the authors."""
