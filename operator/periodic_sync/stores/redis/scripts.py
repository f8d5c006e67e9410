"""The Lua scripts: each change of a store is one of them, and so one atomic step."""

import importlib.resources

from periodic_sync.stores.redis.commands import Script

_FOLDER = importlib.resources.files("periodic_sync.stores.redis") / "lua"
_COMMON = (_FOLDER / "common.lua").read_text()


def _script(name: str) -> Script:
    return Script(name, _COMMON + (_FOLDER / f"{name}.lua").read_text())


ACTIVITY = _script("activity")
APPLY = _script("apply")
FLOOR = _script("floor")
INDEX = _script("index")
LOOK = _script("look")
OPEN = _script("open")
PAGE = _script("page")
QUEUE = _script("queue")
READ = _script("read")
REGISTER = _script("register")
RELEASE = _script("release")
REMOVE = _script("remove")
REQUEST = _script("request")
SET_ASIDE = _script("set_aside")
TOKENS = _script("tokens")
