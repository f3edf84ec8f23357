from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "studio.assets"

    def ready(self) -> None:
        from studio.assets.masks import PRODUCT_MASK, remove_unnamed
        from studio.assets.selectors import existing
        from studio.jobs.kinds import register, register_owner

        register(PRODUCT_MASK)
        register_owner(existing, remove_unnamed)
