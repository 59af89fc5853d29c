"""What one run says as ratios: its result files, the rows of the table, the gates."""
