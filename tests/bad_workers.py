"""The rows about `spec.worker` in the table of SyncPolicies that are refused."""

from policy_support import Bad, Spec

OBJECT = "the name of an object in the policy's namespace"
_URL = "write an http:// or https:// address with a host"


def http(**changes: object) -> Spec:
    return {"worker": {"http": changes}}


def _url(url: str) -> Spec:
    return http(url=url)


def env(*variables: Spec) -> Spec:
    return {"worker": {"env": list(variables)}}


WORKERS = (
    Bad("no worker", {"worker": None}, ("spec.worker is missing", "such as worker: {http")),
    Bad("a worker without http or image", {"worker": {"http": None}}, ("spec.worker", "needs http", "or image")),
    Bad("a worker with an empty image", {"worker": {"http": None, "image": ""}}, ("spec.worker", "needs http")),
    Bad("http without a URL", {"worker": {"http": {"url": None}}}, ("spec.worker.http.url", "required")),
    Bad("a command beside http", {"worker": {"command": ["sh"]}}, ("worker.command and worker.args", "remove")),
    Bad("arguments beside http", {"worker": {"args": ["-v"]}}, ("worker.command and worker.args", "remove")),
    Bad("a URL without a scheme", _url("sync.default.svc/users"), ("spec.worker.http.url", _URL)),
    Bad("a URL of another scheme", _url("ftp://sync/users"), ("spec.worker.http.url", _URL)),
    Bad("a URL without a host", _url("http:///users"), ("spec.worker.http.url", _URL)),
    Bad("a URL with a space", _url("http://sync/all users"), ("spec.worker.http.url", _URL)),
    Bad("a URL with a port out of range", _url("http://sync:70000/"), ("spec.worker.http.url", _URL)),
    Bad("a URL with an unknown placeholder", _url("http://sync/{user}"), ("spec.worker.http.url", "{userId}")),
    Bad("a URL with an open placeholder", _url("http://sync/{userId"), ("spec.worker.http.url", "{userId}")),
    Bad("a URL with a placeholder for its host", _url("http://{wallet}.example.com/"), ("filled in after the host",)),
    Bad("a URL with a password", _url("http://me:secret@sync/"), ("user name or password are refused",)),
    Bad("an empty URL", _url(""), ("spec.worker.http.url", _URL)),
    Bad(
        "a body of five levels",
        http(body={"a": [{"b": [{"c": 1}]}]}),
        ("spec.worker.http.body.a[0].b[0]", "must have at most 0 items"),
        False,
    ),
    Bad("an unknown method", http(method="FETCH"), ("spec.worker.http.method", '"FETCH"', '"POST"'), False),
    Bad("a method in lower case", http(method="post"), ("spec.worker.http.method", '"post"', '"POST"'), False),
    Bad(
        "a header with a colon",
        http(headers=[{"name": "X-A:", "value": "1"}]),
        ("spec.worker.http.headers[0].name", "the name of an HTTP header"),
    ),
    Bad(
        "a header with a line break",
        http(headers=[{"name": "X-A", "value": "1\r\nX-B: 2"}]),
        ("spec.worker.http.headers[0].value", "on one line"),
    ),
    Bad(
        "the same header twice",
        http(headers=[{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}]),
        ("spec.worker.http.headers", "given twice"),
        False,
    ),
    Bad(
        "a header that the worker sets itself",
        http(headers=[{"name": "Content-Length", "value": "0"}]),
        ("spec.worker.http.headers", "set by the worker itself"),
        False,
    ),
    Bad(
        "a token and an Authorization header",
        http(
            headers=[{"name": "authorization", "value": "Basic x"}],
            bearerTokenSecretRef={"name": "sync", "key": "token"},
        ),
        ("spec.worker.http.headers", "bearerTokenSecretRef already sends the Authorization header"),
        False,
    ),
    Bad(
        "a token's Secret without a key",
        http(bearerTokenSecretRef={"name": "sync"}),
        ("spec.worker.http.bearerTokenSecretRef.key", "required"),
    ),
)

CONTAINERS = (
    Bad("an image with https", {"worker": {"image": "https://r.io/w:1"}}, ("worker.image", "of a container image")),
    Bad("an image with capitals", {"worker": {"image": "r.io/Team/Worker"}}, ("worker.image", "lower case")),
    Bad("an unknown pull policy", {"worker": {"imagePullPolicy": "Sometimes"}}, ("imagePullPolicy", '"Always"'), False),
    Bad(
        "a PodTemplate's name with a slash", {"worker": {"podTemplate": {"name": "a/b"}}}, ("podTemplate.name", OBJECT)
    ),
    Bad("a variable without a name", env({"value": "1"}), ("spec.worker.env[0].name", "required")),
    Bad("a variable with = in its name", env({"name": "A=B"}), ("spec.worker.env[0].name", "no spaces and no '='")),
    Bad("a variable that is a number", env({"name": "A", "value": 5}), ("spec.worker.env[0].value", "string")),
    Bad("a variable twice", env({"name": "A"}, {"name": "A"}), ("spec.worker.env[1]", "Duplicate value", '"A"'), False),
    Bad(
        "a variable with two values",
        env({"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        ("spec.worker.env[0]", "value or valueFrom, not both"),
        False,
    ),
    Bad(
        "a variable from nowhere",
        env({"name": "A", "valueFrom": {}}),
        ("spec.worker.env[0].valueFrom", "exactly one of secretKeyRef"),
        False,
    ),
    Bad(
        "variables from nowhere",
        {"worker": {"envFrom": [{"prefix": "A_"}]}},
        ("spec.worker.envFrom[0]", "exactly one of configMapRef and secretRef"),
        False,
    ),
    Bad(
        "a quantity that is none",
        {"worker": {"resources": {"requests": {"memory": "64 MB"}}}},
        ("spec.worker.resources.requests", "write a quantity such as"),
    ),
    Bad(
        "a request above its limit",
        {"worker": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}},
        ("spec.worker.resources", "must not be more than resources.limits"),
        False,
    ),
)

BAD_WORKERS = (*WORKERS, *CONTAINERS)
