"""What all pages have in common: layouts, style sheets, scripts, icons, texts, and their frame."""
