"""Text in JSON bodies, made storable as events and forms are: no NUL or lone surrogate gets further."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from app.domain.text import storable

Text: TypeAlias = Annotated[str, AfterValidator(storable)]
