"""Passkeys (WebAuthn): keys that stay in people's devices, and sign in without a password."""
