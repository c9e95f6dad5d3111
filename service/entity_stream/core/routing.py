"""Which deployed model a record asks for: by two of its headers, and only among the routes that are allowed."""

from collections.abc import Sequence

from msgspec import Struct

from entity_stream.core.model import Reason, Route

Headers = Sequence[tuple[str, bytes | None]]


class Routing(Struct, frozen=True):
    """The rules by which records are routed."""

    allowed: frozenset[Route]
    """What records may ask for by their headers."""
    default: Route | None = None
    """What a record gets that asks for nothing, as far as that has the same name at all resources."""
    project_header: str = "entity-stream-project"
    deployment_header: str = "entity-stream-deployment"

    def route(self, headers: Headers) -> Route | Reason | None:
        """Tell the route of a record, None for the default, or why there is none for it. The last header counts.

        Who names one part of a route only has the other from the default.
        """
        project = deployment = ""
        for name, value in headers:
            if name == self.project_header:
                project = _text(value)
            elif name == self.deployment_header:
                deployment = _text(value)
        if not (project or deployment):
            return None
        if self.default:
            project, deployment = project or self.default.project, deployment or self.default.deployment
        asked = Route(project, deployment)
        if asked == self.default:
            return None
        return asked if asked in self.allowed else NOT_ALLOWED


NOT_ALLOWED = Reason("route-not-allowed", "its headers ask for a project and deployment that it may not ask for")


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
