"""A plan as the user wrote it, turned into typed, validated objects; macros; precise errors."""
