"""The HTTP API: users and their activity from applications, figures for people. docs/http-api.md is its handbook."""
