"""Films a player in a furnished scene: shots, camera, light, and the faults of cameras and compression."""
