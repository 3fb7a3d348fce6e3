"""Lists the distributions that were asked for by name, with their files: given to an image's own Python as text.

It prints one line of JSON. It must run on the Python of every base, with the standard library alone.
"""

import json
from importlib.metadata import distributions

print(
    json.dumps(
        [
            {
                "name": distribution.metadata["Name"],
                "version": distribution.version,
                "files": [str(file) for file in distribution.files or () if file.suffix in {".py", ".so"}],
            }
            for distribution in distributions()
            if distribution.read_text("REQUESTED") is not None
        ]
    )
)
