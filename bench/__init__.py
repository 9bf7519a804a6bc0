"""What every performance claim of pullse is made of. `bin/bench` runs it."""
