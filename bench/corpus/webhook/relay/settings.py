from functools import lru_cache
from typing import Literal

from pydantic import AliasChoices, Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ChatSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CHAT_")

    base_url: HttpUrl = HttpUrl("https://chat.example.com/api/")
    token: SecretStr = SecretStr("t0ken")
    timeout: float = Field(default=2.5, gt=0)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="ignore")

    stage: Literal["dev", "test", "prod"] = Field("dev", validation_alias=AliasChoices("STAGE", "ENVIRONMENT"))
    redis_url: str = "redis://127.0.0.1:6379/0"
    rooms: dict[str, str] = {"main": "releases"}
    secret: SecretStr = SecretStr("hush")
    chat: ChatSettings = Field(default_factory=ChatSettings)


@lru_cache
def get_settings() -> Settings:
    return Settings()


settings = get_settings()
