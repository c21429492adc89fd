"""Game templates as a Pterodactyl panel exports them: read, understood and checked without a panel or a database."""
