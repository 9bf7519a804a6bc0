"""The workspace: its pages at a million tickets, their weight, and what Chromium makes of them."""
