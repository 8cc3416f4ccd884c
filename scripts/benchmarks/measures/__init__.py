"""What is measured: a turn of each contender, and the figures that come of all turns."""
