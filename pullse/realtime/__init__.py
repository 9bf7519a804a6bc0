"""Real time: the feed over HTTP, and the forwarder to Ably. Readers of facts, all of them."""
