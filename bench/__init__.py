"""How fast the product is, told as ratios to bare SQL and to limits measured in the same run; it asserts nothing."""
