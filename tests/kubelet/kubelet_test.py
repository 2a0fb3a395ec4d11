#!/usr/bin/env python3
"""Pods as people write them, run by a real kubelet:

  hack/with_caissond.sh -- python3 tests/kubelet/kubelet_test.py [TEST...]
"""

import json
import os
import signal
import subprocess
import unittest
import urllib.request

from kubelet import await_truth, free_port
# unittest calls the last by its name.
from pod_case import (BUSYBOX, CAISSON, DIRECTORY, FOREVER, PROBE, PodTest, container,
                      setUpModule)


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
        await_truth("preStop", lambda: os.path.exists(f"{path}/preStop"))
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


class VolumePodTest(PodTest):
    def test_parts_of_volumes(self):
        self.run_pod(
            "parts", volumes=[{"name": "v", "emptyDir": {}}],
            initContainers=[container("fill", "mkdir -p /v/a/b; echo deep >/v/a/b/file",
                                      volumeMounts=[{"name": "v", "mountPath": "/v"}])],
            containers=[container(
                "main", "cat /b/file /file; ls /pod; echo more >>/file; echo x >/b/x; ls /b;"
                " echo end" + FOREVER,
                env=[{"name": "NAME", "valueFrom": {"fieldRef": {
                    "fieldPath": "metadata.name"}}}],
                volumeMounts=[
                    {"name": "v", "mountPath": "/b", "subPath": "a/b"},
                    {"name": "v", "mountPath": "/file", "subPath": "a/b/file",
                     "readOnly": True},
                    {"name": "v", "mountPath": "/pod", "subPathExpr": "$(NAME)"}])])
        log = self.await_log("parts", "end")
        self.assertEqual(log.count("deep"), 2)
        self.assertIn("Read-only file system", log)
        self.assertIn("file\nx\n", log)

    def test_mounts_of_the_host_go_both_ways(self):
        path = f"{DIRECTORY}/kubelet-plugin"
        os.makedirs(path, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "plugin", path], check=True)
        self.addCleanup(subprocess.run, ["umount", "-R", path], check=True)
        subprocess.run(["mount", "--make-shared", path], check=True)
        volume = {"name": "p", "hostPath": {"path": path}}
        self.run_pod(
            "driver", volumes=[volume], containers=[container(
                "main", "mkdir -p /plugin/stage; mount -t tmpfs staged /plugin/stage;"
                " echo staged >/plugin/stage/file; echo end" + FOREVER,
                securityContext={"privileged": True},
                volumeMounts=[{"name": "p", "mountPath": "/plugin",
                               "mountPropagation": "Bidirectional"}])])
        self.await_log("driver", "end")
        with open(f"{path}/stage/file", encoding="ascii") as file:
            self.assertEqual(file.read(), "staged\n")
        self.run_pod(
            "user", volumes=[volume], containers=[container(
                "main", "cat /plugin/stage/file; echo end" + FOREVER,
                volumeMounts=[{"name": "p", "mountPath": "/plugin",
                               "mountPropagation": "HostToContainer"}])])
        self.assertIn("staged", self.await_log("user", "end"))
        # What a driver mounted for others stays when it goes.
        self.remove_pod("driver")
        self.assertTrue(os.path.exists(f"{path}/stage/file"))

    def test_an_image_as_a_volume(self):
        self.run_pod(
            "image", volumes=[{"name": "i", "image": {"reference": PROBE,
                                                      "pullPolicy": "IfNotPresent"}}],
            containers=[container("main", "ls /i/caisson-probe; touch /i/x; echo end" + FOREVER,
                                  volumeMounts=[{"name": "i", "mountPath": "/i"}])])
        log = self.await_log("image", "end")
        self.assertIn("/i/caisson-probe\n", log)
        self.assertIn("Read-only file system", log)


class RefusedPodTest(PodTest):
    """What can't run says why, where kubectl describe shows it."""

    def waiting(self, name):
        pod = self.await_pod(name, lambda pod: any(
            each["state"].get("waiting", {}).get("message")
            for each in pod["status"].get("containerStatuses", [])))
        return self.status_of(pod)["state"]["waiting"]

    def test_an_image_that_is_nowhere(self):
        self.run_pod("lost", containers=[container(image="docker.io/library/no-such:1")])
        waiting = self.waiting("lost")
        self.assertIn(waiting["reason"], ("ErrImagePull", "ImagePullBackOff"))
        self.assertIn("docker.io/library/no-such:1", waiting["message"])
        self.assertIn("not found", waiting["message"])

    def test_a_program_that_is_not_there(self):
        self.run_pod("wrong", containers=[{
            "name": "main", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent",
            "command": ["/no/such/program"]}])
        pod = self.await_pod("wrong", lambda pod: any(
            "no/such/program" in json.dumps(each["state"]) + json.dumps(each["lastState"])
            for each in pod["status"].get("containerStatuses", [])))
        text = json.dumps(self.status_of(pod))
        self.assertIn("RunContainerError", text)
        self.assertIn("no such file", text.lower())

    def test_root_where_it_must_not_be(self):
        self.run_pod("root", containers=[container(securityContext={"runAsNonRoot": True})])
        waiting = self.waiting("root")
        self.assertEqual(waiting["reason"], "CreateContainerConfigError")
        self.assertIn("runAsNonRoot", waiting["message"])


class ConfinedPodTest(PodTest):
    def test_a_seccomp_profile_of_the_node(self):
        os.makedirs(f"{self.kubelet.directory}/seccomp", exist_ok=True)
        with open(f"{self.kubelet.directory}/seccomp/no-chmod.json", "w",
                  encoding="ascii") as file:
            json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{
                "names": ["chmod", "fchmod", "fchmodat", "fchmodat2"],
                "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}, file)
        self.run_pod("filtered", containers=[container(
            "main", "touch /tmp/f; chmod 700 /tmp/f; echo end" + FOREVER,
            securityContext={"seccompProfile": {"type": "Localhost",
                                                "localhostProfile": "no-chmod.json"}})])
        # 95 is EOPNOTSUPP.
        self.assertIn("not supported", self.await_log("filtered", "end"))

    def test_all_of_proc_for_users_of_its_own(self):
        self.run_pod("nested", hostUsers=False, containers=[container(
            "main", "unshare -Urmpf --mount-proc true && echo nested; echo end" + FOREVER,
            securityContext={"procMount": "Unmasked",
                             "seccompProfile": {"type": "Unconfined"},
                             "appArmorProfile": {"type": "Unconfined"},
                             # Who maps its root must be able to give files some.
                             "capabilities": {"add": ["SYS_ADMIN", "SETFCAP"]}})])
        self.assertIn("nested", self.await_log("nested", "end"))

    def test_ports_of_the_host(self):
        port = free_port()
        self.run_pod("port", containers=[container(
            "main", "exec httpd -f -p 80 -h /www",
            ports=[{"containerPort": 80, "hostPort": port, "hostIP": "127.0.0.1"}],
            readinessProbe={"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1})])
        self.await_ready("port")
        url = f"http://127.0.0.1:{port}/index.html"
        with urllib.request.urlopen(url, timeout=10) as answer:
            self.assertIn(b"It works!", answer.read())

    def test_the_last_lines_tell_why(self):
        self.run_pod("words", restartPolicy="Never", containers=[container(
            "main", "echo first; echo last words >&2; exit 1",
            terminationMessagePolicy="FallbackToLogsOnError")])
        ended = self.status_of(self.await_phase("words", "Failed"))["state"]["terminated"]
        self.assertEqual(ended["message"], "first\nlast words\n")


class LastingPodTest(PodTest):
    def test_a_changed_manifest_is_another_pod(self):
        self.run_pod("changed", containers=[container(script="echo old" + FOREVER)])
        before = self.status_of(self.await_ready("changed"))["containerID"]
        self._write("changed", {"terminationGracePeriodSeconds": 5, "containers": [
            container(script="echo new" + FOREVER)]})
        self.await_pod("changed", lambda pod: pod["status"].get("containerStatuses") and
                       self.status_of(pod).get("containerID", before) != before)
        self.assertEqual(self.await_log("changed", "new"), "new\n")

    def test_pods_outlive_the_runtime(self):
        self.run_pod("steady", containers=[container()])
        before = self.status_of(self.await_ready("steady"))
        with open(f"{DIRECTORY}/caissond.pid", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        # The file is for with_caissond.sh, which ends it.
        subprocess.run(f"'{CAISSON}/caissond' --config config.toml >>caissond.log 2>&1 &"
                       " echo $! >caissond.pid", shell=True, cwd=DIRECTORY,
                       stdin=subprocess.DEVNULL, check=True)
        # The kubelet has found it again.
        self.run_pod("later", containers=[container()])
        self.await_ready("later")
        after = self.status_of(self.kubelet.pod("steady"))
        self.assertEqual(after["containerID"], before["containerID"])
        self.assertEqual(after["restartCount"], before["restartCount"])

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
