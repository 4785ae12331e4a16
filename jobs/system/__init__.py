"""What the system page shows, question by question. Reads database and settings; asks no engine, disk or network."""
