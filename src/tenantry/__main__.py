"""`python -m tenantry` is `tenantry`."""

from tenantry.cli.main import main

main(prog_name="tenantry")
