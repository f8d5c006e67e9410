"""What makes docs/ the handbook: the pages of docs/reference that are made from code, and a hook of mkdocs."""
