"""The subcommand bench, found by its entry point."""
