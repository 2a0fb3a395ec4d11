#!/usr/bin/env python3
"""Pods as people write them, run by a real kubelet:

  hack/with_caissond.sh -- python3 tests/kubelet/kubelet_test.py [TEST...]
"""

import json
import os
import unittest

from kubelet import Kubelet, await_truth

BUSYBOX = "docker.io/library/busybox:latest"
PROBE = "docker.io/library/caisson-probe:latest"
DIRECTORY = os.environ["CAISSON_TEST_DIR"]
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
    unittest.addModuleCleanup(PodTest.kubelet.put_back)
    unittest.addModuleCleanup(PodTest.kubelet.stop)
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


class ProbedPodTest(PodTest):
    def test_a_web_server_with_probes_gets_ready(self):
        self.run_pod(
            "web",
            volumes=[{"name": "www", "emptyDir": {}}],
            initContainers=[container("fill", "echo hello >/www/index.html",
                                      volumeMounts=[{"name": "www", "mountPath": "/www"}])],
            containers=[container(
                "main", "exec httpd -f -p 8080 -h /www",
                ports=[{"containerPort": 8080}],
                volumeMounts=[{"name": "www", "mountPath": "/www", "readOnly": True}],
                resources={"requests": {"cpu": "50m", "memory": "16Mi"},
                           "limits": {"cpu": "500m", "memory": "32Mi"}},
                startupProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                readinessProbe={"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                livenessProbe={"exec": {"command": ["/bin/busybox", "test", "-f",
                                                    "/www/index.html"]},
                               "periodSeconds": 1})])
        pod = self.await_ready("web")
        self.assertEqual(self.status_of(pod)["restartCount"], 0)
        fill = self.status_of(pod, "fill", "initContainerStatuses")
        self.assertEqual(fill["state"]["terminated"]["reason"], "Completed")
        self.assertTrue(pod["status"]["podIP"])
        self.assertEqual(self.status_of(pod)["resources"]["limits"],
                         {"cpu": "500m", "memory": "32Mi"})

    def test_a_failing_liveness_probe_restarts(self):
        self.run_pod("ill", containers=[container(
            "main", "echo started; touch /tmp/well; sleep 2; rm /tmp/well" + FOREVER,
            livenessProbe={"exec": {"command": ["/bin/busybox", "cat", "/tmp/well"]},
                           "periodSeconds": 1, "failureThreshold": 1,
                           "initialDelaySeconds": 1})])
        pod = self.await_pod("ill", lambda pod: pod["status"].get("containerStatuses")
                             and self.status_of(pod)["restartCount"] > 0)
        self.assertIn("terminated", self.status_of(pod)["lastState"])
        # The attempt before has its own log.
        old = self.kubelet.get("/containerLogs/default/ill-caisson-test/main?previous=true")
        self.assertIn("started", old)

    def test_a_sidecar_starts_before_and_ends_after(self):
        self.run_pod(
            "sidecar", restartPolicy="Never",
            volumes=[{"name": "v", "emptyDir": {}}],
            initContainers=[container(
                "proxy", "touch /v/proxy" + FOREVER, restartPolicy="Always",
                volumeMounts=[{"name": "v", "mountPath": "/v"}],
                startupProbe={"exec": {"command": ["/bin/busybox", "test", "-f", "/v/proxy"]},
                              "periodSeconds": 1})],
            containers=[container("main", "ls /v",
                                  volumeMounts=[{"name": "v", "mountPath": "/v"}])])
        pod = self.await_phase("sidecar", "Succeeded")
        self.assertEqual(self.status_of(pod)["state"]["terminated"]["exitCode"], 0)
        self.await_log("sidecar", "proxy")


class EndedPodTest(PodTest):
    def test_a_job_tells_how_it_ended(self):
        self.run_pod("job", restartPolicy="Never", containers=[container(
            "main", "echo half done >/dev/termination-log; exit 3")])
        ended = self.status_of(self.await_phase("job", "Failed"))["state"]["terminated"]
        self.assertEqual(ended["exitCode"], 3)
        self.assertEqual(ended["reason"], "Error")
        self.assertEqual(ended["message"], "half done\n")

    def test_too_much_memory_is_told(self):
        self.run_pod("hog", restartPolicy="Never", containers=[{
            "name": "main", "image": PROBE, "imagePullPolicy": "IfNotPresent",
            "command": ["/caisson-probe", "allocate", "134217728"],
            "resources": {"limits": {"memory": "32Mi"}}}])
        ended = self.status_of(self.await_phase("hog", "Failed"))["state"]["terminated"]
        self.assertEqual(ended["reason"], "OOMKilled")
        self.assertEqual(ended["exitCode"], 137)

    def test_hooks_of_its_life_run(self):
        path = f"{DIRECTORY}/kubelet-hooks"
        os.makedirs(path, exist_ok=True)
        mount = [{"name": "out", "mountPath": "/out"}]
        self.run_pod(
            "hooks", volumes=[{"name": "out", "hostPath": {"path": path,
                                                           "type": "Directory"}}],
            containers=[container("main", volumeMounts=mount, lifecycle={
                name: {"exec": {"command": ["/bin/busybox", "sh", "-c",
                                            f"echo $HOSTNAME >/out/{name}"]}}
                for name in ("postStart", "preStop")})])
        self.await_ready("hooks")
        self.assertTrue(os.path.exists(f"{path}/postStart"))
        self.assertFalse(os.path.exists(f"{path}/preStop"))
        self.remove_pod("hooks")
        with open(f"{path}/preStop", encoding="ascii") as file:
            self.assertEqual(file.read(), "hooks-caisson-test\n")


class IdentityPodTest(PodTest):
    def test_a_restricted_pod_runs(self):
        self.run_pod(
            "restricted",
            securityContext={"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 1000,
                             "fsGroup": 2000, "supplementalGroups": [3000],
                             "seccompProfile": {"type": "RuntimeDefault"}},
            volumes=[{"name": "v", "emptyDir": {}},
                     {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                     {"name": "me", "downwardAPI": {"items": [
                         {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}],
            containers=[container(
                "main", "id; cat /me/labels; touch /v/file /m/file && stat -c 'made %u:%g'"
                " /v/file; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status;"
                " touch /x; echo node $NODE" + FOREVER,
                env=[{"name": "NODE", "valueFrom": {"fieldRef": {
                    "fieldPath": "spec.nodeName"}}}],
                securityContext={"allowPrivilegeEscalation": False,
                                 "readOnlyRootFilesystem": True,
                                 "capabilities": {"drop": ["ALL"]}},
                volumeMounts=[{"name": "v", "mountPath": "/v"},
                              {"name": "m", "mountPath": "/m"},
                              {"name": "me", "mountPath": "/me"}])])
        log = self.await_log("restricted", "node caisson-test")
        for line in ("uid=1000", "gid=1000", "2000", "3000", 'app="restricted"',
                     "made 1000:2000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1",
                     "Seccomp:\t2", "Read-only file system"):
            self.assertIn(line, log)

    def test_users_of_its_own_by_the_kubelets_map(self):
        self.run_pod(
            "users", hostUsers=False, volumes=[{"name": "v", "emptyDir": {}}],
            containers=[container(
                "main", "cat /proc/self/uid_map; touch /v/file; stat -c 'made %u' /v/file"
                + FOREVER, volumeMounts=[{"name": "v", "mountPath": "/v"}])])
        log = self.await_log("users", "made 0")
        inside, outside, length = map(int, log.split()[:3])
        self.assertEqual((inside, length), (0, 65536))
        self.assertGreater(outside, 0)
        uid = self.kubelet.pod("users")["metadata"]["uid"]
        facts = os.stat(f"{self.kubelet.directory}/pods/{uid}/volumes/"
                        "kubernetes.io~empty-dir/v/file")
        # Through the volume's map its root is the host's.
        self.assertEqual(facts.st_uid, 0)

    def test_processes_are_shared_when_asked(self):
        self.run_pod("shared", shareProcessNamespace=True, containers=[
            container("one", "exec sleep 1000"),
            container("main", "until [ $other ]; do other=$(ps -o pid,args |"
                      " awk '$2 == \"sleep\" { print $1 }'); done;"
                      " kill -9 $other && echo killed" + FOREVER)])
        self.await_log("shared", "killed")
        self.await_pod("shared", lambda pod: self.status_of(pod, "one")["restartCount"] > 0)

    def test_the_hosts_namespaces_when_asked(self):
        self.run_pod("host", hostNetwork=True, hostPID=True, hostIPC=True, containers=[
            container("main", "for kind in net ipc pid; do readlink /proc/self/ns/$kind;"
                      " done; echo end" + FOREVER,
                      securityContext={"privileged": True})])
        log = self.await_log("host", "end")
        for kind in ("net", "ipc", "pid"):
            self.assertIn(os.readlink(f"/proc/self/ns/{kind}"), log)

    def test_names_of_the_pod(self):
        self.run_pod("names", hostname="box", subdomain="sub", hostAliases=[
            {"ip": "192.0.2.1", "hostnames": ["far.example"]}],
            dnsPolicy="None", dnsConfig={"nameservers": ["192.0.2.53"],
                                         "searches": ["example"],
                                         "options": [{"name": "ndots", "value": "2"}]},
            securityContext={"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start",
                                          "value": "80"}]},
            containers=[container(
                "main", "hostname; cat /etc/hosts /etc/resolv.conf"
                " /proc/sys/net/ipv4/ip_unprivileged_port_start; echo end" + FOREVER)])
        log = self.await_log("names", "end")
        for line in ("box\n", "192.0.2.1\tfar.example", "nameserver 192.0.2.53",
                     "search example", "options ndots:2", "\n80\n"):
            self.assertIn(line, log)


class LastingPodTest(PodTest):
    def test_pods_outlive_the_kubelet(self):
        self.run_pod("lasting", containers=[container()])
        before = self.status_of(self.await_ready("lasting"))
        self.kubelet.stop()
        self.kubelet.start()
        after = self.status_of(self.await_ready("lasting"))
        self.assertEqual(after["containerID"], before["containerID"])
        self.assertEqual(after["restartCount"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
