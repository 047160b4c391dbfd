"""Text in JSON bodies, made storable as events and forms are: no NUL or lone surrogate gets further."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator

from app.domain.text import escape_unstorable

StorableText: TypeAlias = Annotated[str, AfterValidator(escape_unstorable)]
