"""A kubelet without an API server, which runs the pods that stand in a folder.

It talks to the daemon of hack/with_caissond.sh and keeps all it makes below
that one's folder and cgroup, or with systemd in kubepods.slice; what it changes
of the machine besides (a few sysctls, two folders) is put back.
"""

import atexit
import glob
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.request

PATIENCE_SECONDS = 90
# What a kubelet writes to (its container manager's kernel flags).
SYSCTLS = ("kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys",
           "kernel/panic", "kernel/panic_on_oops", "vm/overcommit_memory",
           "vm/panic_on_oom")
# Folders that it makes whatever its configuration says: for links to logs, and
# for the socket of device plugins.
LOG_LINKS = "/var/log/containers"
FOLDERS = (LOG_LINKS, "/var/lib/kubelet")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def hierarchies():
    """Where cgroups are made: one folder on v2, one a controller on v1."""
    top = "/sys/fs/cgroup"
    if os.path.exists(f"{top}/cgroup.controllers"):
        return [top]
    return [f"{top}/{name}" for name in os.listdir(top)
            if os.path.isdir(f"{top}/{name}") and not os.path.islink(f"{top}/{name}")]


def await_truth(what, look):
    """Looks until it sees something true, and returns that."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {PATIENCE_SECONDS} s")
        time.sleep(0.1)


class Kubelet:
    def __init__(self, binary, directory, endpoint, group):
        self.directory = os.path.join(directory, "kubelet")
        self.manifests = os.path.join(directory, "manifests")
        self.logs = os.path.join(directory, "pod-logs")
        self.log = os.path.join(directory, "kubelet.log")
        self.port = free_port()
        self._systemd = os.environ.get("CAISSON_CGROUP_DRIVER") == "systemd"
        # systemd gives no slice of ours all controllers that a kubelet asks for.
        self.group = "" if self._systemd else group
        self._sysctls = {}
        for name in SYSCTLS:
            with open(f"/proc/sys/{name}", encoding="ascii") as file:
                self._sysctls[name] = file.read()
        self._new_folders = [path for path in FOLDERS if not os.path.isdir(path)]
        if self._systemd and os.path.exists("/sys/fs/cgroup/kubepods.slice"):
            raise RuntimeError("this machine has a kubelet's pods already")
        for path in (self.directory, self.manifests, self.logs):
            os.makedirs(path, exist_ok=True)
        self._config = os.path.join(directory, "kubelet.json")
        with open(self._config, "w", encoding="utf-8") as file:
            json.dump(self._configuration(directory, endpoint), file)
        # It ends with the test, however that ends.
        self._command = ["setpriv", "--pdeathsig", "KILL", binary, "--config", self._config, "--root-dir", self.directory,
                         "--cert-dir", os.path.join(self.directory, "pki"),
                         "--hostname-override", "caisson-test"]
        self._process = None
        # Also when the tests are cut short.
        atexit.register(self.put_back)
        atexit.register(self.stop)

    def _configuration(self, directory, endpoint):
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": endpoint,
            "staticPodPath": self.manifests,
            "podLogsDir": self.logs,
            "volumePluginDir": os.path.join(directory, "volume-plugins"),
            "address": "127.0.0.1",
            "port": self.port,
            "healthzPort": 0,
            "authentication": {"anonymous": {"enabled": True},
                               "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "failCgroupV1": False,
            "cgroupDriver": "systemd" if self._systemd else "cgroupfs",
            "cgroupRoot": "/" + self.group,
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "fileCheckFrequency": "1s",
            "syncFrequency": "1s",
            # Nothing is evicted, and no image collected, on a full disk.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%",
                             "nodefs.inodesFree": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
        }

    def start(self):
        for top in [] if self._systemd else hierarchies():
            os.makedirs(os.path.join(top, self.group), exist_ok=True)
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log,
                                             stdin=subprocess.DEVNULL)
        await_truth("kubelet serves", self._serves)

    def _serves(self):
        if self._process.poll() is not None:
            raise RuntimeError(f"kubelet ended: {self.last_words()}")
        try:
            self.get("/pods")
            return True
        except OSError:
            return False

    def stop(self):
        """Ends it; its pods go on."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def put_back(self):
        """What it changed of the machine."""
        for name, value in self._sysctls.items():
            with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
                file.write(value)
        if self._systemd:
            subprocess.run(["systemctl", "stop", "kubepods.slice"], check=False)
        for path in self._new_folders:
            shutil.rmtree(path, ignore_errors=True)
        # Where the folder was there before, the links of these pods.
        for link in glob.glob(f"{LOG_LINKS}/*.log"):
            if os.path.islink(link) and os.readlink(link).startswith(self.logs + "/"):
                os.remove(link)

    def get(self, path):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        url = f"https://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return answer.read().decode()

    def pods(self):
        return json.loads(self.get("/pods"))["items"] or []

    def pod(self, name):
        """The pod's state as the kubelet has it; None when it is gone."""
        for pod in self.pods():
            # A static pod is called after its node as well.
            if pod["metadata"]["name"] == f"{name}-caisson-test":
                return pod
        return None

    def runs(self, name):
        """Whether the runtime has something of the pod that runs."""
        pods = json.loads(self.get("/runningpods/"))["items"] or []
        return any(pod["metadata"]["name"] == f"{name}-caisson-test" for pod in pods)

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(line for line in file.readlines()[-400:]
                           if line.startswith(("E", "F")))[-3000:]
