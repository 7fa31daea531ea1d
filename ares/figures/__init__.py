"""What several notebooks show alike: tables as figures, and controls under a figure."""
