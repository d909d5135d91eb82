"""Engine, images and containers: what the DOCKER service is made of."""
