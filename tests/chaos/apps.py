from django.apps import AppConfig


class ChaosConfig(AppConfig):
    """Registers the test kinds in every process that runs with `tests.chaos.settings`."""

    name = "tests.chaos"

    def ready(self) -> None:
        from tests.chaos import kinds

        kinds.register_kinds()
        kinds.remove_the_asked_guards()
