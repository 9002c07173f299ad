"""Settings in the manner of INI files."""


class SettingsError(ValueError):
    """A line that is none of a comment, a section or a setting."""


def parse(text):
    """Return `{section: {key: value}}`; what stands before the first section belongs to the section ''."""
    sections = {"": {}}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
            sections.setdefault(section, {})
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            raise SettingsError(f"line {number}: {line!r}")
        sections[section][key.strip().lower()] = convert(value.strip())
    return sections


def convert(text):
    """Return a value as what it looks like: a whole number, a fraction, yes or no, a list, or a text."""
    if text.lower() in ("yes", "true", "on"):
        return True
    if text.lower() in ("no", "false", "off"):
        return False
    if "," in text:
        return [convert(part.strip()) for part in text.split(",") if part.strip()]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def get(sections, section, key, default=None):
    """Return a setting of a section, else of the section '', else the default."""
    for name in (section, ""):
        if key in sections.get(name, {}):
            return sections[name][key]
    return default
