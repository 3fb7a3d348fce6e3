"""The Debian packages a project asks for beside its wheels: resolved on its base, extracted into one layer."""
