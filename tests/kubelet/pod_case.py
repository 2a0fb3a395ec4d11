"""What tests of pods by a kubelet have in common."""

import json
import os
import signal
import unittest

from kubelet import Kubelet, await_truth

BUSYBOX = "docker.io/library/busybox:latest"
PROBE = "docker.io/library/caisson-probe:latest"
DIRECTORY = os.environ["CAISSON_TEST_DIR"]
CAISSON = os.path.abspath(os.environ.get("CAISSON_BIN", "build/dev/bin"))
BINARY = os.path.join(os.path.dirname(__file__), "../../build/tools/kubelet")
# A shell that does nothing more until it is told to stop.
FOREVER = "; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"


def container(name="main", script=":" + FOREVER, image=BUSYBOX, **more):
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent",
            "command": ["/bin/busybox", "sh", "-c", script], **more}


def setUpModule():
    # The group of the daemon's run, which is removed with it.
    with open(f"{DIRECTORY}/config.toml", encoding="utf-8") as file:
        run = next(line.split('"')[1] for line in file if line.startswith("parent = "))
    PodTest.kubelet = Kubelet(BINARY, DIRECTORY, os.environ["CONTAINER_RUNTIME_ENDPOINT"],
                              run)
    # Which unittest lets through.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    PodTest.kubelet.start()


class PodTest(unittest.TestCase):
    kubelet: Kubelet

    def run_pod(self, name, **spec):
        """Puts a manifest where the kubelet looks; it goes after the test."""
        spec.setdefault("terminationGracePeriodSeconds", 5)
        self._write(name, spec)
        self.addCleanup(self.remove_pod, name)

    def _write(self, name, spec):
        new = f"{DIRECTORY}/{name}.json"
        with open(new, "w", encoding="utf-8") as file:
            json.dump({"apiVersion": "v1", "kind": "Pod",
                       "metadata": {"name": name, "labels": {"app": name},
                                    "annotations": {"team": "storage"}},
                       "spec": spec}, file)
        os.rename(new, f"{self.kubelet.manifests}/{name}.json")

    def remove_pod(self, name):
        path = f"{self.kubelet.manifests}/{name}.json"
        if os.path.exists(path):
            os.remove(path)
        await_truth(f"{name} is gone", lambda: not (
            self.kubelet.pod(name) or self.kubelet.runs(name)))

    def await_pod(self, name, look):
        """Waits until look(pod) is true; that pod."""
        seen = None

        def there():
            nonlocal seen
            seen = self.kubelet.pod(name)
            return seen and look(seen)
        try:
            await_truth(name, there)
        except TimeoutError as error:
            status = json.dumps((seen or {}).get("status"), indent=1)
            self.fail(f"{error}\n{status}\n{self.kubelet.last_words()}")
        return seen

    def await_ready(self, name):
        return self.await_pod(name, lambda pod: any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in pod["status"].get("conditions", [])))

    def await_phase(self, name, phase):
        return self.await_pod(name, lambda pod: pod["status"]["phase"] == phase)

    def await_log(self, name, text, of="main"):
        """Waits for a line of the log, as kubectl logs has it."""
        log = ""

        def there():
            nonlocal log
            try:
                log = self.kubelet.get(
                    f"/containerLogs/default/{name}-caisson-test/{of}")
            except OSError:
                return False
            return text in log
        try:
            await_truth(f"{name} says {text}", there)
        except TimeoutError as error:
            self.fail(f"{error}: {log}\n{self.kubelet.last_words()}")
        return log

    def status_of(self, pod, name="main", kind="containerStatuses"):
        return next(each for each in pod["status"][kind] if each["name"] == name)
