"""Prints the API's own description (OpenAPI), which the page's client is made of: `just client`."""

import json
import os
import secrets
import sys

# Whatever it is, the description is the same; this process answers nobody.
os.environ.setdefault("SECRET_KEY", secrets.token_urlsafe(48))

# Only now: it reads the settings at once.
from main import create_app

json.dump(create_app().openapi(), sys.stdout, indent=2)
