"""How somebody wants to see everything: look, contrast, density, columns, language, zone."""
