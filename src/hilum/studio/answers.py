"""How the studio answers its page: errors that a person can cause as what they say."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from fastapi.responses import JSONResponse

from hilum.errors import HilumError
from hilum.studio.easel import StaleError
from hilum.studio.places import LooseImagesError

NEVER = {"Cache-Control": "no-store"}
Endpoint = Callable[..., Any]


def answering(function: Endpoint) -> Endpoint:
    """An endpoint whose HilumError becomes an answer that says what it says."""

    @wraps(function)
    def answered(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except StaleError as error:
            return JSONResponse({"error": str(error)}, 409)
        except LooseImagesError as error:
            return JSONResponse({"error": str(error), "loose": True}, 422)
        except HilumError as error:
            return JSONResponse({"error": str(error)}, 422)

    return answered
