"""What operators need: health, metrics, the description of the API, doctor, backup."""
