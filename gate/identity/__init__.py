"""Who is asking, and what they may do.

Routes ask `gate.service` for one of these, as the type of a parameter:

- `TheReader`: an `Identity` that proved itself. `reader.sees(repository)` says whether a repository, and any
  decision about it, exists for them.
- `ThePuller`, `ThePusher`, `TheDeleter`, in routes with a `{name}`: as above, and allowed to do that there.

`Identity` and `Action` are in `gate.identity.permissions`.
"""
