"""The catalogue: each key with its 中文 and its English text, side by side, gathered from one table an area."""

from noria.messages import alerts, api, commands, connections, console, editor, plans, runs, story

LANGUAGES = ("zh", "en")

CATALOGUE: dict[str, tuple[str, str]] = {
    **plans.TEXTS,
    **runs.TEXTS,
    **commands.TEXTS,
    **console.TEXTS,
    **story.TEXTS,
    **editor.TEXTS,
    **connections.TEXTS,
    **alerts.TEXTS,
    **api.TEXTS,
}
