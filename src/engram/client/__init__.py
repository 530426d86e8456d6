"""A memory that is a service: the faces' calls over HTTP, and what a service has besides."""

from engram.client.service import Service

__all__ = ["Service"]
