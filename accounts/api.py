"""``GET /api/token``: a token for whoever can tell a password, or an older token."""

from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import tokens


class TokenView(APIView):
    """The token of the account."""

    @extend_schema(
        tags=["token"],
        operation_id="token",
        summary="Get the authentication token",
        description=(
            "Send user and password (or an older token) as HTTP Basic. Send the token from then "
            "on, as `Authorization: Bearer TOKEN` or as the user of HTTP Basic with any password. "
            "It ends after `TASKFARM_TOKEN_DAYS` days, or when the account's password changes or "
            "the account is deactivated."
        ),
        responses={200: inline_serializer("Token", {"token": serializers.CharField()})},
        examples=[OpenApiExample("A token", value={"token": "eyJhbGciOiJIUzI1NiIs…"})],
    )
    def get(self, request: Request) -> Response:
        """Answer a fresh token."""
        return Response({"token": tokens.issue(request.user)})
