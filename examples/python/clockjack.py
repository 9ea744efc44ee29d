"""What a job in Python wants beside the language: `logging` goes to the log of the run, and every exception becomes a
`failure` of `clockjack:job`; by itself it would end the instance in a trap.

All imports stand at the top of a module: what is imported while a job runs is not in the component any more.
"""

import functools
import logging
import traceback

from componentize_py_types import Err
from wit_world.imports import log
from wit_world.imports.log import Level
from wit_world.imports.types import Failure_Permanent, Failure_Retry, Failure_RetryAfter, Failure_Skipped


def permanent(message):
    """Trying again will not help: `raise permanent("no such file")`."""
    return Err(Failure_Permanent(message))


def retry(message):
    """Try again as the retry policy of the job says."""
    return Err(Failure_Retry(message))


def retry_after(millis, message):
    """Try again, but not before so many milliseconds have passed."""
    return Err(Failure_RetryAfter((millis, message)))


def skipped(message):
    """There was nothing to do."""
    return Err(Failure_Skipped(message))


def job(function):
    """Makes every exception of a method of the world a `failure`; one that says nothing else is tried again."""

    @functools.wraps(function)
    def guarded(*args):
        try:
            return function(*args)
        except Err:
            raise
        except Exception as error:
            logging.error(traceback.format_exc().rstrip())
            raise retry(f"{type(error).__name__}: {error}") from None

    return guarded


class _RunLog(logging.Handler):
    """Writes records to the log of the run; what `extra={"fields": {…}}` names becomes fields of the line."""

    def emit(self, record):
        fields = [(key, str(value)) for key, value in getattr(record, "fields", {}).items()]
        log.log(_level(record.levelno), record.getMessage(), fields)


def _level(number):
    if number < logging.DEBUG:
        return Level.TRACE
    if number < logging.INFO:
        return Level.DEBUG
    if number < logging.WARNING:
        return Level.INFO
    return Level.WARN if number < logging.ERROR else Level.ERROR


logging.basicConfig(level=logging.DEBUG, handlers=[_RunLog()])
