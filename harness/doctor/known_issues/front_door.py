"""Known issues that show in nginx's error log, or in what a client gets from it."""

from harness.doctor.known_issues.issue import KnownIssue, Weight

_REFUSED = (
    "2025/06/30 10:00:00 [error] 7814#7814: *1 connect() failed (111: Connection refused) while connecting to "
    'upstream, client: 127.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8082/"'
)
_SLOW = (
    "2025/06/30 10:00:00 [error] 7814#7814: *3 upstream timed out (110: Connection timed out) while reading response "
    'header from upstream, client: 127.0.0.1, server: , request: "POST /mcp HTTP/1.1", upstream: '
    '"http://127.0.0.1:8200/mcp", host: "127.0.0.1:8080"'
)
_MINIKUBE = (
    "2025/06/30 10:00:00 [error] 7814#7814: *5 upstream timed out (110: Connection timed out) while connecting to "
    'upstream, client: 127.0.0.1, server: , request: "GET / HTTP/1.1", upstream: "http://192.168.49.2:30082/"'
)
_CUT = (
    "2025/06/30 10:00:00 [error] 7814#7814: *9 upstream prematurely closed connection while reading response header "
    'from upstream, client: 127.0.0.1, server: , request: "POST /api/chat HTTP/1.1"'
)
_BIND = "2025/06/30 10:00:00 [emerg] 6901#6901: bind() to 127.0.0.1:8080 failed (98: Address already in use)"
_CONFIG = '2025/06/30 10:00:00 [emerg] 7954#7954: "server" directive is not allowed here in /srv/nginx.conf:1'

ISSUES: tuple[KnownIssue, ...] = (
    KnownIssue(
        id="nginx-points-at-minikube",
        title="nginx sends requests to minikube",
        symptoms=('upstream: "http://192.168.49.2:30082', "192.168.49.2 … Connect Timeout", "ENETUNREACH 192.168.49.2"),
        cause="the site file still names minikube's address, and nothing answers there",
        solution="harness nginx switch points it at this machine, and harness nginx restore back",
        check="nginx.upstream",
        matches=(_MINIKUBE,),
        passes=(_REFUSED, "minikube is running at 192.168.49.2"),
    ),
    KnownIssue(
        id="nginx-upstream-down",
        title="nginx finds nobody behind it: 502",
        symptoms=("connect() failed (111: Connection refused) while connecting to upstream", "502 Bad Gateway"),
        cause="what nginx points at is not running",
        solution="harness status tells who is missing; harness up brings it back",
        check="nginx.upstream",
        matches=(_REFUSED, "<head><title>502 Bad Gateway</title></head>"),
        passes=(_SLOW, "504 Gateway Time-out"),
    ),
    KnownIssue(
        id="nginx-upstream-slow",
        title="nginx gave up waiting for an answer: 504",
        symptoms=("upstream timed out (110", "504 Gateway Time-out"),
        but_not=("192.168.49.2",),
        cause="the answer paused for longer than proxy_read_timeout, 60 s unless set",
        solution="set proxy_read_timeout to 600s or more and proxy_buffering off, as harness up's own has them",
        check="nginx.read-timeout",
        matches=(_SLOW, "<head><title>504 Gateway Time-out</title></head>"),
        passes=(_REFUSED, _MINIKUBE),
    ),
    KnownIssue(
        id="nginx-upstream-cut",
        title="what stands behind nginx went away in the middle of an answer",
        symptoms=("upstream prematurely closed connection", "recv() failed (104: Connection reset by peer)"),
        cause="the copilot or the server ended while it answered",
        solution="see how it ended: harness status and harness logs",
        check="nginx.upstream",
        matches=(_CUT,),
        passes=(_REFUSED, "client prematurely closed connection"),
    ),
    KnownIssue(
        id="nginx-buffers",
        title="nginx keeps answers back instead of passing them on",
        symptoms=("an upstream response is buffered to a temporary file",),
        cause="proxy_buffering is on: streams arrive late and in lumps, and pings do not get through",
        solution="set proxy_buffering off in the location; the front door of harness up has it",
        check="nginx.buffering",
        matches=(
            "2025/06/30 10:00:00 [warn] 7814#7814: *7 an upstream response is buffered to a temporary file /srv/tmp/01",
        ),
        passes=("a client request body is buffered to a temporary file /srv/tmp/0000000002",),
    ),
    KnownIssue(
        id="nginx-body-too-large",
        title="nginx refuses a request for its size: 413",
        symptoms=("client intended to send too large body", "413 Request Entity Too Large"),
        cause="the request is larger than client_max_body_size, 1 MiB unless set; the server itself takes 4 MiB",
        solution="set client_max_body_size 4m in the location",
        check="nginx.syntax",
        matches=("2025/06/30 10:00:00 [error] 7814#7814: *11 client intended to send too large body: 5000000 bytes",),
        passes=("a client request body is buffered to a temporary file /srv/tmp/0000000002",),
    ),
    KnownIssue(
        id="nginx-config-broken",
        title="nginx does not take its configuration",
        symptoms=(
            "[emerg] … directive",
            "[emerg] … unexpected",
            "[emerg] … host not found in upstream",
            "[emerg] … open() … failed",
            "nginx: configuration file … test failed",
        ),
        cause="a file of the configuration has an error; the line says which file and where",
        solution="mend the line that is named, then nginx -t; harness nginx restore puts back what harness changed",
        check="nginx.syntax",
        matches=(
            _CONFIG,
            '[emerg] 7953#7953: open() "/etc/nginx/nginx.conf" failed (2: No such file or directory)',
            "nginx: configuration file /etc/nginx/nginx.conf test failed",
        ),
        passes=(_BIND, "nginx: configuration file /etc/nginx/nginx.conf test is successful"),
    ),
    KnownIssue(
        id="nginx-user-directive",
        title="nginx ignores its user directive",
        symptoms=('the "user" directive makes sense only if the master process runs with super-user privileges',),
        cause="nginx runs without root, and then runs its workers as the same user",
        solution="nothing",
        unless="files that it must read belong to another user",
        check="nginx.syntax",
        weight=Weight.HARMLESS,
        matches=(
            '[warn] 1#1: the "user" directive makes sense only if the master process runs with super-user privileges',
        ),
        passes=(_CONFIG,),
    ),
)
