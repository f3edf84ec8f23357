from django.apps import AppConfig


class GenerationsConfig(AppConfig):
    name = "studio.generations"

    def ready(self) -> None:
        from studio.generations.image_to_video import IMAGE_TO_VIDEO
        from studio.jobs.kinds import register

        register(IMAGE_TO_VIDEO)
