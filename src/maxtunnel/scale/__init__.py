"""Engines that take parts of a work to more than one process or machine; no other room knows one."""
