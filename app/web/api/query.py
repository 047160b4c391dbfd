"""What no query of the API may have."""

from collections import Counter

from fastapi import Depends, Request

from app.domain.errors import Invalid


async def _each_once(request: Request) -> None:
    """Raises Invalid for a parameter that is there twice: nobody knows which of the two was meant."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise Invalid({name: f"“{name}” is there more than once; give it once."})


EACH_ONCE = Depends(_each_once)
