"""`postdate env`: what a shell needs to speak to the node of a data folder."""

import sys

import typer

from postdate.cli.command import Trouble, command
from postdate.cli.credentials import Credentials, local_url, read_credentials
from postdate.cli.serve import Config, Data

_STORE = "postdate.db"


@command
def env(data: Data = None, config: Config = None) -> None:
    """Print how to reach the node, for eval "$(postdate env)".

    The node may be running or not. In a data folder that was never used, this makes its first account.
    """
    typer.echo(_find(data, config).exports())
    if sys.stdout.isatty():
        typer.echo('# These lines are for a shell: eval "$(postdate env)"')


def _find(data: Data, config: Config) -> Credentials:
    """Return how to reach the node of a data folder, as whom; raise Trouble where nobody can know."""
    # `--help` has no use for settings, nor a folder that was used before for a node, which is slow to import.
    from postdate.cli.configuration import read_settings

    settings = read_settings(config, {"data": data})
    kept = read_credentials(settings.data)
    url = kept.url if kept is not None else local_url(settings.host, settings.port)
    if settings.account_sid is not None and settings.auth_token is not None:
        return Credentials(url, settings.account_sid, settings.auth_token.get_secret_value())
    if kept is not None:
        return kept
    if settings.port == 0 or (settings.data / _STORE).exists():
        raise Trouble(
            f"{settings.data} holds no credentials yet: `postdate serve` writes them there when it starts.\n"
            "Start it once, then try again."
        )
    from postdate.cli.process import make_first_account

    return make_first_account(settings)
