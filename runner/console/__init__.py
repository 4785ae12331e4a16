"""What operators ask at the command line that needs the runner's room: storage as it is written, and the engine."""
