"""tenantry: multi-tenant APIs with AWS Lambda tenant isolation, on your own machine."""

__version__ = "0.1.0"
