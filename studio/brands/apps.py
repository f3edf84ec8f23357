from django.apps import AppConfig


class BrandsConfig(AppConfig):
    name = "studio.brands"
