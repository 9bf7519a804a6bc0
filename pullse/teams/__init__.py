"""Teams of agents. A private one's tickets are for its members, and for who sees all, alone."""
