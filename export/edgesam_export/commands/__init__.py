"""The subcommands pull and export, found by their entry points; one file each."""
