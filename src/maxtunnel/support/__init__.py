"""What every room uses and that knows nothing of switches: files, records, tables, progress, memory."""
