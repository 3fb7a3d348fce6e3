"""The Debian packages a project asks for beside its wheels: resolved on its base, extracted into one layer."""

from builder.system.inventory import system_packages
from builder.system.layer import system_layer
from builder.system.lock import AskedDebs, lock_system

__all__ = ["AskedDebs", "lock_system", "system_layer", "system_packages"]
