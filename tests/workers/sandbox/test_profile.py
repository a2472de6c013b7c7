"""The hardened profile as the build sees it, and what each defence is worth when it is taken away."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.workers.sandbox.lab import MIB, Lab
from workers.sandbox import Labels, Mount, profile
from workers.sandbox.seccomp import FORBIDDEN, load_profile, parse_profile

pytestmark = pytest.mark.docker

SYSCALLS = """
import ctypes, errno, json, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    return "allowed" if result >= 0 else errno.errorcode[ctypes.get_errno()]
def clone():
    ctypes.set_errno(0)
    child = libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)
    if child == 0: os._exit(0)
    if child > 0: os.waitpid(child, 0)
    return "allowed" if child > 0 else errno.errorcode[ctypes.get_errno()]
print(json.dumps({
    "clone into a new namespace": clone(),
    "unshare user": call(272, 0x10000000),
    "mount": call(165, b"x", b"/tmp", b"tmpfs", 0, 0),
    "ptrace": call(101, 0, 0, 0, 0),
    "io_uring_setup": call(425, 1, ctypes.create_string_buffer(256)),
    "keyctl": call(250, 0, -3, 0),
    "bpf": call(321, 0, 0, 0),
    "userfaultfd": call(323, 0),
    "perf_event_open": call(298, 0, 0, -1, -1, 0),
    "setns": call(308, 0, 0),
    "chroot": call(161, b"/tmp"),
    "process_vm_readv": call(310, os.getpid(), 0, 0, 0, 0, 0),
    "vsock": call(41, 40, 1, 0),
    "alg": call(41, 38, 5, 0),
    "memfd_secret": call(447, 0),
    "open_tree": call(428, -100, b"/tmp", 1),
}))
"""


def unconfined(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Replace parts of the engine's host configuration: the attack has to succeed then, or the test proves nothing."""
    real = profile.container_config

    def weaker(*args: Any, **kwargs: Any) -> dict[str, Any]:
        config: dict[str, Any] = real(*args, **kwargs)
        config["HostConfig"].update(changed)
        return config

    monkeypatch.setattr(profile, "container_config", weaker)


def answers(lab: Lab) -> dict[str, str]:
    return dict(json.loads(lab.text.splitlines()[0]))


def test_a_step_has_no_capability_no_privilege_and_a_filter(lab: Lab) -> None:
    assert lab.shell("cat /proc/self/status; id; umask; hostname").ok
    status = dict(line.split(":\t", 1) for line in lab.text.splitlines() if ":\t" in line)
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "uid=1000(build) gid=1000(build) groups=1000(build)\n0022\nreprove" in lab.text


def test_our_list_refuses_every_way_out_that_it_is_meant_to_refuse(lab: Lab) -> None:
    lab.python(SYSCALLS)
    assert set(answers(lab).values()) == {"EPERM"}, answers(lab)


def test_without_our_list_the_same_calls_reach_the_kernel(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    unconfined(monkeypatch, SecurityOpt=["no-new-privileges:true", "seccomp=unconfined"])
    lab.python(SYSCALLS)
    reached = {name for name, answer in answers(lab).items() if answer != "EPERM"}
    assert {"unshare user", "clone into a new namespace", "ptrace", "io_uring_setup", "vsock", "process_vm_readv"} <= reached, answers(lab)


def test_threads_processes_and_local_sockets_still_work(lab: Lab) -> None:
    script = """
import concurrent.futures, multiprocessing, socket, subprocess, threading
print(concurrent.futures.ThreadPoolExecutor(4).submit(pow, 2, 10).result())
with multiprocessing.get_context("fork").Pool(2) as pool: print(sum(pool.map(abs, range(-3, 4))))
print(subprocess.run(["sh", "-c", "echo $((6*7))"], capture_output=True, text=True).stdout.strip())
server = socket.create_server(("localhost", 0)); socket.create_connection(server.getsockname()); a, b = socket.socketpair(); print("sockets")
"""
    assert lab.python(script).ok, lab.text
    assert lab.text.split() == ["1024", "12", "42", "sockets"]


def test_a_list_that_allows_a_forbidden_call_is_not_loaded() -> None:
    document = json.loads(load_profile().text)
    assert not FORBIDDEN & {name for rule in document["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    document["syscalls"][0]["names"].append("ptrace")
    with pytest.raises(ValueError, match="allows ptrace"):
        parse_profile(json.dumps(document))
    with pytest.raises(ValueError, match="must refuse"):
        parse_profile(json.dumps({**document, "defaultAction": "SCMP_ACT_ALLOW"}))


def test_there_is_no_network_and_no_way_to_a_host_port(lab: Lab) -> None:
    with socket.create_server(("0.0.0.0", 0)) as host:
        port = host.getsockname()[1]
        script = f"""
import socket
print(socket.if_nameindex())
for where in ("127.0.0.1", "172.17.0.1", "{socket.gethostbyname(socket.gethostname())}", "169.254.169.254", "192.0.2.1"):
    try: socket.create_connection((where, {port}), 2); print("REACHED", where)
    except OSError as error: print(error)
try: socket.getaddrinfo("example.org", 80); print("RESOLVED")
except OSError as error: print("dns", error)
"""
        assert lab.python(script).ok, lab.text
        host.settimeout(0.2)
        with pytest.raises(TimeoutError):
            host.accept()
    assert "[(1, 'lo')]" in lab.text
    assert "REACHED" not in lab.text
    assert "RESOLVED" not in lab.text


def test_with_a_bridge_the_host_port_is_reachable(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The defence is the missing network and nothing else: with an engine's default network the same script gets through."""
    real = profile.container_config

    def bridged(*args: Any, **kwargs: Any) -> dict[str, Any]:
        config: dict[str, Any] = real(*args, **kwargs)
        config["NetworkDisabled"] = False
        config["HostConfig"]["NetworkMode"] = "bridge"
        return config

    monkeypatch.setattr(profile, "container_config", bridged)
    networks = lab.engine.api.call("GET", "/networks/bridge")
    gateway = networks["IPAM"]["Config"][0].get("Gateway") or networks["IPAM"]["Config"][0]["Subnet"].rpartition(".")[0] + ".1"
    with socket.create_server((gateway, 0)) as host:
        lab.python(f"import socket; socket.create_connection(('{gateway}', {host.getsockname()[1]}), 5); print('REACHED')")
        assert lab.text == "REACHED\n"


def test_the_environment_is_cleared_and_rebuilt(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPROVE_SECRET_OF_THE_WORKER", "swordfish")
    assert lab.run("env", env={"SOURCE_DATE_EPOCH": "1700000000"}).ok
    assert dict(line.split("=", 1) for line in lab.text.splitlines()) == {**profile.BASE_ENV, "SOURCE_DATE_EPOCH": "1700000000"}


@pytest.mark.parametrize(("umask", "mode"), [("022", "644"), ("002", "664"), ("077", "600")])
def test_the_umask_is_the_recipes(lab: Lab, umask: str, mode: str) -> None:
    lab.shell("touch x; stat -c %a x", umask=umask)
    assert lab.text.strip() == mode


def test_the_engines_socket_and_the_hosts_files_are_not_there(lab: Lab) -> None:
    (lab.folder / "secret").write_text("swordfish")
    lab.shell(f"ls /var/run/docker.sock /run/docker.sock {lab.folder}/secret; ls /root; ls /dev")
    assert lab.text.count("No such file") == 3
    assert "Permission denied" in lab.text
    assert not {"sda", "vda", "kmsg", "mem", "kvm", "fuse"} & set(lab.text.split())


@pytest.mark.slow
def test_a_set_uid_program_gives_nothing(lab: Lab) -> None:
    """The image has set-uid programs (su); none changes who runs."""
    lab.shell("ls -l /usr/bin/su; cp /usr/bin/id x; chmod 6755 x; ./x -u; echo | su -c 'id -u' && echo BECAME ROOT")
    assert lab.text.startswith("-rws")
    assert "1000\n" in lab.text
    assert "BECAME ROOT" not in lab.text


def test_nothing_but_its_own_volumes_can_be_written(lab: Lab) -> None:
    mounted = lab.folder / "input"
    mounted.mkdir()
    mounted.chmod(0o777)
    (mounted / "original").write_bytes(b"x")
    (mounted / "original").chmod(0o666)
    script = """
import os
for path in ("/x", "/usr/x", "/etc/x", "/in/inputs/x", "/in/inputs/original", "/opt/x", "/proc/sys/kernel/core_pattern", "/sys/x"):
    try: open(path, "ab").write(b"y"); print("WROTE", path)
    except OSError as error: print(path, error.strerror)
for path in ("/build/x", "/tmp/x", "/dev/shm/x"):
    open(path, "w").write("y")
"""
    result = lab.python(script, mounts=(Mount(mounted, "/in/inputs"),))
    assert result.ok, lab.text
    assert "WROTE" not in lab.text
    assert (mounted / "original").read_bytes() == b"x"


def test_what_a_container_is_called_shows_whose_it_is_and_no_secret(lab: Lab) -> None:
    labels = Labels(rebuild="rb-1", attempt="at-1", lease="the-lease-token")
    shown = lab.engine.labels(labels)
    assert shown["dev.reprove.instance"] == lab.engine.instance
    assert (shown["dev.reprove.rebuild"], shown["dev.reprove.attempt"]) == ("rb-1", "at-1")
    assert "the-lease-token" not in str(shown)


def test_facts_say_what_this_host_has_and_lacks(lab: Lab) -> None:
    facts = lab.engine.facts()
    lacks = set(facts.lacks)
    assert ("cgroup v2" in lacks) == (not Path("/sys/fs/cgroup/cgroup.controllers").exists())
    if not Path("/sys/module/apparmor").exists() and not Path("/sys/fs/selinux").exists():
        assert "AppArmor or SELinux" in lacks
    assert facts.seccomp
    assert facts.seccomp_sha256 == load_profile().sha256
    result = lab.run("true", limits={"memory": 64 * MIB, "pids": 33})
    assert (result.facts["memory"], result.facts["pids"], result.facts["network"]) == (64 * MIB, 33, "none")
    assert all(isinstance(value, str | int | bool | list) for value in result.facts.values())
