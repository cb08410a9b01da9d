"""SynthRoad: synthetic road scenes with known truth. `scenes` is the door; the rest draws, and needs no torch."""
