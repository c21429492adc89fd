"""gunicorn's settings: `gunicorn -c python:nodebyte.web_server nodebyte.wsgi`. Flags after it win."""

from gunicorn.arbiter import Arbiter

from nodebyte.web_worker import CONNECTIONS, GONE, MAX_WORKERS, BufferingWorker

workers = 2
threads = 4  # of each worker; each of its pools opens as many connections to PostgreSQL
worker_class = "nodebyte.web_worker.BufferingWorker"
timeout = 60
sendfile = False  # Python would wait for a client that does not read, without any limit
control_socket_disable = True  # the socket would be in the home of the user


def child_exit(_arbiter: Arbiter, worker: BufferingWorker) -> None:
    """A process that ended, however, takes no more connections."""
    CONNECTIONS[worker.age % MAX_WORKERS] = GONE
