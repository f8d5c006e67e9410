"""What all models of the resource share."""

from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from periodic_sync.api.rules import Rule, rules


class Model(BaseModel):
    """camelCase outside and snake_case inside, immutable; fields it does not know are left out, null means absent.

    The string under a field is its description in the CRD, which is what `kubectl explain` shows.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    EXPLAINED: ClassVar[tuple[str, ...]] = ()
    """Required fields whose absence a rule explains. "Required value" is all that the schema's own check would say, and
    it would come before the rule."""

    @model_validator(mode="before")
    @classmethod
    def _null_means_absent(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        for rule in self.RULES:
            if rule.holds and not rule.holds(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        result = handler.resolve_ref_schema(handler(schema))
        if cls.RULES:
            result |= rules(*cls.RULES)
        if cls.EXPLAINED:
            result["required"] = [name for name in result["required"] if name not in cls.EXPLAINED]
        return result


class PlainDict:
    """A field that is checked by a model and kept as the plain dict that a container takes."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda checked: checked.model_dump(mode="json", by_alias=True, exclude_unset=True),
            handler.generate_schema(self.model),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value),
        )
