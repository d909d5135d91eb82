"""For authors of tools: files that are followed, problems beside their lines, new tools."""
