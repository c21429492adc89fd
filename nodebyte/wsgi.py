"""The WSGI entry: `gunicorn nodebyte.wsgi`."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nodebyte.settings")
application = get_wsgi_application()
