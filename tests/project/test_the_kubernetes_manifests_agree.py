"""The manifests in ``deploy/kubernetes`` hold against the schemas, the client and the server.

Kubernetes' own schemas come from PyPI. KEDA's are on no registry: what a ScaledJob, its
TriggerAuthentication and the metrics-api trigger take stands here, from KEDA's ``ScaledJobSpec``,
``ScaleTriggers``, ``TriggerAuthenticationSpec`` (apis/keda/v1alpha1) and its page on the scaler.
"""

import copy
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import requests
import yaml
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.urls import resolve
from taskfarm_worker import _courier
from taskfarm_worker.cli._parser import parse

from tests import factories
from tests.server import Server

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
UUID = "da8eb1c10eac4cefb39c8889d6d7170a"
VERSIONS = ("1.31", "1.33")
"""Of Kubernetes: backoffLimitPerIndex is beta in the first, and stable in the second."""

WORD = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}


def an_object(required: str, optional: str = "", **types: Any) -> dict[str, Any]:
    """A schema of an object with these members and no others."""
    names = [*required.split(), *optional.split()]
    return {
        "type": "object",
        "required": required.split(),
        "additionalProperties": False,
        "properties": {name: types.get(name, {}) for name in names},
    }


METADATA = an_object("name", "namespace labels annotations", name=WORD)
SECRET = an_object("parameter name key", parameter=WORD, name=WORD, key=WORD)
TRIGGER_AUTHENTICATION = an_object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "TriggerAuthentication"},
    metadata=METADATA,
    spec=an_object("secretTargetRef", secretTargetRef={"type": "array", "items": SECRET}),
)
# All values of a trigger's metadata are strings, numbers included.
METRICS_API = an_object(
    "url valueLocation targetValue",
    "authMode format activationTargetValue unsafeSsl",
    url={"type": "string", "format": "uri"},
    valueLocation=WORD,
    targetValue={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    authMode={"enum": ["apiKey", "basic", "tls", "bearer"]},
    format={"enum": ["json", "xml", "yaml", "prometheus"]},
    activationTargetValue={"type": "string", "pattern": r"^\d+(\.\d+)?$"},
    unsafeSsl={"enum": ["true", "false"]},
)
TRIGGER = an_object(
    "type metadata",
    "name useCachedMetrics authenticationRef metricType",
    type={"const": "metrics-api"},
    metadata=METRICS_API,
    authenticationRef=an_object("name", "kind", name=WORD, kind=WORD),
)
STRATEGY = an_object(
    "",
    "strategy customScalingQueueLengthDeduction customScalingRunningJobPercentage"
    " pendingPodConditions multipleScalersCalculation",
    strategy={"enum": ["default", "custom", "accurate", "eager"]},
)
ROLLOUT = an_object(
    "",
    "strategy propagationPolicy",
    strategy={"enum": ["default", "gradual"]},
    propagationPolicy={"enum": ["background", "foreground"]},
)
SCALED_JOB = an_object(
    "apiVersion kind metadata spec",
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledJob"},
    metadata=METADATA,
    spec=an_object(
        "jobTargetRef triggers",
        "pollingInterval successfulJobsHistoryLimit failedJobsHistoryLimit rollout"
        " envSourceContainerName minReplicaCount maxReplicaCount scalingStrategy",
        jobTargetRef={"type": "object"},  # a JobSpec of Kubernetes, held against its schema
        triggers={"type": "array", "minItems": 1, "items": TRIGGER},
        pollingInterval=COUNT,
        successfulJobsHistoryLimit=COUNT,
        failedJobsHistoryLimit=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        envSourceContainerName=WORD,
        rollout=ROLLOUT,
        scalingStrategy=STRATEGY,
    ),
)
KEDA = {"ScaledJob": SCALED_JOB, "TriggerAuthentication": TRIGGER_AUTHENTICATION}


def manifests() -> dict[str, dict[str, Any]]:
    """All manifests by their kind, for a run."""
    found = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        for one in yaml.safe_load_all(file.read_text().replace("RUN", UUID)):
            found[one["kind"]] = one
    return found


ALL = manifests()
SPEC = ALL["ScaledJob"]["spec"]
JOBS = {
    "Job": ALL["Job"],
    "ScaledJob": {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "made-by-keda"},
        "spec": SPEC["jobTargetRef"],
    },
}  # fmt: skip
"""The jobs that Kubernetes gets to see."""

a_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


def pod(job: dict[str, Any]) -> dict[str, Any]:
    """The pod of a job."""
    return dict(job["spec"]["template"]["spec"])


@pytest.mark.once
@pytest.mark.parametrize("version", VERSIONS)
@a_job
def test_jobs_are_what_kubernetes_takes(job: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(job, version, strict=True)
    for change in (
        lambda one: one["spec"].update(paralelism=3),
        lambda one: one["spec"].update(completions="twenty"),
        lambda one: one["spec"]["template"]["spec"]["containers"][0].pop("name"),
        lambda one: one["spec"].pop("template"),
    ):
        wrong = copy.deepcopy(job)
        change(wrong)
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(wrong, version, strict=True)


@pytest.mark.once
@pytest.mark.parametrize("kind", KEDA)
def test_the_rest_is_what_keda_takes(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(KEDA[kind])
    jsonschema.validate(ALL[kind], KEDA[kind])


@pytest.mark.once
def test_what_keda_is_referred_to_is_there() -> None:
    (trigger,) = SPEC["triggers"]
    named = ALL["TriggerAuthentication"]
    assert trigger["authenticationRef"]["name"] == named["metadata"]["name"]
    assert {one["parameter"] for one in named["spec"]["secretTargetRef"]} == {
        "username", "password",
    }  # fmt: skip
    secret = {one["name"] for one in named["spec"]["secretTargetRef"]}
    for job in JOBS.values():
        (farmer,) = pod(job)["containers"]
        assert {one["secretRef"]["name"] for one in farmer["envFrom"]} == secret
    assert SPEC["minReplicaCount"] < SPEC["maxReplicaCount"]


@pytest.mark.once
@a_job
def test_the_pods_call_the_command_line_as_it_is(job: dict[str, Any]) -> None:
    (farmer,) = pod(job)["containers"]
    args = parse(farmer["args"])
    assert args.runs == [UUID]
    assert str(args.proc) == farmer["resources"]["requests"]["cpu"]
    # Commands end, then the last reports are delivered, and only then is the pod killed.
    assert args.grace + _courier.GRACE < pod(job)["terminationGracePeriodSeconds"]
    folders = {one["name"]: one["mountPath"] for one in farmer["volumeMounts"]}
    assert args.workdir.startswith(folders["work"] + "/")
    assert {one["name"] for one in pod(job)["volumes"]} == set(folders)
    assert {one["name"] for one in farmer["env"]} <= set(_courier.LABELS)


@pytest.mark.once
@a_job
def test_no_pod_is_started_again_for_ever(job: dict[str, Any]) -> None:
    spec = job["spec"]
    limit = "backoffLimitPerIndex" if spec.get("completionMode") == "Indexed" else "backoffLimit"
    assert 0 < spec[limit] < 10
    (farmer,) = pod(job)["containers"]
    codes = {}
    for rule in spec["podFailurePolicy"]["rules"]:
        for code in rule.get("onExitCodes", {}).get("values", ()):
            codes[code] = rule["action"]
            assert rule["onExitCodes"]["containerName"] == farmer["name"]
    assert codes == {143: "Ignore", 2: "FailJob"}
    assert pod(job)["restartPolicy"] == "Never"  # which a podFailurePolicy asks for


@pytest.mark.once
@a_job
def test_the_pods_may_do_nothing_that_they_need_not(job: dict[str, Any]) -> None:
    (farmer,) = pod(job)["containers"]
    assert pod(job)["securityContext"]["runAsNonRoot"]
    assert pod(job)["automountServiceAccountToken"] is False
    context = farmer["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    user = pod(job)["securityContext"]["runAsUser"]
    assert f"--uid {user} " in (FOLDER / "Dockerfile").read_text()


def test_keda_finds_the_number_that_it_scales_by(server: Server) -> None:
    (trigger,) = SPEC["triggers"]
    told = trigger["metadata"]
    assert told["authMode"] == "basic"
    # The server runs with the real hashers, the tests with a fast one.
    hashed = make_password(factories.PASSWORD, hasher="pbkdf2_sha256")
    User.objects.filter(username="alice").update(password=hashed)
    run = requests.post(
        f"{server.api}run", json={"numTasks": 7}, auth=("alice", factories.PASSWORD), timeout=60
    ).json()["uuid"]
    path = told["url"].removeprefix("https://farm.example.org").replace(UUID, run)
    assert resolve(path)
    asked = requests.get(server.url + path, auth=("alice", factories.PASSWORD), timeout=60)
    assert asked.status_code == 200
    assert asked.json()[told["valueLocation"]] == 7
    assert requests.get(server.url + path, timeout=60).status_code == 401


@pytest.mark.once
def test_the_image_gets_what_the_client_is_built_from_and_nothing_else() -> None:
    client = ROOT / "worker_client"
    project = tomllib.loads((client / "pyproject.toml").read_text())
    told = project["project"]
    where = project["tool"]["setuptools"]["packages"]["find"]["where"]
    lines = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert kept == {"pyproject.toml", told["readme"], *told["license-files"], *where}
    assert {path for path in kept if not (client / path).exists()} == set()
