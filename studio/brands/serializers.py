"""How brands and products look to the browser and to machines."""

from typing import Any

from rest_framework import serializers

from studio.api.forms import JsonForm

MOST_COLOURS, MOST_FACTS = 12, 50


class BrandSerializer(serializers.Serializer[Any]):
    """A brand's look."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    colours = serializers.ListField(child=serializers.CharField(), help_text="The most important first.")
    created_at = serializers.DateTimeField()


class ProductSerializer(serializers.Serializer[Any]):
    """What a brand sells, and what is true of it."""

    id = serializers.UUIDField()
    brand_id = serializers.UUIDField()
    name = serializers.CharField()
    facts = serializers.DictField(child=serializers.CharField(), help_text="What copy may state, and nothing else.")
    created_at = serializers.DateTimeField()


class BrandPageSerializer(serializers.Serializer[Any]):
    results = BrandSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class ProductPageSerializer(serializers.Serializer[Any]):
    results = ProductSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class BrandChangeSerializer(JsonForm):
    name = serializers.CharField(max_length=200, required=False)
    colours = serializers.ListField(
        child=serializers.RegexField("^#[0-9a-fA-F]{6}$", help_text="As #1f6f5c."),
        max_length=MOST_COLOURS,
        required=False,
    )


class NewBrandSerializer(BrandChangeSerializer):
    name = serializers.CharField(max_length=200)


class ProductChangeSerializer(JsonForm):
    name = serializers.CharField(max_length=200, required=False)
    facts = serializers.DictField(child=serializers.CharField(max_length=500), required=False)

    def validate_facts(self, facts: dict[str, str]) -> dict[str, str]:
        if len(facts) > MOST_FACTS or any(len(name) > 200 for name in facts):
            sentence = f"Give at most {MOST_FACTS} facts, with names of at most 200 characters."
            raise serializers.ValidationError(sentence, "too_long")
        return facts


class NewProductSerializer(ProductChangeSerializer):
    brand_id = serializers.UUIDField()
    name = serializers.CharField(max_length=200)
