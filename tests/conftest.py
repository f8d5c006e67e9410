"""What holds for all tests."""

import pytest

pytest.register_assert_rewrite("store_contract")  # before any conftest imports it
