"""The command line: one file a group of commands, each of which calls one function of the library."""
