"""The HTTP API: users and their activity from applications, figures for people: docs/reference/http-api.md."""
