"""What gunicorn serves: ``gunicorn taskfarm_site.wsgi -c deploy/gunicorn.conf.py``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "taskfarm_site.settings")

application = get_wsgi_application()
