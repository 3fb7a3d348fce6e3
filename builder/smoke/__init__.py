"""Whether an image works: every direct dependency is imported in it, and the spec's own commands are run."""

from builder.smoke.tests import SmokeResult, SmokeTest, command_tests, import_tests, run_tests

__all__ = ["SmokeResult", "SmokeTest", "command_tests", "import_tests", "run_tests"]
