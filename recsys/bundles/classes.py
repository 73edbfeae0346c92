"""Which classes a file may name: whatever can be imported in a user's own file, only what is trusted in a bundle."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable
from importlib.metadata import entry_points

from recsys.checks import class_named, object_named, public_name
from recsys.decay.base import Forgetting
from recsys.errors import BundleError, ConfigError, nearest
from recsys.models.base import Recommender
from recsys.models.memories.contract import Memory
from recsys.models.parameters import Resolve
from recsys.slates import Slate

KINDS: dict[type, tuple[str, str, str]] = {
    Recommender: ("model", "recsys.models", "recsys.models"),
    Forgetting: ("rule of forgetting", "recsys.rules", "recsys.decay"),
    Slate: ("slate", "recsys.slates", "recsys.slates"),
    Memory: ("memory", "recsys.memories", "recsys.models.memories"),
}
"""Of each base class: the word for it, the group of entry points, and the package that exports the built-in ones."""


def configured(setting: str, path: str, base: type) -> type:
    """Return the class that a user's own file names, importing it; see `recsys.checks.class_named`."""
    _, group, home = _kind(base)
    return class_named(setting, path, base, group, home)


def named_like(setting: str, path: str, other: str) -> type:
    """Return the class that a user names, a built-in one also by the last part of its name.

    Args:
        setting: for messages.
        path: what the user wrote.
        other: a class that derives from the same base class of `KINDS`.

    Raises:
        ConfigError: nothing of that name can be imported, or it derives from another class.
    """
    base = next(base for base in KINDS if issubclass(object_named(setting, other, KINDS[base][1]), base))
    return classes_of(base).get(f"{_kind(base)[2]}.{path}") or configured(setting, path, base)


def permitted(allow: Iterable[type | str] | type | str = ()) -> Resolve:
    """Return how the classes that a bundle names are found: without importing anything because the bundle says so.

    A name is accepted where this library exports the class, the caller allows it, or an entry point of an installed
    package of that name is it.

    Args:
        allow: classes that are accepted too, or their names, which are imported; one, or several.

    Raises:
        ConfigError: no model or rule of forgetting has an allowed name.
    """
    entries = [allow] if isinstance(allow, type | str) or not isinstance(allow, Iterable) else allow
    allowed = {public_name(kind): kind for kind in map(_allowed, entries)}

    def resolve(setting: str, path: str, base: type) -> type:
        word, group, home = _kind(base)
        built_in = classes_of(base)
        kind = built_in.get(path) or allowed.get(path) or _installed(path, group)
        if kind is None or not issubclass(kind, base):
            cure = (
                f"{nearest(path, built_in)}; update the library, or train again"
                if path.startswith(f"{home}.")
                else f"; if you trust it, install its package and allow it by name (--allow-model {path}, "
                "load(..., allow=[...])), else train again"
            )
            raise BundleError(f"{setting}: {path!r} is not a {word} of this library{cure}")
        return kind

    return resolve


def classes_of(base: type) -> dict[str, type]:
    """Return the concrete built-in classes that derive from a base class of `KINDS`, by public name."""
    home = _kind(base)[2]
    package = importlib.import_module(home)
    exports = {f"{home}.{name}": getattr(package, name) for name in getattr(package, "__all__", ())}
    return {
        name: kind
        for name, kind in exports.items()
        if inspect.isclass(kind) and issubclass(kind, base) and not inspect.isabstract(kind)
    }


def _kind(base: type) -> tuple[str, str, str]:
    return next(kind for root, kind in KINDS.items() if issubclass(base, root))


def _installed(path: str, group: str) -> type | None:
    """Return the class of an installed entry point; only packages whose name the path begins with are imported."""
    for point in entry_points(group=group):
        if path.partition(".")[0] == point.module.partition(".")[0]:
            kind = point.load()
            if inspect.isclass(kind) and public_name(kind) == path:
                return kind
    return None


def _allowed(entry: object) -> type:
    if isinstance(entry, type) and issubclass(entry, tuple(KINDS)):
        return entry
    if not isinstance(entry, str):
        raise ConfigError(f"allow holds {entry!r}; it takes models and rules of forgetting, or their dotted paths")
    refusals = []
    for base in KINDS:
        try:
            return configured("--allow-model", entry, base)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]
