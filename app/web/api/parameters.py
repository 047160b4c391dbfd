"""What no query of the API may have."""

from collections import Counter

from fastapi import Depends, Request

from app.domain.errors import InvalidInput


async def _reject_repeated_parameters(request: Request) -> None:
    """Raises InvalidInput for a parameter that is there twice: nobody knows which of the two was meant."""
    counts = Counter(name for name, _ in request.query_params.multi_items())
    for name, count in counts.items():
        if count > 1:
            raise InvalidInput({name: f"“{name}” is there more than once; give it once."})


NO_REPEATED_PARAMETERS = Depends(_reject_repeated_parameters)
