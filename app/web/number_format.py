"""Number formatting for pages."""


def format_capped_count(count: int, limit: int) -> str:
    """Format a count. A count above `limit` is shown as the limit with a plus sign, such as "10,000+"."""
    return f"{limit:,}+" if count > limit else f"{count:,}"


def format_rate(value: float) -> str:
    """Format a rate. A fractional rate below 100 has one decimal: 2.54 is "2.5", and 254.1 is "254"."""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:,.1f}"


def format_bytes(value: float) -> str:
    """Format a number of bytes in decimal units: 1 kB is 1,000 bytes."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} B"
