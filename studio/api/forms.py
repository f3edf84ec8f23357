"""What a JSON body may hold: its serializer's fields and no other, as with the settings of a job.

A misspelt name would otherwise be dropped without a word: 200 to a change of which nothing was kept.
"""

from collections.abc import Mapping
from typing import Any, cast

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

NO_SUCH_FIELD = ErrorDetail("There is no such field. Check its name, or leave it out.", "extra_forbidden")


class JsonForm(serializers.Serializer[Any]):  # without a docstring: the API's description would give it to each form
    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError for all that is wrong, unknown fields last."""
        names = data if isinstance(data, Mapping) else ()
        unknown = {name: [NO_SUCH_FIELD] for name in names if name not in self.fields}
        try:
            valid = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**cast(dict[str, Any], error.detail), **unknown}) from error
        if unknown:
            raise serializers.ValidationError(unknown)
        return valid
