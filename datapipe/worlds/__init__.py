"""Generated product commercials as layered scenes with exact geometry; numpy and OpenCV only."""
