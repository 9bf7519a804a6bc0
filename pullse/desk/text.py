"""What people wrote, as HTML."""

from minijinja import escape


def rendered(text: str) -> str:
    """Paragraphs; nothing in them has a meaning."""
    parts = [part for part in text.replace("\r\n", "\n").split("\n\n") if part.strip()]
    return "".join(f"<p>{escape(part)}</p>" for part in parts)
