"""Product writers, readers and exports."""
