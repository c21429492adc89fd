"""The product's speed as ratios to bare SQL and to limits measured in the same run; it asserts nothing."""
