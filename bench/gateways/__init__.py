"""Gateways whose fan-out is measured: ours, and others that one command installs."""
